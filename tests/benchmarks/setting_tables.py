"""The tables of `bench_settings.py`: Markdown from the lines of finished runs."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from study_parts.data import NAMES
from study_parts.groups import factors_at
from study_parts.tables import as_markdown, mean_error, scores, title


def read(path: Path) -> list[dict[str, Any]]:
    """The finished runs."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def select(lines: list[dict[str, Any]], **values: Any) -> list[dict[str, Any]]:
    """The lines with these values."""
    return [line for line in lines if all(line.get(key) == value for key, value in values.items())]


def by_setting(lines: list[dict[str, Any]]) -> list[tuple[str, float, list[dict[str, Any]]]]:
    """Data set, value of the setting, and its lines; a beta of 1, value 0, comes last."""
    found = {(line["data"], line["value"]) for line in lines}
    is_beta = any(line["vary"] == "beta" for line in lines)
    return [
        (name, value, select(lines, data=name, value=value))
        for name, value in sorted(
            found, key=lambda each: (NAMES.index(each[0]), is_beta and each[1] == 0, each[1])
        )
    ]


def table_of_settings(lines: list[dict[str, Any]]) -> str:
    """Means over the seeds, one row per data set and value of the setting that varies."""
    headings = ["own", "other labelled", "rest", "constant", "error"]
    rows = [["data: factors", lines[0]["vary"], *headings]]
    for name, value, runs in by_setting(lines):
        cells = [scores(runs, place) for place in ("own", "other", "rest", "chance")]
        rows.append([title(name, runs), f"{value:g} ({len(runs)})", *cells, mean_error(runs)])
    return as_markdown(rows)


def table_of_beta(lines: list[dict[str, Any]]) -> str:
    """Means over the seeds, and in brackets the worst own score, of each multiple."""
    headings = ["own partition", "rest", "constant", "active units", "error"]
    rows = [["data (half squared error of the mean)", "multiple of the rule", *headings]]
    for name, multiple, runs in by_setting(lines):
        lowest = {
            factor: min(factors_at([run], "own")[factor] for run in runs)
            for factor in runs[0]["intended"]
        }
        own = ", ".join(
            f"{factor} {score:.2f} ({lowest[factor]:.2f})"
            for factor, score in factors_at(runs, "own").items()
        )
        of_mean, active = (np.mean([run[key] for run in runs]) for key in ("mean_error", "active"))
        rows.append([
            f"{name} ({of_mean:.1f})", f"{multiple:g}" if multiple else "beta 1", own,
            scores(runs, "rest"), scores(runs, "chance"),
            f"{active:.0f} of {runs[0]['dimensions']}", mean_error(runs),
        ])  # fmt: skip
    return as_markdown(rows)
