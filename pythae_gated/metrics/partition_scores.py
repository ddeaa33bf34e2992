"""Where among the partitions each factor lies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pythae_gated.errors import PartitionError
from pythae_gated.metrics.factors import Factors, FloatArray
from pythae_gated.metrics.forests import (
    Rows,
    chance,
    fit_and_test_rows,
    p_value,
    predict,
)
from pythae_gated.partitions import Partitions


@dataclass(frozen=True, eq=False)
class PartitionScores:
    """How well each factor is told from each partition alone.

    Attributes:
        scores: Shape (K, F): accuracy of a discrete factor, R2 of a continuous one (0 where it
            is negative), on held-out rows.
        chance: Shape (F,): the same, of who does not see the codes: the share of the commonest
            class among the held-out rows, or 0.
        p_values: Shape (K, F): how likely a score as high is where codes tell nothing: the share
            of permutations of the held-out labels that score as high, themselves included. Its
            least value is 1 / (permutations + 1).
    """

    scores: FloatArray
    chance: FloatArray
    p_values: FloatArray


def partition_share(
    importance: FloatArray,  # (L, F)
    partitions: Partitions,
) -> FloatArray:  # (K, F)
    """The share of each factor's importance that lies in each partition.

    Args:
        importance: As `dci` gives it.
        partitions: The K partitions of the L dimensions.

    Returns:
        Shape (K, F). A column sums to 1, or is 0 where no dimension tells of the factor.

    Raises:
        PartitionError: Where the partitions do not sum to L.

    Example:
        >>> importance = np.array([[0.5, 0.0], [0.25, 0.0], [0.25, 1.0]])
        >>> partition_share(importance, Partitions({"pose": 2, "rest": 1}))
        array([[0.75, 0.  ],
               [0.25, 1.  ]])
    """
    _check_dimensions(len(importance), partitions)
    shares = np.stack([importance[where].sum(axis=0) for where in partitions.slices.values()])
    totals = shares.sum(axis=0)
    return shares / np.where(totals > 0, totals, 1)


def partition_scores(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    partitions: Partitions,
    *,
    test: tuple[npt.ArrayLike, Factors] | None = None,
    discrete: Iterable[str] | None = None,
    permutations: int = 199,
    draws: int = 1,
    seed: int = 0,
    n_jobs: int | None = -1,
) -> PartitionScores:
    """How well a random forest tells each factor from each partition's dimensions alone.

    Importance says where a forest that sees everything looks; this says what else lies in a
    partition that it need not look at, and whether that is more than chance: a permutation test
    compares the score with those of the same predictions against shuffled labels. Arguments not
    named here are those of `dci`.

    Args:
        codes: Shape (N, L).
        factors: As for `dci`.
        partitions: The K partitions of the L dimensions.
        test: As for `dci`.
        discrete: As for `dci`.
        permutations: Of the test, at least 1.
        draws: The held-out rows are so many codes of the same items, one draw after another
            (which needs `test`): an item's labels are shuffled together.
        seed: Of the split, the forests and the permutations.
        n_jobs: As for `dci`.

    Raises:
        PartitionError: Where the partitions do not sum to L.
        ValueError: As `dci` does, or where permutations or draws do not fit.

    Reference:
        Ojala and Garriga, "Permutation Tests for Studying Classifier Performance", JMLR 2010.

    Example:
        >>> codes = np.random.default_rng(0).uniform(size=(1000, 3))
        >>> partitions = Partitions({"pose": 2, "rest": 1})
        >>> partition_scores(codes, {"yaw": codes[:, 0]}, partitions).scores.round(1)
        array([[1.],
               [0.]])
    """
    fitted, tested = fit_and_test_rows(codes, factors, test, discrete, seed)
    _check_dimensions(fitted.codes.shape[1], partitions)
    _check_test(permutations, draws, len(tested.codes), test is not None)
    found = predict(fitted, tested, list(partitions.slices.values()), seed, n_jobs)
    rng = np.random.default_rng(seed)
    settings: dict[str, Any] = {"permutations": permutations, "draws": draws}
    p_values = [
        [
            p_value(prediction.predicted, factor, rng=rng, **settings)
            for prediction, factor in zip(row, tested.factors, strict=True)
        ]
        for row in found
    ]
    return PartitionScores(
        scores=np.array([[prediction.score for prediction in row] for row in found]),
        chance=np.array([chance(factor) for factor in tested.factors]),
        p_values=np.array(p_values),
    )


def leakage(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    partitions: Partitions,
    intended: Mapping[str, str],
    *,
    test: tuple[npt.ArrayLike, Factors] | None = None,
    discrete: Iterable[str] | None = None,
    seed: int = 0,
    n_jobs: int | None = -1,
) -> dict[str, float]:
    """How much of each factor lies where it was not meant to: told without its own partition.

    A random forest tells the factor from the dimensions of all other partitions together. With s
    its score on held-out rows and c that of chance, leakage is (s - c) / (1 - c): 0 where the
    others tell nothing, 1 where they tell all. A share of importance does not show this: a forest
    that sees everything has no need to look at a second, noisier copy. Arguments not named here
    are those of `dci`.

    Args:
        codes: Shape (N, L).
        factors: As for `dci`.
        partitions: The partitions of the L dimensions.
        intended: Factor -> the partition it was meant for. Other factors are left out.
        test: As for `dci`.
        discrete: As for `dci`.
        seed: Of the split and of the forests.
        n_jobs: As for `dci`.

    Returns:
        Factor -> leakage, 0 where there is no other partition.

    Raises:
        PartitionError: Where the partitions do not sum to L, or lack one that is named.
        ValueError: As `dci` does, or where `intended` names no factor.

    Example:
        >>> codes = np.random.default_rng(0).uniform(size=(1000, 2))
        >>> codes[:, 1] = codes[:, 0]  # a second copy, in the other partition
        >>> both = Partitions({"pose": 1, "rest": 1})
        >>> round(leakage(codes, {"yaw": codes[:, 0]}, both, {"yaw": "pose"})["yaw"], 1)
        1.0
    """
    fitted, tested = fit_and_test_rows(codes, factors, test, discrete, seed)
    _check_dimensions(fitted.codes.shape[1], partitions)
    _check_intended(intended, fitted, partitions)
    leaks = dict.fromkeys(intended, 0.0)
    for partition, where in partitions.slices.items():
        meant = [factor for factor, name in intended.items() if name == partition]
        others = np.delete(np.arange(partitions.latent_dim), where)
        if meant and len(others):
            sides = _only(fitted, meant), _only(tested, meant)
            (found,) = predict(*sides, [others], seed, n_jobs)
            for prediction, factor in zip(found, sides[1].factors, strict=True):
                guess = chance(factor)
                above = max(0.0, prediction.score - guess)
                leaks[factor.name] = above / (1 - guess) if guess < 1 else 0.0
    return leaks


def _only(rows: Rows, names: Iterable[str]) -> Rows:
    return Rows(rows.codes, [factor for factor in rows.factors if factor.name in names])


def _check_intended(intended: Mapping[str, str], rows: Rows, partitions: Partitions) -> None:
    names = [factor.name for factor in rows.factors]
    for factor, partition in intended.items():
        if factor not in names:
            raise ValueError(
                f"intended names the factor {factor!r}; the factors are {', '.join(names)}"
            )
        partitions.resolve(partition)


def _check_test(permutations: int, draws: int, rows: int, given: bool) -> None:
    if permutations < 1:
        raise ValueError(f"permutations={permutations}: expected at least 1")
    if draws < 1 or rows % draws or (draws > 1 and not given):
        raise ValueError(
            f"draws={draws} for {rows} held-out rows: expected so many codes of each item, one "
            "draw after another, given as test"
        )


def _check_dimensions(dimensions: int, partitions: Partitions) -> None:
    if dimensions != partitions.latent_dim:
        raise PartitionError(
            f"the partitions {partitions.sizes} sum to {partitions.latent_dim}; the codes have "
            f"{dimensions} dimensions"
        )
