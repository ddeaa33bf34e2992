"""The tables of the study, computed from its results, and the documents that show them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from study_parts.data import LARGE, NAMES
from study_parts.groups import (
    BACKBONES,
    SCHEMES,
    SCORES,
    Column,
    Groups,
    Line,
    column,
    competitors,
    counterparts,
    factors_at,
    group,
    interval,
    lines_of,
    of_part,
    order,
    pair_by_seed,
    relative_error,
)
from study_parts.runs import Run

FIGURES: dict[str, Column] = {name: column(name) for name in SCORES}


def make_tables(lines: Sequence[Line]) -> dict[str, str]:
    """All tables as Markdown, by name; a table without results is empty."""
    groups = group(lines)
    return {name: table(groups) for name, table in TABLES.items()} | {"totals": totals(lines)}


def fill_tables(text: str, tables: Mapping[str, str]) -> str:
    """Replace what stands between `<!-- table: NAME -->` and `<!-- end -->` by that table."""

    def replace(match: re.Match[str]) -> str:
        return f"{match[1]}\n{tables[match[2]]}\n{match[3]}"

    pattern = r"(<!-- table: ([\w-]+) -->).*?(<!-- end -->)"
    return re.sub(pattern, replace, text, flags=re.DOTALL)


def totals(lines: Iterable[Line]) -> str:
    """The number of runs, their training time, and the runs that diverged."""
    lines = list(lines)
    hours = sum(line["seconds"] for line in lines) / 3600
    diverged = [str(Run(**line["run"])) for line in lines if line.get("diverged")]
    text = f"{len(lines)} runs, {hours:.1f} core hours of training."
    return text + "".join(f"\nDiverged: {run}." for run in diverged)


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row are the headings; empty without any other."""
    if len(rows) < 2:
        return ""
    return "\n".join(
        "| " + " | ".join(cells) + " |" for cells in [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    )


def format_interval(values: Sequence[float]) -> str:
    """The mean, and the half-width of its interval if there are several values."""
    mean, half = interval(values)
    return f"{mean:.2f}" if np.isnan(half) else f"{mean:.2f} ± {half:.2f}"


def figures(lines: Sequence[Line], columns: Iterable[Column] = FIGURES.values()) -> list[str]:
    """Means with intervals."""
    return [format_interval([get(line) for line in lines]) for get in columns]


def scores(lines: Sequence[Line], place: str, codes: str = "sample") -> str:
    """The scores of all factors, as `factors_at`."""
    found = factors_at(lines, place, codes).values()
    return ", ".join("-" if np.isnan(score) else f"{score:.2f}" for score in found)


def title(name: str, lines: Sequence[Line]) -> str:
    """The data set and its labelled factors."""
    return f"{name}: {', '.join(lines[0]['intended'])}"


def mean_error(lines: Sequence[Line]) -> str:
    """The mean reconstruction error."""
    return f"{np.mean([line['error'] for line in lines]):.2f}"


def _minutes(lines: Sequence[Line]) -> str:
    return f"{np.median([line['seconds'] for line in lines]) / 60:.1f}"


def _times(lines: Sequence[Line], ungated: Sequence[Line]) -> str:
    ratio = relative_error(lines, ungated)
    return "" if np.isnan(ratio) else f"x {ratio:.2f}"


def glance_table(groups: Groups) -> str:
    """The README's table: own partition and elsewhere, for each data set."""
    rows = [[
        "data: factors", "own: ungated", "own: gated", "elsewhere: ungated", "elsewhere: gated",
        "constant", "error",
    ]]  # fmt: skip
    for name in NAMES:
        found = competitors(groups, name)
        if {"ungated", "gated"} <= found.keys():
            ungated, gated = found["ungated"], found["gated"]
            rows.append([
                title(name, gated),
                *(scores(lines, place) for place in ("own", "elsewhere")
                  for lines in (ungated, gated)),
                scores(gated, "chance"),
                _times(gated, ungated),
            ])  # fmt: skip
    return as_markdown(rows)


def model_table(groups: Groups, part: str = "main", data: str = "faces") -> str:
    """Faces: each backbone ungated, also with the schedule, of version 0.1, and gated."""
    rows = [["", "runs", *SCORES, "error relative to ungated", "minutes (median)"]]
    for run, lines in of_part(groups, part, data=data).items():
        ungated = lines_of(groups, part, data=data, backbone=run.backbone, scheme="ungated")
        name = f"{BACKBONES[run.backbone]}, {SCHEMES[run.scheme]}"
        rows.append(
            [name, str(len(lines)), *figures(lines), _times(lines, ungated), _minutes(lines)]
        )
    return as_markdown(rows)


def gain_table(groups: Groups) -> str:
    """Faces: the difference between gated and ungated models of the same seed."""
    rows = [["gated minus ungated", *SCORES, "active units, ungated", "gated"]]
    for run, gated in of_part(groups, "main", data="faces", scheme="gated").items():
        ungated = lines_of(groups, "main", data="faces", backbone=run.backbone, scheme="ungated")
        pairs = pair_by_seed(gated, ungated)
        if pairs:
            gains = [[get(line) - get(other) for line, other in pairs] for get in FIGURES.values()]
            active = [[line["active"] for line in lines] for lines in zip(*pairs, strict=True)]
            rows.append([BACKBONES[run.backbone], *map(format_interval, [*gains, *active[::-1]])])
    return as_markdown(rows)


def data_table(groups: Groups) -> str:
    """Each data set: scores by partition and leakage, from samples and from means."""
    rows = [[
        "data: factors", "model (beta: multiple of the rule)", "own", "other labelled", "rest",
        "constant", "leakage", "means: own", "other labelled", "rest", "leakage", "error",
    ]]  # fmt: skip
    for name in NAMES:
        found = competitors(groups, name)
        for scheme, lines in found.items():
            multiple = lines[0]["run"]["multiple"]
            weight = f" ({multiple:g})" if multiple != 1 else ""
            places = ("own", "other", "rest")
            leaks = [
                f"{np.mean([FIGURES[each](line) for line in lines]):.2f}"
                for each in ("leakage", "leakage of means")
            ]
            rows.append([
                title(name, lines),
                f"{SCHEMES[scheme]}{weight}, {len(lines)} runs",
                *(scores(lines, place) for place in (*places, "chance")), leaks[0],
                *(scores(lines, place, "mean") for place in places), leaks[1],
                f"{mean_error(lines)} {_times(lines, found.get('ungated', []))}",
            ])  # fmt: skip
    return as_markdown(rows)


def label_table(groups: Groups) -> str:
    """Few labels, and wrong labels, on the same seeds."""
    rows = [["data", "labels", "model", "runs", *SCORES, "own", "elsewhere"]]
    parts = of_part(groups, "labels")
    shown = counterparts(groups, parts, ["gated"]) | parts
    for run, lines in sorted(shown.items(), key=lambda each: _by_labels(each[0])):
        share = f"{run.share:.0%} labelled" if run.share < 1 else f"{run.wrong:.0%} wrong"
        cells = [scores(lines, place) for place in ("own", "elsewhere")]
        first = [run.data, share, SCHEMES[run.scheme], str(len(lines))]
        rows.append([*first, *figures(lines), *cells])
    return as_markdown(rows)


def _by_labels(run: Run) -> tuple[Any, ...]:
    return NAMES.index(run.data), run.wrong, -run.share, list(SCHEMES).index(run.scheme)


def competitor_table(groups: Groups) -> str:
    """Faces: the gated beta-VAE and other methods with the same labels."""
    rows = [["", "beta: multiple of the rule", "runs", *SCORES, "leakage of pose"]]
    for scheme, lines in competitors(groups, "faces").items():
        first = [SCHEMES[scheme], f"{lines[0]['run']['multiple']:g}", str(len(lines))]
        rows.append([*first, *figures(lines, [*FIGURES.values(), _leakage_of_pose])])
    return as_markdown(rows)


def _leakage_of_pose(line: Line) -> float:
    return float(np.mean([line["leakage"][factor] for factor in ("yaw", "pitch")]))


def unseen_table(groups: Groups) -> str:
    """Factors of a speaker whom the models have never heard."""
    rows = [["data", "model", "runs", "score from the own partition"]]
    for name in NAMES:
        for scheme, lines in competitors(groups, name).items():
            for factor in lines[0].get("unseen", ()):
                values = [line["unseen"][factor] for line in lines]
                score = f"{factor} {format_interval(values)}"
                rows.append([name, SCHEMES[scheme], str(len(lines)), score])
    return as_markdown(rows)


def input_table(groups: Groups) -> str:
    """Readings of "input"."""
    rows = [["", "runs", *SCORES]]
    ungated = lines_of(groups, "main", data="faces", backbone="beta", scheme="ungated")
    readings = of_part(groups, "input")
    for name, lines in {
        **({SCHEMES["ungated"]: ungated} if readings else {}),
        **{SCHEMES[run.scheme]: lines for run, lines in readings.items()},
    }.items():
        rows.append([name, str(len(lines)), *figures(lines)])
    return as_markdown(rows)


def step_table(groups: Groups) -> str:
    """The budget: scores after fewer steps, on the same seeds."""
    rows = [[
        "data: factors", "model", "steps", "images decoded", "minutes", "own", "elsewhere",
        "error",
    ]]  # fmt: skip
    parts = of_part(groups, "steps")
    whole = counterparts(groups, parts, {run.scheme for run in parts})
    for run, lines in sorted(
        (parts | whole).items(),
        key=lambda each: (NAMES.index(each[0].data), list(SCHEMES).index(each[0].scheme),
                          each[0].steps),
    ):  # fmt: skip
        steps = round(run.steps * lines[0]["settings"]["steps"])
        images = steps * lines[0]["settings"]["images"]
        if run.scheme not in ("ungated", "0.1"):  # swap consistency, before the last phase
            images += round(steps * 5 / 6) * (lines[0]["settings"]["images"] // 6)
        budget = [f"{steps:,}", f"{images:,}", _minutes(lines)]
        first = [title(run.data, lines), SCHEMES[run.scheme], *budget]
        cells = [scores(lines, place) for place in ("own", "elsewhere")]
        rows.append([*first, *cells, mean_error(lines)])
    return as_markdown(rows)


def options_table(groups: Groups) -> str:
    """Options of the config: scores from both partitions, D, C, leakage and error, same seeds."""
    shown = [name for name in SCORES if name != "I"]
    rows = [["data: factors", "model", "runs", "own", "rest", *shown, "error relative to ungated"]]
    parts = of_part(groups, "options")
    parts |= counterparts(groups, parts, ["ungated", "gated"])
    ungated = {run.data: lines for run, lines in parts.items() if run.scheme == "ungated"}
    for run, lines in sorted(parts.items(), key=lambda each: order(each[1][0])[:3]):
        cells = [scores(lines, place) for place in ("own", "rest")]
        cells += figures(lines, [FIGURES[name] for name in shown])
        first = [title(run.data, lines), SCHEMES[run.scheme], str(len(lines))]
        rows.append([*first, *cells, _times(lines, ungated.get(run.data, []))])
    return as_markdown(rows)


def grid_table(groups: Groups) -> str:
    """The grid from which the weights were chosen."""
    shown = ("D", "C", "I", "leakage", "error")
    rows = [["data", "model", "beta: multiple of the rule", *shown]]
    for run, lines in of_part(groups, "grid").items():
        cells = figures(lines, [FIGURES[name] for name in shown])
        rows.append([run.data, SCHEMES[run.scheme], f"{run.multiple:g}", *cells])
    return as_markdown(rows)


TABLES: dict[str, Callable[[Groups], str]] = {
    "glance": glance_table,
    "models": model_table,
    "gains": gain_table,
    "large": partial(model_table, part="large", data=LARGE),
    "data": data_table,
    "labels": label_table,
    "competitors": competitor_table,
    "unseen": unseen_table,
    "input": input_table,
    "steps": step_table,
    "options": options_table,
    "grid": grid_table,
}
