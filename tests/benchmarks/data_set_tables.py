"""The tables of `bench_data_sets.py`: Markdown from the lines of finished runs."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

ORDER = ("faces", "photographs", "digits", "speech", "mice")
ORDER += ("ungated", "0.1", "gated", "robust", "beta", "info", "dip")


def read(path: Path) -> list[dict[str, Any]]:
    """The finished runs."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [{"vary": None, "backbone": "beta", **json.loads(line)} for line in lines]


def at(line: dict[str, Any], place: str, codes: str = "sample") -> dict[str, float]:
    """The scores of the labelled factors: own, worst other labelled, rest, or worst of both.

    The place "chance" has the scores of a constant predictor.
    """
    if place == "chance":
        return {factor: line["chance"][factor] for factor in line["intended"]}
    found = {}
    for factor, own in line["intended"].items():
        others = [p for p in line["sample"] if p != own]
        labelled = [p for p in others if p != "rest"]
        where = {"own": [own], "other": labelled, "rest": ["rest"], "elsewhere": others}[place]
        found[factor] = max((line[codes][p][factor] for p in where), default=math.nan)
    return found


def mean_of(runs: list[dict[str, Any]], place: str, codes: str = "sample") -> str:
    """The mean over the runs for each factor."""
    values = [at(line, place, codes) for line in runs]
    means = {factor: np.mean([each[factor] for each in values]) for factor in values[0]}
    return ", ".join("-" if np.isnan(mean) else f"{mean:.2f}" for mean in means.values())


def table_of_schemes(lines: list[dict[str, Any]]) -> str:
    """Means over the seeds, with beta by the rule; one row per data set, labels and scheme."""
    rows = [
        [
            "data: factors",
            "model",
            "own",
            "other labelled",
            "rest",
            "means: own",
            "other labelled",
            "rest",
            "constant",
            "error",
            "D / C / I / leakage",
        ]
    ]
    for name, wrong, backbone, scheme in sorted_settings(
        lines, "data", "wrong", "backbone", "scheme"
    ):
        of_data = select(lines, data=name, backbone=backbone)
        runs = select(of_data, wrong=wrong, scheme=scheme)
        ungated = select(of_data, wrong=0.0, scheme="ungated")
        error = np.mean([run["error"] for run in runs])
        ratio = error / np.mean([run["error"] for run in ungated]) if ungated else math.nan
        figures = [np.mean([run[key] for run in runs]) for key in "DCI"]
        figures.append(np.mean([np.mean(list(run["leakage"].values())) for run in runs]))
        rows.append(
            [
                f"{name}: {', '.join(runs[0]['intended'])}" + f", {wrong:.0%} wrong" * (wrong > 0),
                f"{scheme}, {backbone} ({len(runs)})",
                *(mean_of(runs, place) for place in ("own", "other", "rest")),
                *(mean_of(runs, place, "mean") for place in ("own", "other", "rest")),
                mean_of(runs, "chance"),
                f"{error:.2f} (x {ratio:.2f})",
                " / ".join(f"{figure:.2f}" for figure in figures),
            ]
        )
    return as_markdown(rows)


def table_at_a_glance(lines: list[dict[str, Any]]) -> str:
    """Means over the seeds, from sampled codes: one row per data set."""
    rows = [
        [
            "data: factors",
            "own: ungated",
            "own: gated",
            "elsewhere: ungated",
            "elsewhere: 0.1",
            "elsewhere: gated",
            "constant",
            "error: 0.1",
            "error: gated",
        ]
    ]
    for (name,) in sorted_settings(lines, "data"):
        of_data = select(lines, data=name, wrong=0.0, backbone="beta")
        runs = {scheme: select(of_data, scheme=scheme) for scheme in ORDER}
        errors = {
            scheme: np.mean([run["error"] for run in runs[scheme]])
            for scheme in ("ungated", "0.1", "gated")
        }
        rows.append(
            [
                f"{name}: {', '.join(runs['gated'][0]['intended'])}",
                *(mean_of(runs[scheme], "own") for scheme in ("ungated", "gated")),
                *(mean_of(runs[scheme], "elsewhere") for scheme in errors),
                mean_of(runs["gated"], "chance"),
                *(f"x {errors[scheme] / errors['ungated']:.2f}" for scheme in ("0.1", "gated")),
            ]
        )
    return as_markdown(rows)


def table_of_beta(lines: list[dict[str, Any]]) -> str:
    """Means over the seeds, and in brackets the worst own score, of each multiple."""
    rows = [
        [
            "data (half squared error of the mean)",
            "beta",
            "multiple of the rule",
            "own partition",
            "rest",
            "constant",
            "active units",
            "error",
        ]
    ]
    for name, multiple in sorted_settings(lines, "data", "multiple"):
        runs = select(lines, data=name, multiple=multiple)
        cells = []
        for place in ("own", "rest", "chance"):
            values = [at(run, place) for run in runs]
            shown = []
            for factor in runs[0]["intended"]:
                found = [each[factor] for each in values]
                worst = f" ({min(found):.2f})" if place == "own" else ""
                shown.append(f"{factor} {np.mean(found):.2f}{worst}")
            cells.append(", ".join(shown))
        mean_error, beta, error, active = (
            np.mean([run[key] for run in runs])
            for key in ("mean_error", "beta", "error", "active")
        )
        units = f"{active:.0f} of {runs[0]['dimensions']}"
        first = f"{name} ({mean_error:.1f})", f"{beta:.3g}", str(multiple or "1/rule")
        rows.append([*first, *cells, units, f"{error:.2f}"])
    return as_markdown(rows)


def as_markdown(rows: list[list[str]]) -> str:
    """A table whose first row are the headings."""
    lines = [
        "| " + " | ".join(cells) + " |" for cells in [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    ]
    return "\n".join(lines)


def select(lines: list[dict[str, Any]], **values: Any) -> list[dict[str, Any]]:
    """The lines with these values."""
    return [line for line in lines if all(line[key] == value for key, value in values.items())]


def sorted_settings(lines: list[dict[str, Any]], *keys: str) -> list[tuple[Any, ...]]:
    """The different settings, data sets and schemes in the order of `ORDER`."""
    order = {name: place for place, name in enumerate(ORDER)}
    settings = {tuple(line[key] for key in keys) for line in lines}
    return sorted(settings, key=lambda each: [order.get(v, v or 9e9) for v in each])


def table_of_settings(lines: list[dict[str, Any]]) -> str:
    """Means over the seeds, one row per data set and value of the setting that varies."""
    headings = ["own", "other labelled", "rest", "constant", "error"]
    rows = [["data: factors", lines[0]["vary"], *headings]]
    for name, value in sorted_settings(lines, "data", "value"):
        runs = select(lines, data=name, value=value)
        cells = [mean_of(runs, place) for place in ("own", "other", "rest", "chance")]
        error = np.mean([run["error"] for run in runs])
        factors = ", ".join(runs[0]["intended"])
        rows.append([f"{name}: {factors}", f"{value:g} ({len(runs)})", *cells, f"{error:.2f}"])
    return as_markdown(rows)
