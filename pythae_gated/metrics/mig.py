"""The mutual information gap."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pythae_gated.metrics.bins import binned_rows, entropy, mutual_information
from pythae_gated.metrics.factors import Factors, FloatArray


@dataclass(frozen=True, eq=False)
class MIG:
    """The mutual information gap of each factor.

    Attributes:
        gaps: Factor -> gap, from 0 to 1: by how much the dimension that tells most of it is ahead
            of the next, in units of the factor's entropy.
        mutual_information: Shape (L, F), in nats.
    """

    gaps: dict[str, float]
    mutual_information: FloatArray

    @property
    def score(self) -> float:
        """The mean gap over factors."""
        return float(np.mean(list(self.gaps.values())))


def mig(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    *,
    discrete: Iterable[str] | None = None,
    n_bins: int = 20,
) -> MIG:
    """Say by how much one dimension is ahead of all others in telling of each factor.

    With I_ij the mutual information of dimension i and factor j, and i* the best dimension,

        gap_j = (I_i*j - max_{i != i*} I_ij) / H_j      MIG = mean of gap_j

    It is 1 where one dimension, and no other, tells all of the factor. A factor that lies in
    several dimensions, as one of many classes must, has a low gap.

    Args:
        codes: Shape (N, L). Each dimension is put into bins of equal width.
        factors: Name -> (N,) values, or an array (N, F). Ints, bools and texts are classes,
            floats are put into bins of equal width as the codes are. Rows where a factor is NaN
            or None are left out for that factor.
        discrete: Names of the factors that are classes; None goes by their dtype.
        n_bins: Bins of each dimension and of each continuous factor, at least 2; 20 are what
            disentanglement_lib takes.

    Raises:
        ValueError: Where codes are not finite numbers (N, L) of at least two dimensions, or a
            factor has another length, fewer than two values, or no value twice.

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
    rows = binned_rows(codes, factors, discrete, n_bins)
    information = mutual_information(rows)
    gaps = lead(information) / [entropy(factor) for factor in rows.factors]
    return MIG(
        gaps={f.name: float(gap) for f, gap in zip(rows.factors, gaps, strict=True)},
        mutual_information=information,
    )


def lead(
    table: FloatArray,  # (L, F)
) -> FloatArray:  # (F,)
    """By how much the best dimension is ahead of the next, for each factor.

    Raises:
        ValueError: Where there are fewer than two dimensions.

    Example:
        >>> lead(np.array([[1.0, 0.0], [0.25, 0.5], [0.5, 0.5]]))
        array([0.5, 0. ])
    """
    if len(table) < 2:
        raise ValueError(
            f"codes of {len(table)} dimension: expected at least 2, since the gap is between the "
            "two that tell most of a factor"
        )
    second, best = np.sort(table, axis=0)[-2:]
    gaps: FloatArray = best - second
    return gaps
