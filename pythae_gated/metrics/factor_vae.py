"""The FactorVAE score: a vote of the dimensions that vary least where a factor is held."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pythae_gated.metrics.bins import as_discrete
from pythae_gated.metrics.factors import Array, Factor, Factors, FloatArray
from pythae_gated.metrics.forests import as_rows


@dataclass(frozen=True, eq=False)
class FactorVAEScore:
    """Whether the dimension that varies least betrays which factor was held.

    Attributes:
        score: The share of test votes from which the factor is told, from 0 to 1. Chance is about
            1 / F.
        train_score: The same share among the votes that the majority was taken of.
        votes: Shape (F, L), int: in how many training batches that held factor j dimension i
            varied least.
        active: Shape (L,), bool: the dimensions that vary enough to take part.
    """

    score: float
    train_score: float
    votes: npt.NDArray[np.int64]
    active: npt.NDArray[np.bool_]


def factor_vae_score(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    *,
    discrete: Iterable[str] | None = None,
    n_bins: int = 20,
    batch_size: int = 64,
    n_train: int = 10_000,
    n_test: int = 5_000,
    threshold: float = 0.05,
    seed: int = 0,
) -> FactorVAEScore:
    """Say whether the dimension that varies least betrays which factor was held.

    For each vote, a factor j is drawn, then a row whose value of j is to be held, then a batch of
    rows that have that value. The vote is

        i = argmin_i var_batch(z_i) / var(z_i)

    Each dimension stands for the factor whose batches it won most often in training; the score
    is the share of test votes whose dimension stands for the factor that was held. A dimension
    that holds two factors is right about one of them at most.

    Args:
        codes: Shape (N, L): means rather than samples, since a collapsed dimension is known by
            the small deviation of its mean.
        factors: Name -> (N,) values, or an array (N, F). Ints, bools and texts are held at a
            value, floats within one of `n_bins` bins of equal width. Rows where a factor is NaN
            or None are not drawn for that factor, nor those whose value no other row has.
        discrete: Names of the factors that are classes; None goes by their dtype.
        n_bins: Bins of each continuous factor, at least 2.
        batch_size: Rows a vote, at least 2; with replacement where fewer have the value.
        n_train: Votes that the majority is taken of.
        n_test: Votes that the score is taken of.
        threshold: Least standard deviation of a dimension that takes part, in units of the codes.
            0.05 is what disentanglement_lib's studies take. Where none has it, the score is 0.
        seed: Of the draws: the same seed gives the same numbers.

    Raises:
        ValueError: Where codes are not finite numbers (N, L), a factor has another length, fewer
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
    _check_numbers(batch_size, n_train, n_test)
    rows = as_rows(codes, factors, discrete)
    classes = [as_discrete(factor, n_bins) for factor in rows.factors]
    rng = np.random.default_rng(seed)
    train, test = (
        ((factor, rows.codes[batch]) for factor, batch in _draw(classes, rng, batch_size, votes))
        for votes in (n_train, n_test)
    )
    return _score(train, test, np.var(rows.codes, axis=0, ddof=1), len(classes), threshold)


def _check_numbers(batch_size: int, n_train: int, n_test: int) -> None:
    if batch_size < 2:
        raise ValueError(f"batch_size={batch_size}: expected at least 2 rows to vary")
    for name, votes in (("n_train", n_train), ("n_test", n_test)):
        if votes < 1:
            raise ValueError(f"{name}={votes}: expected at least 1 vote")


def _draw(
    factors: list[Factor], rng: np.random.Generator, batch_size: int, votes: int
) -> Iterator[tuple[int, Array]]:
    """The number of the factor that is held, and the rows (batch_size,), for each vote."""
    groups = [_groups(factor) for factor in factors]
    sizes = [np.cumsum([len(group) for group in of_factor]) for of_factor in groups]
    for _ in range(votes):
        factor = int(rng.integers(len(factors)))
        row = rng.integers(sizes[factor][-1])
        group = groups[factor][np.searchsorted(sizes[factor], row, side="right")]
        yield factor, rng.choice(group, batch_size, replace=len(group) < batch_size)


def _groups(factor: Factor) -> list[Array]:
    """The rows of each value that at least two rows have: one row alone does not vary."""
    known = np.flatnonzero(factor.known)
    values = factor.values[known]
    order = np.argsort(values, kind="stable")
    groups = np.split(known[order], np.flatnonzero(np.diff(values[order])) + 1)
    return [group for group in groups if len(group) > 1]


def _score(
    train: Iterable[tuple[int, Array]],  # the factor held, and codes (batch_size, L)
    test: Iterable[tuple[int, Array]],
    variance: FloatArray,  # (L,)
    n_factors: int,
    threshold: float,
) -> FactorVAEScore:
    active = (variance > 0) & (np.sqrt(variance) >= threshold)
    if not active.any():
        nothing = np.zeros((n_factors, len(variance)), dtype=np.int64)
        return FactorVAEScore(0.0, 0.0, nothing, active)
    votes, test_votes = (_count(side, variance, n_factors, active) for side in (train, test))
    stands_for = votes.argmax(axis=0)
    score, train_score = (
        float(np.take_along_axis(side, stands_for[None], axis=0).sum() / side.sum())
        for side in (test_votes, votes)
    )
    return FactorVAEScore(score, train_score, votes, active)


def _count(
    batches: Iterable[tuple[int, Array]],
    variance: FloatArray,
    n_factors: int,
    active: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int64]:  # (F, L)
    votes = np.zeros((n_factors, len(variance)), dtype=np.int64)
    dimensions = np.flatnonzero(active)
    for factor, codes in batches:
        relative = np.var(codes[:, active], axis=0, ddof=1) / variance[active]
        votes[factor, dimensions[relative.argmin()]] += 1
    return votes
