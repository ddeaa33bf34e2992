"""The figures of the study."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from quickstart import INTENDED, PARTITIONS

from study_parts.groups import (
    BACKBONES,
    CURVES,
    FIGURES,
    SCHEMES,
    Groups,
    Line,
    competitors,
    curve,
    interval,
    of_claim,
    with_weight,
)


def model_chart(groups: Groups) -> Any:
    """D, C, I, alignment and leakage, one panel per backbone."""
    panels = {
        BACKBONES[backbone]: {
            SCHEMES[scheme].replace("`", ""): lines
            for scheme in ("ungated", "input", "target")
            if (lines := of_claim(groups, backbone, scheme))
        }
        for backbone in BACKBONES
    }
    return _bars({name: rows for name, rows in panels.items() if rows})


def competitor_chart(groups: Groups) -> Any:
    """The same for the competitors."""
    rows = {with_weight(*row).replace("`", ""): row[1] for row in competitors(groups).items()}
    return _bars({"competitors with the same labels": rows} if rows else {})


def _bars(panels: dict[str, dict[str, list[Line]]]) -> Any:
    if not panels:
        return None
    names = ("D", "C", "I", "alignment", "leakage")
    figure = Figure(figsize=(4.2 * max(len(panels), 2), 3.6), layout="constrained")
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, (title, rows) in zip(grid[0], panels.items(), strict=True):
        width = 0.8 / len(rows)
        for i, (label, lines) in enumerate(rows.items()):
            means, halves = zip(
                *(interval([FIGURES[name](line) for line in lines]) for name in names), strict=True
            )
            at = np.arange(len(names)) + (i - (len(rows) - 1) / 2) * width
            axes.bar(at, means, width, yerr=halves, label=label, capsize=2)
        axes.set(title=title, ylim=(0, 1.05), xticks=range(len(names)), xticklabels=names)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def partition_chart(groups: Groups) -> Any:
    """Scores of each factor from each partition, ungated and gated beta-VAE."""
    shown = {
        SCHEMES[scheme].replace("`", ""): lines
        for scheme in ("ungated", "input", "target")
        if (lines := of_claim(groups, "beta", scheme))
    }
    if not shown:
        return None
    figure = Figure(figsize=(4 * len(shown), 2.6), layout="constrained")
    grid = figure.subplots(1, len(shown), squeeze=False)
    for axes, (title, lines) in zip(grid[0], shown.items(), strict=True):
        table = np.array(
            [
                [np.mean([line["scores"][name][factor] for line in lines]) for factor in INTENDED]
                for name in PARTITIONS
            ]
        )
        axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(table):
            color = "white" if value > 0.6 else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=color)
        axes.set_xticks(range(len(INTENDED)), INTENDED, rotation=30, ha="right")
        axes.set_yticks(range(len(PARTITIONS)), PARTITIONS)
        axes.set_title(title)
    return figure


def label_chart(groups: Groups) -> Any:
    """Scores against the share of labels, and against the share of wrong labels."""
    curves = {part: curve(groups, part) for part in CURVES}
    if not all(len(each) > 1 for each in curves.values()):
        return None
    figure = Figure(figsize=(4.2 * len(curves), 3.4), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True)
    for axes, (part, points) in zip(panels, curves.items(), strict=True):
        key = "share" if part == "weak" else "wrong"
        x = [100 * lines[0]["run"][key] for lines in points.values()]
        for name in ("D", "C", "I", "alignment", "leakage"):
            values = [[FIGURES[name](line) for line in lines] for lines in points.values()]
            means, halves = np.array([interval(each) for each in values]).T
            axes.errorbar(x, means, halves, marker="o", capsize=2, label=name)
        if part == "weak":
            axes.set_xscale("log")
        axes.set_xticks(x, [f"{value:g} %" for value in x])
        axes.minorticks_off()
        axes.set(xlabel=CURVES[part], ylim=(0, 1.05))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


CHARTS = {
    "models": model_chart,
    "partitions": partition_chart,
    "labels": label_chart,
    "competitors": competitor_chart,
}


def save_charts(groups: Groups, output: Path) -> None:
    """Save each figure for which there are results, as study_<name>.png."""
    for name, draw in CHARTS.items():
        figure = draw(groups)
        if figure is not None:
            figure.savefig(output / f"study_{name}.png", dpi=110, metadata={"Software": None})
