"""How well a forest tells a factor from codes, and which dimensions it looks at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils.parallel import Parallel, delayed

from pythae_gated.metrics.factors import Array, Factor, Factors, FloatArray, as_factors

# Tuned on noisy codes whose relevant dimensions are known (tests/benchmarks/bench_metrics.py):
# every split sees all dimensions and no leaf holds fewer than a thousandth of the rows, since
# otherwise noise in the labels is credited to dimensions that have nothing to do with them. The
# price is up to three points of accuracy where twenty classes overlap; the time is a fifth.
FOREST: dict[str, Any] = {
    "n_estimators": 50,
    "max_samples": 0.3,
    "max_features": None,
    "min_samples_leaf": 0.001,
}


@dataclass(frozen=True, eq=False)
class Rows:
    """Codes (N, L) and the factors labelled on the same N rows."""

    codes: Array
    factors: list[Factor]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one forest found: importance of each dimension (L,), and score on held-out rows."""

    importance: FloatArray
    score: float


def fit_and_test_rows(
    codes: npt.ArrayLike,
    factors: Factors,
    test: tuple[npt.ArrayLike, Factors] | None,
    discrete: Iterable[str] | None,
    seed: int,
) -> tuple[Rows, Rows]:
    """The rows that forests are fitted on, and those that they are tested on.

    Without `test`, a random quarter of the rows is held out.

    Raises:
        ValueError: Where codes or factors are of a wrong shape, type or value, or a factor has
            too few known values on either side.
    """
    fitted = _as_rows(codes, factors, discrete)
    if test is None:
        fit, held_out = train_test_split(np.arange(len(fitted.codes)), random_state=seed)
        fitted, tested = _take(fitted, fit), _take(fitted, held_out)
    else:
        names = [factor.name for factor in fitted.factors if factor.discrete]
        tested = _as_rows(*test, discrete=names)
    _check_sides(fitted, tested)
    return fitted, tested


def predict(
    fitted: Rows, tested: Rows, dimensions: Sequence[slice], seed: int, n_jobs: int | None
) -> list[list[Prediction]]:
    """Fit a forest for each factor on each choice of dimensions: choice -> factor -> result."""
    pairs = list(zip(fitted.factors, tested.factors, strict=True))
    # Each forest in one thread, many forests at a time: the trees' votes are then always summed
    # in one order, so that results do not depend on the number of threads.
    found = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_predict)(fitted.codes[:, where], fit, tested.codes[:, where], test, seed)
        for where in dimensions
        for fit, test in pairs
    )
    return [found[start : start + len(pairs)] for start in range(0, len(found), len(pairs))]


def chance(factor: Factor) -> float:
    """The score of who knows the labels but not the codes.

    The share of the commonest class where the factor is discrete, an R2 of 0 else.

    Example:
        >>> known = np.array([True, True, True, True])
        >>> chance(Factor("pose", np.array(["left", "left", "left", "up"]), known, True))
        0.75
    """
    if not factor.discrete:
        return 0.0
    counts = np.unique(factor.values[factor.known], return_counts=True)[1]
    return float(counts.max() / counts.sum())


def _predict(
    codes: Array, factor: Factor, test_codes: Array, test_factor: Factor, seed: int
) -> Prediction:
    codes, values = codes[factor.known], factor.values[factor.known]
    test_codes, truth = test_codes[test_factor.known], test_factor.values[test_factor.known]
    if factor.discrete:
        classes, values = np.unique(values, return_inverse=True)
        forest = RandomForestClassifier(random_state=seed, **FOREST).fit(codes, values)
        score = float(np.mean(classes[forest.predict(test_codes)] == truth))
    else:
        values, truth = values.astype(np.float64), truth.astype(np.float64)
        forest = RandomForestRegressor(random_state=seed, **FOREST).fit(codes, values)
        score = max(0.0, float(r2_score(truth, forest.predict(test_codes))))
    return Prediction(np.asarray(forest.feature_importances_, dtype=np.float64), score)


def _as_rows(codes: npt.ArrayLike, factors: Factors, discrete: Iterable[str] | None) -> Rows:
    table = np.asarray(codes)
    if table.ndim != 2 or 0 in table.shape or table.dtype.kind not in "biuf":
        raise ValueError(
            f"codes of shape {table.shape} and dtype {table.dtype}: expected numbers (N, L), "
            "with at least one row and one dimension"
        )
    if not np.isfinite(table).all():
        row, dimension = np.argwhere(~np.isfinite(table))[0]
        raise ValueError(
            f"the code in row {row}, dimension {dimension}, is {table[row, dimension]}: "
            "expected finite numbers"
        )
    return Rows(table.astype(np.float32), as_factors(factors, len(table), discrete))


def _take(rows: Rows, index: Array) -> Rows:
    return Rows(
        rows.codes[index],
        [Factor(f.name, f.values[index], f.known[index], f.discrete) for f in rows.factors],
    )


def _check_sides(fitted: Rows, tested: Rows) -> None:
    if fitted.codes.shape[1] != tested.codes.shape[1]:
        raise ValueError(
            f"codes of {fitted.codes.shape[1]} dimensions to fit, {tested.codes.shape[1]} to test"
        )
    names, test_names = ([f.name for f in rows.factors] for rows in (fitted, tested))
    if names != test_names:
        raise ValueError(f"the factors to fit are {names}, those to test {test_names}")
    for factor, test_factor in zip(fitted.factors, tested.factors, strict=True):
        if test_factor.known.sum() < 2:
            raise ValueError(
                f"factor {factor.name!r} is known in {test_factor.known.sum()} of "
                f"{len(test_factor.known)} rows to test: at least 2 are needed"
            )
        if len(np.unique(factor.values[factor.known])) < 2:
            raise ValueError(
                f"factor {factor.name!r} takes fewer than 2 values in the "
                f"{factor.known.sum()} rows that are known and fitted: nothing to tell apart"
            )
