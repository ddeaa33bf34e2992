"""The runs of the study, and how the weight of the KL of competitors is chosen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any

from study_parts import data
from study_parts.readings import READINGS

# DIP-VAE's penalty on covariances, beside its KL, takes a lighter weight.
BACKBONES = {"beta": 1.0, "info": 1.0, "dip": 0.5}
GRID_SEED = 100  # weights are chosen on a seed that is used for nothing else
COMPETITORS = ("group", "ada", "supervised", "lord")
ON_REAL_DATA = ("group", "lord")
# Of the config.
OPTIONS = ("not robust", "ratio 10", "more swap", "less swap", "zero rest", "equal kl", "no hsic")
ON_LETTERS = ("not robust", "zero rest", "more swap")


@dataclass(frozen=True)
class Settings:
    """Settings that all runs of a study share."""

    steps: int = 3_600
    images: int = 128  # decoded per step; a pair is two
    learning_rate: float = 2e-3
    epochs: int = 20
    n_faces: int = 24_000
    n_fit: int = 5_000  # training images, at most, that the forests are fitted on


@dataclass(frozen=True)
class Run:
    """One model to train and evaluate. `part` is the table that it belongs to."""

    part: str
    data: str
    scheme: str
    backbone: str = "beta"  # or "info", "dip"
    multiple: float = 1.0  # of the beta of `mean_and_beta`
    share: float = 1.0  # of the training images that are labelled
    wrong: float = 0.0  # share of the labels that are replaced by another image's
    steps: float = 1.0  # of the study's number of steps
    seed: int = 0

    def __str__(self) -> str:
        words = [self.part, self.data, self.scheme, self.backbone, f"beta x {self.multiple:g}"]
        words += [f"labelled {self.share:.0%}"] * (self.share < 1)
        words += [f"wrong {self.wrong:.0%}"] * (self.wrong > 0)
        words += [f"steps {self.steps:.0%}"] * (self.steps < 1)
        return ", ".join([*words, f"seed {self.seed}"])


@dataclass(frozen=True)
class Extent:
    """The values that a study covers."""

    names: tuple[str, ...] = data.NAMES
    backbones: tuple[str, ...] = tuple(BACKBONES)
    competitors: tuple[str, ...] = COMPETITORS
    multiples: tuple[float, ...] = (0.2, 0.5, 1.0)  # to choose from
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    few_seeds: tuple[int, ...] = (0, 1, 2)
    more_seeds: tuple[int, ...] = (5, 6, 7, 8, 9)
    more_seeds_on: str = "dip"  # the intervals of five seeds overlapped in C
    shares: tuple[float, ...] = (0.1, 0.01)
    wrongs: tuple[float, ...] = (0.1, 0.2, 0.4)
    wrongs_others: tuple[float, ...] = (0.1, 0.2)  # without robust_pairs
    wrong_on: tuple[str, ...] = ("faces", "speech")
    readings: tuple[str, ...] = ("input", *READINGS)
    steps: tuple[float, ...] = (1 / 6, 1 / 3)
    steps_on: tuple[str, ...] = ("faces", "photographs", "speech")
    large: bool = True
    options_on: tuple[str, ...] = (*data.NAMES, data.MNIST)
    more_hsic_on: tuple[str, ...] = ("digits", "speech", data.MNIST)  # whose rest leaks
    letters: bool = True


WHOLE = Extent()
TINY = Extent(
    names=("faces", "digits"),
    backbones=("beta",),
    multiples=(0.2,),
    seeds=(0,),
    few_seeds=(0,),
    more_seeds=(),
    shares=(0.5,),
    wrongs=(0.4,),
    wrongs_others=(0.4,),
    wrong_on=("faces",),
    readings=("input",),
    steps=(0.5,),
    steps_on=("faces",),
    large=False,
    options_on=("digits",),
    more_hsic_on=("digits",),
    letters=False,
)
TINY_SETTINGS = Settings(steps=4, images=64, epochs=2, n_faces=400, n_fit=128)


def grid_runs(extent: Extent) -> Iterable[Run]:
    """One seed per weight, for each competitor."""
    for name in extent.names:
        for scheme in extent.competitors if name == "faces" else ON_REAL_DATA:
            for multiple in extent.multiples:
                yield Run("grid", name, scheme, multiple=multiple, seed=GRID_SEED)


def lower_grid_runs(extent: Extent, multiples: Mapping[tuple[str, str], float]) -> Iterable[Run]:
    """Half the lowest of several weights, for the competitors whose best weight it is."""
    for (name, scheme), multiple in multiples.items():
        if multiple == min(extent.multiples) < max(extent.multiples):
            yield Run("grid", name, scheme, multiple=multiple / 2, seed=GRID_SEED)


def choose_multiples(lines: Iterable[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """(data set, scheme) -> the multiple with the highest mean of D, C and I.

    Only weights whose error is at most twice the lowest are considered: an overly strong KL
    scores well on codes that carry little information.
    """
    trials: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for line in lines:
        run = Run(**line["run"])
        if run.part == "grid" and not line.get("diverged"):
            score = mean(line[name] for name in "DCI")
            trial = (score, run.multiple, line["error"])
            trials.setdefault((run.data, run.scheme), []).append(trial)
    chosen = {}
    for key, candidates in trials.items():
        lowest = min(error for _, _, error in candidates)
        chosen[key] = max(trial for trial in candidates if trial[2] <= 2 * lowest)[1]
    return chosen


def main_runs(extent: Extent) -> Iterable[Run]:
    """Gated and ungated models, seed by seed, so that a partial study is usable."""
    for seed in extent.seeds:
        for name in extent.names:
            for scheme in _schemes(extent, seed):
                yield Run("main", name, scheme, seed=seed)
        if seed in extent.few_seeds:
            for name in extent.wrong_on:
                for wrong in extent.wrongs:
                    yield Run("labels", name, "gated", wrong=wrong, seed=seed)
                for wrong in extent.wrongs_others:
                    for scheme in ("not robust", "zero rest"):
                        yield Run("labels", name, scheme, wrong=wrong, seed=seed)
        for backbone in extent.backbones[1:]:
            for scheme in _schemes(extent, seed):
                yield Run("main", "faces", scheme, backbone, BACKBONES[backbone], seed=seed)
        if seed in extent.few_seeds:
            for share in extent.shares:
                yield Run("labels", "faces", "gated", share=share, seed=seed)
            for reading in extent.readings:
                yield Run("input", "faces", reading, seed=seed)
            for name in extent.options_on:
                compared = () if name in extent.names else ("gated", "ungated")
                for scheme in (*OPTIONS, *compared):
                    yield Run("options", name, scheme, seed=seed)
            for name in extent.more_hsic_on:
                yield Run("options", name, "hsic 20", seed=seed)
            if extent.letters:
                for scheme in ("gated", "ungated", "0.1", *ON_LETTERS):
                    yield Run("options", data.LETTERS, scheme, seed=seed)
            for name in extent.steps_on:
                for steps in extent.steps:
                    for scheme in ("gated", "ungated", "0.1", "zero rest"):
                        yield Run("steps", name, scheme, steps=steps, seed=seed)
    for seed in extent.more_seeds:
        backbone = extent.more_seeds_on
        for scheme in ("gated", "ungated"):
            yield Run("main", "faces", scheme, backbone, BACKBONES[backbone], seed=seed)
    if extent.large:  # one seed
        for backbone, multiple in BACKBONES.items():
            for scheme in ("gated", "ungated"):
                yield Run("large", data.LARGE, scheme, backbone, multiple)


def _schemes(extent: Extent, seed: int) -> tuple[str, ...]:
    """Version 0.1 and ungated models with the schedule are for comparison, on few seeds."""
    return ("gated", "ungated", *(["0.1", "schedule"] if seed in extent.few_seeds else []))


def competitor_runs(extent: Extent, multiples: dict[tuple[str, str], float]) -> Iterable[Run]:
    """Competitors, each with its best weight."""
    for seed in extent.few_seeds:
        for (name, scheme), multiple in multiples.items():
            yield Run("competitors", name, scheme, multiple=multiple, seed=seed)
