"""The figures of the study."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from study_parts.data import NAMES
from study_parts.groups import (
    BACKBONES,
    SCHEMES,
    SCORES,
    Groups,
    Line,
    column,
    competitors,
    factors_at,
    interval,
    of_part,
)

COLOURS = {
    "ungated": "#b0b0b0", "schedule": "#7f7f7f", "0.1": "#e0a060", "gated": "#2a6fb0",
    "group": "#9467bd", "ada": "#2ca02c", "supervised": "#bcbd22", "lord": "#d62728",
}  # fmt: skip


def data_chart(groups: Groups) -> Any:
    """Own partition and elsewhere, ungated and gated, for each factor of each data set."""
    names = [name for name in NAMES if {"ungated", "gated"} <= competitors(groups, name).keys()]
    if not names:
        return None
    shown = {name: competitors(groups, name) for name in names}
    rows = [(name, factor) for name in names for factor in shown[name]["gated"][0]["intended"]]
    figure = Figure(figsize=(9, 0.42 * len(rows) + 1.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    at = np.arange(len(rows))[::-1]
    for axes, place, title in zip(
        panels, ("own", "elsewhere"),
        ("from its own partition", "from the worst of the others"), strict=True,
    ):  # fmt: skip
        for i, scheme in enumerate(("ungated", "gated")):
            values = [factors_at(shown[n][scheme], place)[f] for n, f in rows]
            axes.barh(at + 0.2 - 0.4 * i, values, 0.4, color=COLOURS[scheme], label=scheme)
        chance = [factors_at(shown[n]["gated"], "chance")[f] for n, f in rows]
        axes.plot(chance, at, "k|", markersize=14, label="constant prediction")
        axes.set(title=title, xlim=(0, 1.02))
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(at, [f"{factor} ({name})" for name, factor in rows])
    figure.suptitle("Score of each labelled factor")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def model_chart(groups: Groups) -> Any:
    """D, C, I and leakage on faces, one panel per backbone."""
    panels: dict[str, dict[str, list[Line]]] = {}
    for run, lines in of_part(groups, "main", data="faces").items():
        panels.setdefault(BACKBONES[run.backbone], {})[run.scheme] = lines
    return _bars(panels)


def competitor_chart(groups: Groups) -> Any:
    """The same for the competitors."""
    rows = competitors(groups, "faces")
    return _bars({"rendered faces": rows} if len(rows) > 3 else {})


def _bars(panels: dict[str, dict[str, list[Line]]]) -> Any:
    if not panels:
        return None
    names = SCORES[:-1]  # errors are of another scale
    figure = Figure(figsize=(4.2 * max(len(panels), 2), 3.6), layout="constrained")
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, (title, rows) in zip(grid[0], panels.items(), strict=True):
        width = 0.8 / len(rows)
        for i, (scheme, lines) in enumerate(rows.items()):
            means, halves = zip(
                *(interval([column(name)(line) for line in lines]) for name in names), strict=True
            )
            at = np.arange(len(names)) + (i - (len(rows) - 1) / 2) * width
            axes.bar(
                at, means, width, yerr=halves, label=SCHEMES[scheme].replace("`", ""), capsize=2,
                color=COLOURS.get(scheme),
            )  # fmt: skip
        ticks = [name.replace(" of ", "\nof ") for name in names]
        axes.set(title=title, ylim=(0, 1.05), xticks=range(len(names)), xticklabels=ticks)
    entries = {
        label: bars
        for axes in grid[0]
        for bars, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=4)
    return figure


CHARTS = {"data": data_chart, "models": model_chart, "competitors": competitor_chart}


def save_charts(groups: Groups, output: Path) -> None:
    """Save each figure for which there are results, as study_<name>.png."""
    for name, draw in CHARTS.items():
        figure = draw(groups)
        if figure is not None:
            figure.savefig(output / f"study_{name}.png", dpi=110, metadata={"Software": None})
