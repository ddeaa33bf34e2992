"""Metrics of the mutual information between dimensions and factors: MIG and modularity."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from pythae_gated.metrics.factors import Array, Factors, FloatArray, bin_values, label_codes


@dataclass(frozen=True, eq=False)
class Gaps:
    """Result of `mig` or `sap`.

    Attributes:
        score: The mean gap over factors, from 0 to 1.
        gaps: Factor -> how far the best dimension is ahead of the second.
        scores: Shape (L, F), between which the gaps are. Of `mig`: mutual information in nats. Of
            `sap`: accuracy on held-out rows for a discrete factor, squared correlation in the
            fitted rows for a continuous one.
    """

    score: float
    gaps: dict[str, float]
    scores: FloatArray


@dataclass(frozen=True, eq=False)
class Modularity:
    """Whether each dimension is informative about a single factor.

    Attributes:
        score: The mean over dimensions, from 0 to 1.
        by_dimension: Shape (L,); 0 if a dimension is informative about none.
        mutual_information: Shape (L, F), in nats.
    """

    score: float
    by_dimension: FloatArray
    mutual_information: FloatArray


def mig(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    *,
    discrete: Iterable[str] | None = None,
    unknown: Any = None,
    n_bins: int = 20,
) -> Gaps:
    """The mutual information gap: how far the best dimension of each factor is ahead.

    With I_ij the mutual information of dimension i and factor j, and i* the best dimension,

        gap_j = (I_i*j - max_{i != i*} I_ij) / H_j      MIG = mean of gap_j

    It is 1 if a single dimension determines the factor and no other is informative about it; lower
    if the factor has more classes than there are bins, or few rows for each. A factor that is
    encoded in several dimensions has a low gap.

    Args:
        codes: Shape (N, L). Each dimension is divided into bins of equal width.
        factors: As for `dci`; continuous factors are divided into bins of equal width.
        discrete: As for `dci`.
        unknown: As for `dci`.
        n_bins: Bins of each dimension and each continuous factor, at least 2; disentanglement_lib
            uses 20.

    Raises:
        ValueError: If codes are not finite numbers (N, L) of at least two dimensions, or a factor
            has another length, fewer than two values, or no value twice.

    Reference:
        Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders",
        NeurIPS 2018.

    Example:
        >>> size = np.tile([0, 1, 2, 3], 25)
        >>> mig(np.stack([size, np.zeros(100)], axis=1), {"size": size}).score
        1.0
        >>> mig(np.stack([size, size], axis=1), {"size": size}).score
        0.0
    """
    information, entropies = _mutual_information(codes, factors, discrete, unknown, n_bins)
    return find_gaps(information, entropies, np.array([*entropies.values()]))


def modularity(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    *,
    discrete: Iterable[str] | None = None,
    unknown: Any = None,
    n_bins: int = 20,
) -> Modularity:
    """Whether each dimension is informative about a single factor.

    With I_ij the mutual information of dimension i and factor j, and j* the factor with the
    highest,

        M_i = 1 - sum_{j != j*} I_ij^2 / (I_ij*^2 (F - 1))      modularity = mean of M_i

    M_i is 0 if the dimension is informative about no factor. The estimate of the mutual
    information is biased upwards, so a dimension of pure noise may look modular.

    Args:
        codes: As for `mig`.
        factors: As for `mig`.
        discrete: As for `mig`.
        unknown: As for `mig`.
        n_bins: As for `mig`.

    Raises:
        ValueError: As `mig`; one dimension is enough.

    Reference:
        Ridgeway and Mozer, "Learning Deep Disentangled Embeddings With the F-Statistic Loss",
        NeurIPS 2018.

    Example:
        >>> size, turned = np.tile([0, 1, 2, 3], 25), np.repeat([0, 1], 50)
        >>> codes = np.stack([size, turned, np.zeros(100)], axis=1)
        >>> modularity(codes, {"size": size, "turned": turned}).by_dimension.round(2)
        array([1., 1., 0.])
    """
    information, _ = _mutual_information(codes, factors, discrete, unknown, n_bins)
    squared = np.square(information)
    largest = squared.max(axis=1)
    others = (squared.sum(axis=1) - largest) / max(squared.shape[1] - 1, 1)
    by_dimension = np.where(largest > 0, 1 - others / np.where(largest > 0, largest, 1), 0.0)
    return Modularity(float(by_dimension.mean()), by_dimension, information)


def find_gaps(scores: FloatArray, names: Iterable[str], largest: FloatArray | float = 1) -> Gaps:
    """The highest score of each factor minus the second-highest.

    Args:
        scores: Shape (L, F).
        names: Of the factors.
        largest: Shape (F,), the largest possible scores, by which the gaps are divided.

    Raises:
        ValueError: If there are fewer than two dimensions.

    Example:
        >>> scores = np.array([[1.0, 0.0], [0.25, 0.5], [0.5, 0.5]])
        >>> find_gaps(scores, ["yaw", "smile"]).gaps
        {'yaw': 0.5, 'smile': 0.0}
    """
    if len(scores) < 2:
        raise ValueError(f"codes of {len(scores)} dimension: expected at least 2, to have a gap")
    second, best = np.sort(scores, axis=0)[-2:]
    gaps = (best - second) / largest
    return Gaps(float(gaps.mean()), dict(zip(names, gaps.tolist(), strict=True)), scores)


def _mutual_information(
    codes: npt.ArrayLike, factors: Factors, discrete: Any, unknown: Any, n_bins: int
) -> tuple[FloatArray, dict[str, float]]:
    """I(dimension; factor), (L, F), each over the rows in which the factor is known; H(factor)."""
    labelled = label_codes(codes, factors, discrete, unknown)
    columns = [bin_values(code, n_bins) for code in labelled.codes.T]
    binned = [factor.in_bins(n_bins) for factor in labelled.factors]
    information = [[_shared(f.known_values, of[f.known]) for f in binned] for of in columns]
    return np.array(information), {f.name: _shared(f.known_values, f.known_values) for f in binned}


def _shared(a: Array, b: Array) -> float:
    """The mutual information of two columns (N,), without scikit-learn's slow checks."""
    return float(mutual_info_score(a, b, contingency=contingency_matrix(a, b)))
