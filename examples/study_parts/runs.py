"""The runs of the study, and how the weight of the KL is chosen."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean
from typing import Any

import cmu_faces

GRID_SEED = 100  # weights are chosen on a seed that is used for nothing else
CLAIM = (  # scheme, what is labelled
    ("ungated", "rest"),
    ("target", "rest"),
    ("target", "all"),
    ("input", "rest"),
    ("input", "all"),
)
# The loss of version 0.1, which the first edition of the study is about.
FIRST_SCHEME = {"agreement": 0.0, "labelled_kl": 1.0, "swap_consistency": 0.0}
PHOTOGRAPH_LEARNING_RATE = 1e-3  # of the first edition
NOISE = 0.2  # share of wrong labels in the runs of "noise remedies"
LEAKY_WEIGHT = 0.02  # of the KL; low enough for the rest to leak


@dataclass(frozen=True)
class Settings:
    """Settings that all runs of a study share."""

    image_size: int = 32
    n_train: int = 20_000
    n_test: int = 4_000
    n_fit: int = 5_000  # training images that the forests are fitted on
    epochs: int = 20  # images decoded over training images: the budget of every run
    batch: int = 128  # images decoded per step
    learning_rate: float = 2e-3
    photograph_steps: int = 4_000


@dataclass(frozen=True)
class Run:
    """One model to train and evaluate. `part` is the table that it belongs to."""

    part: str
    backbone: str  # "beta", "info" or "dip"
    scheme: str  # "ungated", "input", "target", a competitor or a remedy
    weight: float  # of the KL: beta, 1 - alpha, or for DIP-VAE the variance of the pixel noise;
    # match pairing has no KL: a hundredth of the weight is its learning rate
    labelled: str = "rest"  # "all", or "rest": identity is not labelled
    share: float = 1.0  # of the training images that are labelled
    wrong: float = 0.0  # share of the labels that are replaced by another image's
    option: str = ""  # a change of the training
    seed: int = 0  # for photographs: the fold

    def __str__(self) -> str:
        words = [self.part, self.backbone, self.scheme, f"weight {self.weight:g}", self.labelled]
        words += [f"labelled {self.share:.0%}"] * (self.share < 1)
        words += [f"wrong {self.wrong:.0%}"] * (self.wrong > 0)
        return ", ".join([*words, *[self.option] * bool(self.option), f"seed {self.seed}"])


@dataclass(frozen=True)
class Extent:
    """The values that a study covers."""

    weights: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)  # of the KL, to choose from
    backbones: tuple[str, ...] = ("beta", "info", "dip")
    competitors: tuple[str, ...] = ("target", "input", "group", "ada", "match", "supervised")
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    few_seeds: tuple[int, ...] = (0, 1, 2)
    shares: tuple[float, ...] = (0.1, 0.01)
    wrongs: tuple[float, ...] = (0.1, 0.2, 0.4)
    leakage_remedies: tuple[tuple[str, str], ...] = (  # scheme, option
        ("target", ""),
        ("costly rest", ""),
        ("independent rest", ""),
        ("independent rest", "ten times the weight"),
        ("blind rest", ""),
        ("blind rest", "ten times the weight"),
    )
    photograph_remedies: tuple[str, ...] = ("blind rest",)
    noise_remedies: tuple[tuple[str, str], ...] = (
        ("trimmed pairs", ""),
        ("weighed pairs", ""),
        ("target", "warm start"),
        ("target", "three times the self pairs"),
    )
    trimmed_wrongs: tuple[float, ...] = (0.0, 0.1, 0.4)  # beside NOISE
    error_options: tuple[tuple[str, str], ...] = (  # backbone, option
        ("beta", "twice the steps"),
        ("beta", "three times the self pairs"),
        ("beta", "half of beta"),
        ("beta", "warm start"),
        ("beta", "warm-up of beta"),
        ("dip", "twice the steps"),
        ("dip", "half of beta"),
        ("dip", "three times the self pairs"),
    )
    input_options: tuple[str, ...] = ("twice the steps", "warm start", "no self pairs")
    folds: tuple[int, ...] = (0, 1, 2, 3, 4)  # of the photographs, one with each seed


WHOLE = Extent()
TINY = Extent(
    weights=(0.02,),
    backbones=("beta",),
    competitors=("match", "supervised"),
    seeds=(0,),
    few_seeds=(0,),
    shares=(0.5,),
    wrongs=(0.4,),
    leakage_remedies=(("blind rest", ""),),
    noise_remedies=(("trimmed pairs", ""),),
    trimmed_wrongs=(0.4,),
    error_options=(("beta", "warm start"), ("beta", "warm-up of beta")),
    input_options=("no self pairs",),
    folds=(0,),
)
TINY_SETTINGS = Settings(
    n_train=256, n_test=128, n_fit=128, epochs=4, batch=64, photograph_steps=4
)


def grid_runs(extent: Extent) -> Iterable[Run]:
    """One seed per weight, for the ungated models and for each competitor."""
    for backbone in extent.backbones:
        for weight in extent.weights:
            yield Run("grid", backbone, "ungated", weight, seed=GRID_SEED)
    for scheme in extent.competitors:
        for weight in extent.weights:
            yield Run("grid", "beta", scheme, weight, seed=GRID_SEED)


def choose_weights(lines: Iterable[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """(backbone, scheme) -> the weight with the highest mean of D, C and I.

    Only weights whose reconstruction error is at most twice the lowest are considered: an
    overly strong KL scores well on codes that carry little information.
    """
    trials: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for line in lines:
        run = Run(**line["run"])
        if run.part == "grid" and not line.get("diverged"):
            informativeness = mean(line["informativeness"].values())
            score = line["disentanglement"] + line["completeness"] + informativeness
            trial = (score, run.weight, line["reconstruction_error"])
            trials.setdefault((run.backbone, run.scheme), []).append(trial)
    chosen = {}
    for key, candidates in trials.items():
        lowest = min(error for _, _, error in candidates)
        chosen[key] = max(trial for trial in candidates if trial[2] <= 2 * lowest)[1]
    return chosen


def main_runs(extent: Extent, weights: dict[tuple[str, str], float]) -> Iterable[Run]:
    """All runs but the grid and the timings, seed by seed, so that a partial study is usable."""
    beta = weights["beta", "ungated"]
    for seed in extent.seeds:
        for backbone in extent.backbones:
            weight = weights[backbone, "ungated"]
            for scheme, labelled in CLAIM:
                yield Run("claim", backbone, scheme, weight, labelled, seed=seed)
        for scheme in extent.competitors:
            if (scheme, weights["beta", scheme]) not in (("target", beta), ("input", beta)):
                yield Run("competitors", "beta", scheme, weights["beta", scheme], seed=seed)
        if seed in extent.folds:
            for scheme in ("ungated", "target", "group"):
                yield Run("photographs", "beta", scheme, cmu_faces.BETA, seed=seed)
            if seed in extent.few_seeds:
                for scheme in extent.photograph_remedies:
                    yield Run("photograph leakage", "beta", scheme, cmu_faces.BETA, seed=seed)
        if seed not in extent.few_seeds:
            continue
        for share in extent.shares:
            yield Run("weak", "beta", "target", beta, share=share, seed=seed)
        for wrong in extent.wrongs:
            yield Run("noisy", "beta", "target", beta, wrong=wrong, seed=seed)
        for scheme, option in extent.noise_remedies:
            yield Run(
                "noise remedies", "beta", scheme, beta, wrong=NOISE, option=option, seed=seed
            )
        for wrong in extent.trimmed_wrongs:
            yield Run("trimmed", "beta", "trimmed pairs", beta, wrong=wrong, seed=seed)
        for scheme, option in extent.leakage_remedies:
            yield Run("leakage", "beta", scheme, LEAKY_WEIGHT, option=option, seed=seed)
        for backbone, option in extent.error_options:
            weight = weights[backbone, "ungated"] / (2 if option == "half of beta" else 1)
            yield Run("error", backbone, "target", weight, option=option, seed=seed)
        for option in extent.input_options:
            # Without self pairs a rest would not be trained.
            labelled = "all" if option == "no self pairs" else "rest"
            yield Run("input", "beta", "input", beta, labelled, option=option, seed=seed)
    for scheme, labelled in CLAIM if "info" in extent.backbones else ():
        yield Run("mmd", "info", scheme, 0.05, labelled, option="lambda 1", seed=extent.seeds[0])


def cost_runs(extent: Extent, weights: dict[tuple[str, str], float]) -> Iterable[Run]:
    """Timings, to be run one at a time."""
    for backbone in extent.backbones:
        yield Run("cost", backbone, "all", weights[backbone, "ungated"])
