"""In which partitions each factor is encoded: shares of importance, scores and leakage."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pythae_gated.datasets.frames import check_index
from pythae_gated.metrics.factors import Factors, FloatArray
from pythae_gated.metrics.forests import chance, p_value, predict
from pythae_gated.metrics.splits import read_groups, split_codes
from pythae_gated.partitions import Partitions


@dataclass(frozen=True, eq=False)
class PartitionScores:
    """How well each factor is predicted from each partition only.

    Attributes:
        scores: Shape (K, F): accuracy of a discrete factor, R2 of a continuous one (0 if
            negative), on held-out rows.
        chance: Shape (F,): the score of a constant predictor: the share of the most frequent
            class among the held-out rows, or 0.
        p_values: Shape (K, F): the share of permutations of the held-out labels that score as
            high, including the identity; at least 1 / (permutations + 1).
    """

    scores: FloatArray
    chance: FloatArray
    p_values: FloatArray


def partition_share(importance: FloatArray, partitions: Partitions) -> FloatArray:  # (K, F)
    """The share of each factor's importance in each partition.

    Args:
        importance: Shape (L, F), as from `dci`.
        partitions: The K partitions of the L dimensions.

    Returns:
        Shape (K, F). A column sums to 1, or is 0 if no dimension predicts the factor.

    Raises:
        PartitionError: If the partitions do not sum to L.

    Example:
        >>> importance = np.array([[0.5, 0.0], [0.25, 0.0], [0.25, 1.0]])
        >>> partition_share(importance, Partitions({"pose": 2, "rest": 1}))
        array([[0.75, 0.  ],
               [0.25, 1.  ]])
    """
    partitions.check_latent_dim(len(importance), "the codes have")
    shares = np.stack([importance[at].sum(axis=0) for at in partitions.slices.values()])
    totals = shares.sum(axis=0)
    return shares / np.where(totals > 0, totals, 1)


def partition_scores(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    partitions: Partitions,
    *,
    test: tuple[npt.ArrayLike, Factors] | None = None,
    discrete: Iterable[str] | None = None,
    unknown: Any = None,
    permutations: int = 199,
    draws: int = 1,
    groups: npt.ArrayLike | None = None,  # (rows of test,)
    seed: int = 0,
    n_jobs: int | None = -1,
) -> PartitionScores:
    """How well a random forest predicts each factor from the dimensions of one partition.

    Importance shows which dimensions a forest on all dimensions uses; these scores show what else
    a partition encodes, and whether it is more than chance: a permutation test compares the score
    with those of the same predictions for shuffled labels.

    Args:
        codes: Shape (N, L).
        factors: As for `dci`.
        partitions: The K partitions of the L dimensions.
        test: As for `dci`.
        discrete: As for `dci`.
        unknown: As for `dci`.
        permutations: Number of permutations, at least 1.
        draws: The rows of `test` are this many samples of the same items, one set after another;
            the labels of an item are permuted together.
        groups: A label per row of `test`, if rows of one group are not independent: a factor that
            is constant in each group (but for a tenth of all rows) is permuted by group.
        seed: Of the split, the forests and the permutations.
        n_jobs: As for `dci`.

    Raises:
        PartitionError: If the partitions do not sum to L.
        ValueError: As `dci`, or if permutations, draws or groups do not fit.

    Reference:
        Ojala and Garriga, "Permutation Tests for Studying Classifier Performance", JMLR 2010.

    Example:
        >>> codes = np.random.default_rng(0).uniform(size=(1000, 3))
        >>> partitions = Partitions({"pose": 2, "rest": 1})
        >>> partition_scores(codes, {"yaw": codes[:, 0]}, partitions).scores.round(1)
        array([[1.],
               [0.]])
    """
    fitted, tested = split_codes(codes, factors, test, discrete, unknown, seed)
    partitions.check_latent_dim(fitted.codes.shape[1], "the codes have")
    if permutations < 1:
        raise ValueError(f"permutations={permutations}: expected at least 1")
    rows = len(tested.codes)
    if draws < 1 or rows % draws or (draws > 1 and test is None):
        raise ValueError(
            f"draws={draws} for {rows} held-out rows: expected as many samples of each item, one "
            "set after another, given as test"
        )
    check_index(None if test is None else test[0], {"groups": groups})
    numbers = None if groups is None else read_groups(groups)
    if numbers is not None and (len(numbers) != rows or np.isnan(numbers).any()):
        raise ValueError(
            f"{len(numbers)} groups for {rows} rows to test: expected as many, none missing"
        )
    found = [predict(fitted, tested, at, seed, n_jobs) for at in partitions.slices.values()]
    rng = np.random.default_rng(seed)
    p_values = [
        [p_value(each.predicted, each.factor, permutations, draws, rng, numbers) for each in row]
        for row in found
    ]
    return PartitionScores(
        scores=np.array([[each.score for each in row] for row in found]),
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
    unknown: Any = None,
    seed: int = 0,
    n_jobs: int | None = -1,
) -> dict[str, float]:
    """How well each factor is predicted without the partition assigned to it.

    A random forest predicts the factor from all other partitions together. With s its score on
    held-out rows and c that of a constant predictor, leakage is (s - c) / (1 - c), and at least
    0: 0 if the others reveal nothing, 1 if they reveal all. Shares of importance do not show
    this: a forest on all dimensions has no need for a second, noisier copy of a factor.

    Args:
        codes: Shape (N, L).
        factors: As for `dci`.
        partitions: The partitions of the L dimensions.
        intended: Factor -> the partition assigned to it. Other factors are ignored.
        test: As for `dci`.
        discrete: As for `dci`.
        unknown: As for `dci`.
        seed: Of the split and the forests.
        n_jobs: As for `dci`.

    Returns:
        Factor -> leakage; 0 if there is no other partition.

    Raises:
        PartitionError: If the partitions do not sum to L, or an assigned one does not exist.
        ValueError: As `dci`, or if `intended` has an unknown factor, or one with a single value
            in the rows to test.

    Example:
        >>> codes = np.random.default_rng(0).uniform(size=(1000, 2))
        >>> codes[:, 1] = codes[:, 0]  # a second copy, in the other partition
        >>> both = Partitions({"pose": 1, "rest": 1})
        >>> round(leakage(codes, {"yaw": codes[:, 0]}, both, {"yaw": "pose"})["yaw"], 1)
        1.0
    """
    fitted, tested = split_codes(codes, factors, test, discrete, unknown, seed)
    partitions.check_latent_dim(fitted.codes.shape[1], "the codes have")
    check_intended(intended, [factor.name for factor in fitted.factors], partitions)
    leaks = dict.fromkeys(intended, 0.0)
    for name, own in intended.items():
        others = np.delete(np.arange(partitions.latent_dim), partitions.slices[own])
        if len(others):
            sides = fitted.select([name]), tested.select([name])
            (factor,) = sides[1].factors
            if factor.n_distinct < 2:
                raise ValueError(f"factor {name!r} takes a single value in the rows to test")
            (found,) = predict(*sides, others, seed, n_jobs)
            guess = chance(factor)
            leaks[name] = max(0.0, found.score - guess) / (1 - guess)
    return leaks


def check_intended(
    intended: Mapping[str, str], names: Iterable[str], partitions: Partitions
) -> None:
    """Refuse assignments of unknown factors, or to anything but one existing partition.

    Raises:
        PartitionError: If a partition does not exist.
        ValueError: If a factor does not exist, or is assigned to several partitions.
    """
    if not isinstance(intended, Mapping):
        raise ValueError(f"intended is {intended!r}: expected a mapping factor -> partition")
    for factor, partition in intended.items():
        if factor not in names:
            raise ValueError(f"intended has {factor!r}; the factors are {', '.join(names)}")
        if not isinstance(partition, str):
            raise ValueError(f"intended assigns {factor!r} to {partition!r}: expected one name")
        partitions.resolve(partition)
