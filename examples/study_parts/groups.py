"""The results of the study, grouped by table row or plotted point."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from scipy.stats import t as student

from study_parts.runs import Run

Line: TypeAlias = Mapping[str, Any]
Groups: TypeAlias = dict[Run, list[Line]]  # runs that differ only by their seed


def _mean_of(name: str) -> Callable[[Line], float]:
    return lambda line: float(np.mean(list(line[name].values())))


FIGURES: dict[str, Callable[[Line], float]] = {
    "D": lambda line: line["disentanglement"],
    "C": lambda line: line["completeness"],
    "I": _mean_of("informativeness"),
    "alignment": _mean_of("alignment"),
    "leakage": _mean_of("leakage"),
    "error": lambda line: line["reconstruction_error"],
}
BACKBONES = {"beta": "beta-VAE", "info": "InfoVAE", "dip": "DIP-VAE-II"}
SCHEMES = {
    "ungated": "ungated",
    "input": 'gated, `"input"`',
    "target": 'gated, `"target"`',
    "group": "Group-VAE",
    "ada": "Ada-GVAE",
    "match": "match pairing",
    "supervised": "supervised beta-VAE",
    "costly rest": "five times the KL on the rest",
    "independent rest": "HSIC penalty",
    "blind rest": "gradient reversal",
    "trimmed pairs": "trimmed loss",
    "weighed pairs": "reweighted loss",
}


def group(lines: Iterable[Line]) -> Groups:
    """Group the lines by run, over all seeds, in the order of the tables."""
    groups: Groups = {}
    for line in sorted(lines, key=order):
        if not line.get("diverged"):
            groups.setdefault(replace(Run(**line["run"]), seed=0), []).append(line)
    return groups


def order(line: Line) -> tuple[Any, ...]:
    run = Run(**line["run"])
    schemes = [*SCHEMES, run.scheme]
    backbone, scheme = list(BACKBONES).index(run.backbone), schemes.index(run.scheme)
    return backbone, scheme, run.weight, run.labelled, -run.share, run.wrong, run.option, run.seed


def of_part(groups: Groups, part: str) -> Groups:
    return {run: lines for run, lines in groups.items() if run.part == part}


def of_claim(groups: Groups, backbone: str, scheme: str, labelled: str = "rest") -> list[Line]:
    """The lines of one model of the main comparison."""
    return next(
        (
            lines
            for run, lines in of_part(groups, "claim").items()
            if (run.backbone, run.scheme, run.labelled) == (backbone, scheme, labelled)
        ),
        [],
    )


def same_seeds(lines: Iterable[Line], others: Iterable[Line]) -> list[Line]:
    """The lines whose seed (or fold) also occurs in `others`."""
    seeds = {line["run"]["seed"] for line in others}
    return [line for line in lines if line["run"]["seed"] in seeds]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the half-width of its 95 % interval (Student's t); NaN for one value."""
    n = len(values)
    spread = np.std(values, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return float(np.mean(values)), float(spread * student.ppf(0.975, max(n - 1, 1)))


CURVES = {
    "weak": "share of images labelled",
    "noisy": "share of wrong labels",
    "trimmed": "share of wrong labels, trimmed loss",
}


def curve(groups: Groups, part: str) -> dict[str, list[Line]]:
    """Quality of the labels -> lines, from the best labels to the worst."""
    runs = of_part(groups, part)
    if not runs:
        return {}
    if part == "trimmed":
        tried = of_part(groups, "noise remedies")
        runs |= {run: lines for run, lines in tried.items() if run.scheme == "trimmed pairs"}
    plain = same_seeds(of_claim(groups, "beta", "target"), chain(*runs.values()))
    rows = {"all labelled, none wrong": plain} if part != "trimmed" and plain else {}
    for run in sorted(runs, key=lambda run: (-run.share, run.wrong)):
        name = f"{run.share:.0%} labelled" if part == "weak" else f"{run.wrong:.0%} wrong"
        rows[name + ", trimmed" * (part == "trimmed")] = runs[run]
    return rows


def competitors(groups: Groups) -> dict[str, list[Line]]:
    """Scheme -> lines, each with its best weight; the ungated model is included."""
    chosen = {run.scheme: run for run in of_part(groups, "competitors")}
    if not chosen:
        return {}
    claim = {
        run.scheme: run
        for run in of_part(groups, "claim")
        if (run.backbone, run.labelled) == ("beta", "rest")
    }
    return {scheme: groups[run] for scheme, run in (claim | chosen).items()}


def with_weight(scheme: str, lines: list[Line]) -> str:
    """The scheme's name with the weight of its KL."""
    return f"{SCHEMES[scheme]} ({lines[0]['run']['weight']:g})"
