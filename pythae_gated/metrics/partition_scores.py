"""Where among the partitions each factor lies."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pythae_gated.errors import PartitionError
from pythae_gated.metrics.factors import Factors, FloatArray
from pythae_gated.metrics.prediction import chance, fit_and_test_rows, predict
from pythae_gated.partitions import Partitions


@dataclass(frozen=True, eq=False)
class PartitionScores:
    """How well each factor is told from each partition alone.

    Attributes:
        scores: Shape (K, F): accuracy of a discrete factor, R2 of a continuous one (0 where it
            is negative), on held-out rows.
        chance: Shape (F,): the same, of who does not see the codes: the share of the commonest
            class among the held-out rows, or 0.
    """

    scores: FloatArray
    chance: FloatArray


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
    seed: int = 0,
    n_jobs: int | None = -1,
) -> PartitionScores:
    """How well a random forest tells each factor from each partition's dimensions alone.

    Importance says where a forest that sees everything looks; this says what else lies in a
    partition that it need not look at. Arguments other than `partitions` are those of `dci`.

    Raises:
        PartitionError: Where the partitions do not sum to L.
        ValueError: As `dci` does.

    Example:
        >>> codes = np.random.default_rng(0).uniform(size=(1000, 3))
        >>> partitions = Partitions({"pose": 2, "rest": 1})
        >>> partition_scores(codes, {"yaw": codes[:, 0]}, partitions).scores.round(1)
        array([[1.],
               [0.]])
    """
    fitted, tested = fit_and_test_rows(codes, factors, test, discrete, seed)
    _check_dimensions(fitted.codes.shape[1], partitions)
    found = predict(fitted, tested, list(partitions.slices.values()), seed, n_jobs)
    return PartitionScores(
        scores=np.array([[prediction.score for prediction in row] for row in found]),
        chance=np.array([chance(factor) for factor in tested.factors]),
    )


def _check_dimensions(dimensions: int, partitions: Partitions) -> None:
    if dimensions != partitions.latent_dim:
        raise PartitionError(
            f"the partitions {partitions.sizes} sum to {partitions.latent_dim}; the codes have "
            f"{dimensions} dimensions"
        )
