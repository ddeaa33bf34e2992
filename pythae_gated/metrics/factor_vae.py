"""The FactorVAE score: the dimension that varies least identifies the fixed factor."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pythae_gated.metrics.factors import Array, Factor, Factors, FloatArray, label_codes

_AT_ONCE = 1_000  # votes


@dataclass(frozen=True, eq=False)
class FactorVAEScore:
    """Result of `factor_vae_score`.

    Attributes:
        score: Accuracy of the majority vote on the test batches; chance is about 1 / F.
        votes: Shape (F, L), int: in how many training batches with factor j fixed dimension i
            varied least.
        active: Shape (L,), bool: the dimensions that vary enough to take part.
    """

    score: float
    votes: npt.NDArray[np.int64]
    active: npt.NDArray[np.bool_]


def factor_vae_score(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    *,
    discrete: Iterable[str] | None = None,
    unknown: Any = None,
    n_bins: int = 20,
    batch_size: int = 64,
    n_train: int = 10_000,
    n_test: int = 5_000,
    threshold: float = 0.05,
    seed: int = 0,
) -> FactorVAEScore:
    """Whether the dimension that varies least identifies the factor that was fixed.

    For each vote a factor j is drawn, then a row whose value of j is fixed, then a batch of rows
    that have this value. The vote is

        i = argmin_i var_batch(z_i) / var(z_i)

    Each dimension is assigned the factor for which it got most votes in training; the score is
    the accuracy of this assignment on the test votes. A dimension that encodes two factors is
    right about one of them at most.

    Args:
        codes: Shape (N, L): posterior means rather than samples, since a collapsed dimension is
            recognised by the small standard deviation of its mean.
        factors: As for `dci`; continuous factors are fixed within a bin. Values that no other row
            has are not drawn.
        discrete: As for `dci`.
        unknown: As for `dci`.
        n_bins: Bins of each continuous factor, at least 2.
        batch_size: Rows per vote, at least 2; with replacement if fewer have the value.
        n_train: Number of training votes.
        n_test: Number of test votes.
        threshold: Smallest standard deviation of a dimension that takes part; 0.05 as in
            disentanglement_lib's studies. If none has it, the score is 0.
        seed: Of the draws.

    Raises:
        ValueError: If codes are not finite numbers (N, L), a factor has another length, fewer
            than two values, or no value twice, or a number of rows or votes is too small.

    Reference:
        Kim and Mnih, "Disentangling by Factorising", ICML 2018; pruning as in Locatello et al.,
        "Challenging Common Assumptions in the Unsupervised Learning of Disentangled
        Representations", ICML 2019.

    Example:
        >>> factors = np.random.default_rng(0).integers(0, 4, (1000, 3))
        >>> factor_vae_score(factors, factors, n_train=200, n_test=100).score
        1.0
    """
    least = {"batch_size": (batch_size, 2), "n_train": (n_train, 1), "n_test": (n_test, 1)}
    for name, (number, minimum) in least.items():
        if number < minimum:
            raise ValueError(f"{name}={number}: expected at least {minimum}")
    labelled = label_codes(codes, factors, discrete, unknown)
    groups = [rows_by_value(factor.in_bins(n_bins)) for factor in labelled.factors]
    variance = np.var(labelled.codes, axis=0, ddof=1)
    active = (variance > 0) & (np.sqrt(variance) >= threshold)
    rng = np.random.default_rng(seed)
    drawn = [draw_batch(groups, batch_size, rng) for _ in range(n_train + n_test)]
    fixed, batches = (np.array(each) for each in zip(*drawn, strict=True))
    chunks = np.array_split(batches, len(batches) // _AT_ONCE + 1)
    winners = [least_varying(labelled.codes[rows], variance, active) for rows in chunks]
    return majority_vote(fixed, np.concatenate(winners), n_train, len(groups), active)


def draw_batch(
    groups: list[list[Array]], batch_size: int, rng: np.random.Generator
) -> tuple[int, Array]:
    """The number of a random factor, and random rows that share the value of a random row."""
    fixed = int(rng.integers(len(groups)))
    rows = groups[fixed][rng.integers(len(groups[fixed]))]
    return fixed, rng.choice(rows, batch_size, replace=len(rows) < batch_size)


def least_varying(codes: Array, variance: FloatArray, active: Array) -> Array:
    """The active dimension of each batch in (V, B, L) that varies least relative to `variance`."""
    relative = np.full((len(codes), len(variance)), np.inf)
    np.divide(np.var(codes, axis=1, ddof=1), variance, out=relative, where=active)
    winners: Array = relative.argmin(axis=1)
    return winners


def majority_vote(
    fixed: Array, winners: Array, n_train: int, n_factors: int, active: Array
) -> FactorVAEScore:
    """Assign a factor to each dimension by the first of the votes (V,), and score the others."""
    votes = np.zeros((n_factors, len(active)), dtype=np.int64)
    if not active.any():
        return FactorVAEScore(0.0, votes, active)
    np.add.at(votes, (fixed[:n_train], winners[:n_train]), 1)
    score = np.mean(votes.argmax(axis=0)[winners[n_train:]] == fixed[n_train:])
    return FactorVAEScore(float(score), votes, active)


def rows_by_value(factor: Factor) -> list[Array]:
    """For each row whose value others have, in the order of values: the rows of this value."""
    order = np.flatnonzero(factor.known)[np.argsort(factor.known_values, kind="stable")]
    groups = np.split(order, np.bincount(factor.known_values).cumsum()[:-1])
    return [group for group in groups if len(group) > 1 for _ in group]
