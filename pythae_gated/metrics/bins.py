"""Codes and factors as classes, and how much the ones tell of the others."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from sklearn.metrics import mutual_info_score

from pythae_gated.metrics.factors import (
    Array,
    Factor,
    Factors,
    FloatArray,
    check_repeats,
    check_varied,
)
from pythae_gated.metrics.forests import Rows, as_rows


def binned_rows(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    discrete: Iterable[str] | None,
    n_bins: int,
) -> Rows:
    """Codes and continuous factors in bins of equal width, discrete factors numbered.

    Raises:
        ValueError: Where codes or factors are of a wrong shape, type or value, there are fewer
            than two bins, or a factor takes fewer than two values or none of them twice.
    """
    rows = as_rows(codes, factors, discrete)
    bins = [binned(code, bin_edges(code, n_bins)) for code in rows.codes.T]
    return Rows(np.stack(bins, axis=1), [as_discrete(factor, n_bins) for factor in rows.factors])


def bin_edges(
    values: Array,  # (N,)
    n_bins: int,
) -> FloatArray:  # (n_bins,)
    """Left edges of bins of equal width from the least value to the greatest.

    Raises:
        ValueError: Where there are fewer than two bins.
    """
    if n_bins < 2:
        raise ValueError(f"n_bins={n_bins}: expected at least 2")
    edges: FloatArray = np.histogram(values, n_bins)[1][:-1]
    return edges


def binned(values: Array, edges: FloatArray) -> Array:
    """The bin of each value, from 1; what lies outside all bins goes into the nearest.

    Example:
        >>> binned(np.array([-1.0, 0.0, 0.6, 9.0]), bin_edges(np.array([0.0, 1.0]), n_bins=2))
        array([1, 1, 2, 2])
    """
    return np.maximum(np.digitize(values, edges), 1)


def classes(factor: Factor, fitted: Factor, n_bins: int) -> Array:
    """The class of each row where the factor is known.

    Args:
        factor: The factor whose classes are asked for.
        fitted: The same factor on the rows whose extremes decide where the bins lie.
        n_bins: Bins of a continuous factor; a discrete one's values are its classes.

    Raises:
        ValueError: Where a continuous factor holds infinite values.
    """
    values = factor.values[factor.known]
    if factor.discrete:
        return values
    if not np.isfinite(values).all():
        raise ValueError(f"factor {factor.name!r} holds inf: expected finite numbers, or NaN")
    return binned(values, bin_edges(fitted.values[fitted.known], n_bins))


def as_discrete(factor: Factor, n_bins: int) -> Factor:
    """The factor with the numbers 0, 1, ... of its classes for values.

    Raises:
        ValueError: Where it takes fewer than two values, or none of them twice.
    """
    known = classes(factor, factor, n_bins)
    check_varied(factor, known)
    check_repeats(factor, known)
    values = np.zeros(len(factor.values), dtype=np.int64)
    values[factor.known] = np.unique(known, return_inverse=True)[1]
    return replace(factor, values=values, discrete=True)


def mutual_information(rows: Rows) -> FloatArray:  # (L, F)
    """I(dimension; factor) in nats, of rows in bins, over those where the factor is known."""
    known = [(factor.known, factor.values[factor.known]) for factor in rows.factors]
    return np.array(
        [[mutual_info_score(values, code[at]) for at, values in known] for code in rows.codes.T]
    )


def entropy(factor: Factor) -> float:
    """H of the classes of a factor in nats, over the rows where it is known."""
    values = factor.values[factor.known]
    return float(mutual_info_score(values, values))
