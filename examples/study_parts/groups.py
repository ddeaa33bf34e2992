"""The results of the study, grouped by table row."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np
from scipy.stats import t as student

from study_parts.data import LARGE, LETTERS, MNIST, NAMES
from study_parts.runs import Run

Line: TypeAlias = Mapping[str, Any]
Groups: TypeAlias = dict[Run, list[Line]]  # runs that differ only by their seed
Column: TypeAlias = Callable[[Line], float]

BACKBONES = {"beta": "beta-VAE", "info": "InfoVAE", "dip": "DIP-VAE-II"}
SCHEMES = {
    "ungated": "ungated",
    "schedule": "ungated, `GatedSchedule()`",
    "0.1": "gated, version 0.1",
    "gated": "gated",
    "not robust": "gated, `robust_pairs=False`",
    "ratio 10": "gated, `kl_ratio=10`",
    "more swap": "gated, `kl_ratio=10`, swap consistency 1",
    "less swap": "gated, `kl_ratio=10`, swap consistency 0.5",
    "zero rest": "gated, `kl_ratio=10`, swap consistency 1, zero rest",
    "equal kl": "gated, `kl_ratio=1`, swap consistency 1, zero rest",
    "hsic 20": "gated, `kl_ratio=10`, swap consistency 1, zero rest, `rest_hsic=20`",
    "no hsic": "gated, `kl_ratio=10`, swap consistency 2, zero rest, `rest_hsic=0`",
    "group": "Group-VAE",
    "ada": "Ada-GVAE",
    "supervised": "supervised beta-VAE",
    "lord": "LORD",
    "input": '`"input"`',
    "self-pair decoder": "the decoder learns from self pairs alone",
    "alternating phases": "pairs and plain images in turn",
    "free closed codes": "samples of the prior in closed partitions",
    "gated decoder weights": "the gate on the decoder's weights, too",
}
SCORES = ("D", "C", "I", "leakage", "leakage of means", "error")


def column(name: str) -> Column:
    """A figure of a line; the mean over the factors if it has one for each."""

    def read(line: Line) -> float:
        value = line[name]
        return fmean(value.values()) if isinstance(value, Mapping) else float(value)

    return read


def group(lines: Iterable[Line]) -> Groups:
    """Group the lines by run, over all seeds, in the order of the tables."""
    groups: Groups = {}
    for line in sorted(lines, key=order):
        if not line.get("diverged"):
            groups.setdefault(replace(Run(**line["run"]), seed=0), []).append(line)
    return groups


def order(line: Line) -> tuple[Any, ...]:
    """The place of a line in all tables."""
    run = Run(**line["run"])
    data = *NAMES, LARGE, MNIST, LETTERS
    places = [list(names).index(name) for names, name in (
        (data, run.data), (BACKBONES, run.backbone), (SCHEMES, run.scheme)
    )]  # fmt: skip
    return *places, run.multiple, -run.share, run.wrong, run.steps, run.part, run.seed


def of_part(groups: Groups, part: str, **values: Any) -> Groups:
    """The groups of a part of the study whose runs have these values."""
    return {
        run: lines
        for run, lines in groups.items()
        if run.part == part and all(getattr(run, name) == v for name, v in values.items())
    }


def lines_of(groups: Groups, part: str, **values: Any) -> list[Line]:
    """The lines of the one such group, or none."""
    return next(iter(of_part(groups, part, **values).values()), [])


def factors_at(lines: Sequence[Line], place: str, codes: str = "sample") -> dict[str, float]:
    """Mean score of each labelled factor: from its own partition, or the worst of others.

    Places: "own", "other" (labelled partitions), "rest", "elsewhere" (both), and "chance", the
    score of a constant prediction. NaN if there is no such partition.
    """
    found: dict[str, list[float]] = {}
    for line in lines:
        for factor, own in line["intended"].items():
            if place == "chance":
                found.setdefault(factor, []).append(line["chance"][factor])
                continue
            labelled = set(line["intended"].values()) - {own}
            where = {
                "own": {own}, "other": labelled, "rest": {"rest"}, "elsewhere": labelled | {"rest"}
            }[place]  # fmt: skip
            scores = [line[codes][name][factor] for name in where]
            found.setdefault(factor, []).append(max(scores, default=np.nan))
    return {factor: float(np.mean(values)) for factor, values in found.items()}


def counterparts(groups: Groups, part: Groups, schemes: Collection[str]) -> Groups:
    """The beta-VAEs of the main part on the data sets and seeds of another part."""
    names = {run.data for run in part}
    seeds = {line["run"]["seed"] for lines in part.values() for line in lines}
    return {
        run: [line for line in lines if line["run"]["seed"] in seeds]
        for run, lines in of_part(groups, "main", backbone="beta").items()
        if run.data in names and run.scheme in schemes
    }


def pair_by_seed(lines: Sequence[Line], others: Sequence[Line]) -> list[tuple[Line, Line]]:
    """The lines of two groups that have the same seed, hence the same held-out images."""
    at = {line["run"]["seed"]: line for line in others}
    return [(line, at[seed]) for line in lines if (seed := line["run"]["seed"]) in at]


def relative_error(lines: Sequence[Line], ungated: Sequence[Line]) -> float:
    """The mean over the seeds that both have of the ratio of errors."""
    ratios = [line["error"] / other["error"] for line, other in pair_by_seed(lines, ungated)]
    return fmean(ratios) if ratios else np.nan


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the half-width of its 95 % interval (Student's t); NaN for one value."""
    n = len(values)
    spread = np.std(values, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return float(np.mean(values)), float(spread * student.ppf(0.975, max(n - 1, 1)))


def competitors(groups: Groups, name: str) -> dict[str, list[Line]]:
    """Scheme -> lines on a data set: ungated (two), version 0.1, gated, and competitors."""
    found = {}
    for part in ("main", "competitors"):
        for run, lines in of_part(groups, part, data=name, backbone="beta").items():
            found[run.scheme] = lines
    return {scheme: found[scheme] for scheme in SCHEMES if scheme in found}
