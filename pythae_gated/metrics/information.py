"""Metrics of the mutual information between dimensions and factors: MIG and modularity."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import mutual_info_score

from pythae_gated.metrics.factors import (
    Array,
    Factor,
    Factors,
    FloatArray,
    LabelledCodes,
    check_values,
    label_codes,
)


@dataclass(frozen=True, eq=False)
class MIG:
    """The mutual information gap.

    Attributes:
        score: The mean gap over factors, from 0 to 1.
        gaps: Factor -> how far the best dimension is ahead of the second.
        mutual_information: Shape (L, F), in nats.
    """

    score: float
    gaps: dict[str, float]
    mutual_information: FloatArray


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
) -> MIG:
    """The mutual information gap: how far the best dimension of each factor is ahead.

    With I_ij the mutual information of dimension i and factor j, and i* the best dimension,

        gap_j = (I_i*j - max_{i != i*} I_ij) / H_j      MIG = mean of gap_j

    It is 1 if a single dimension determines the factor and no other is informative about it. A
    factor that is encoded in several dimensions has a low gap.

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
    information, binned = _mutual_information(
        label_codes(codes, factors, discrete, unknown), n_bins
    )
    entropies = [mutual_info_score(f.known_values, f.known_values) for f in binned]
    gaps = best_minus_second(information) / entropies
    by_factor = dict(zip([f.name for f in binned], gaps.tolist(), strict=True))
    return MIG(float(gaps.mean()), by_factor, information)


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
    information, _ = _mutual_information(label_codes(codes, factors, discrete, unknown), n_bins)
    squared = np.square(information)
    largest = squared.max(axis=1)
    others = (squared.sum(axis=1) - largest) / max(squared.shape[1] - 1, 1)
    by_dimension = np.where(largest > 0, 1 - others / np.where(largest > 0, largest, 1), 0.0)
    return Modularity(float(by_dimension.mean()), by_dimension, information)


def best_minus_second(table: FloatArray) -> FloatArray:  # (L, F) -> (F,)
    """The highest value of each column minus the second-highest.

    Raises:
        ValueError: If there are fewer than two dimensions.

    Example:
        >>> best_minus_second(np.array([[1.0, 0.0], [0.25, 0.5], [0.5, 0.5]]))
        array([0.5, 0. ])
    """
    if len(table) < 2:
        raise ValueError(
            f"codes of {len(table)} dimension: expected at least 2, since the gap is between the "
            "two best"
        )
    second, best = np.sort(table, axis=0)[-2:]
    gaps: FloatArray = best - second
    return gaps


def bin_values(values: Array, n_bins: int) -> Array:
    """The bin of each value, from 0, of bins of equal width between the extremes.

    Values that differ by no more than rounding errors are in one bin.

    Raises:
        ValueError: If there are fewer than two bins.

    Example:
        >>> bin_values(np.array([0.0, 0.4, 0.6, 1.0]), n_bins=2)
        array([0, 0, 1, 1])
    """
    if n_bins < 2:
        raise ValueError(f"n_bins={n_bins}: expected at least 2")
    values = values.astype(np.result_type(values, np.float32))
    rounding = np.finfo(values.dtype).eps * np.abs(values).max(initial=0)
    if len(values) == 0 or np.ptp(values) <= n_bins * rounding:
        return np.zeros(len(values), dtype=np.int64)
    return np.digitize(values, np.histogram(values, n_bins)[1][1:-1])


def discretise(factor: Factor, n_bins: int) -> Factor:
    """The factor with its classes, numbered from 0; a continuous one in bins.

    Raises:
        ValueError: If it has fewer than two classes, or no class twice.
    """
    known = factor.known_values
    if not factor.discrete:
        known = bin_values(known, n_bins)
    values = np.zeros(len(factor.values), dtype=np.int64)
    values[factor.known] = np.unique(known, return_inverse=True)[1]
    numbered = replace(factor, values=values, discrete=True)
    check_values(factor if factor.discrete else numbered)
    return numbered


def _mutual_information(
    labelled: LabelledCodes, n_bins: int
) -> tuple[FloatArray, list[Factor]]:  # (L, F), and the factors in bins
    """I(dimension; factor) in nats, each over the rows in which the factor is known."""
    columns = [bin_values(code, n_bins) for code in labelled.codes.T]
    binned = [discretise(factor, n_bins) for factor in labelled.factors]
    information = [
        [mutual_info_score(f.known_values, column[f.known]) for f in binned] for column in columns
    ]
    return np.array(information), binned
