"""How well a factor is told from codes, and which dimensions that takes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args
from warnings import catch_warnings

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import Lasso
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils.parallel import Parallel, delayed

from pythae_gated.metrics.factors import (
    Array,
    Factor,
    Factors,
    FloatArray,
    as_factors,
    check_repeats,
    check_varied,
)

Estimator: TypeAlias = Literal["random_forest", "gradient_boosting", "lasso"]

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
LASSO_ALPHA = 0.02  # Eastwood and Williams


@dataclass(frozen=True, eq=False)
class Rows:
    """Codes (N, L) and the factors labelled on the same N rows."""

    codes: Array
    factors: list[Factor]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one estimator found: importance of each dimension (L,), score on held-out rows.

    `predicted` are its values for those held-out rows where the factor is known.
    """

    importance: FloatArray
    score: float
    predicted: Array


def as_rows(codes: npt.ArrayLike, factors: Factors, discrete: Iterable[str] | None) -> Rows:
    """Codes (N, L) as floats, and the factors labelled on the same N rows.

    Raises:
        ValueError: Where codes are not finite numbers (N, L), or a factor is of a wrong length
            or type.
    """
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
    if table.dtype not in (np.float32, np.float64):
        table = table.astype(np.float64)
    return Rows(table, as_factors(factors, len(table), discrete))


def fit_and_test_rows(
    codes: npt.ArrayLike,
    factors: Factors,
    test: tuple[npt.ArrayLike, Factors] | None,
    discrete: Iterable[str] | None,
    seed: int,
) -> tuple[Rows, Rows]:
    """The rows that estimators are fitted on, and those that they are tested on.

    Without `test`, a random quarter of the rows is held out.

    Raises:
        ValueError: Where codes or factors are of a wrong shape, type or value, or a factor has
            too few known values on either side.
    """
    fitted = as_rows(codes, factors, discrete)
    if test is None:
        fit, held_out = train_test_split(np.arange(len(fitted.codes)), random_state=seed)
        fitted, tested = _take(fitted, fit), _take(fitted, held_out)
    else:
        names = [factor.name for factor in fitted.factors if factor.discrete]
        tested = as_rows(*test, discrete=names)
    _check_sides(fitted, tested)
    return fitted, tested


def predict(
    fitted: Rows,
    tested: Rows,
    dimensions: Sequence[slice | Array],
    seed: int,
    n_jobs: int | None,
    estimator: Estimator = "random_forest",
) -> list[list[Prediction]]:
    """Fit an estimator for each factor on each choice of dimensions: choice -> factor -> result.

    Raises:
        ValueError: Where the estimator is none of those known, or a lasso is to tell texts.
    """
    _check_estimator(estimator, fitted.factors + tested.factors)
    pairs = list(zip(fitted.factors, tested.factors, strict=True))
    tasks = [
        (fitted.codes[:, where], fit, tested.codes[:, where], test, seed, estimator)
        for where in dimensions
        for fit, test in pairs
    ]
    with catch_warnings():  # scikit-learn's threads exchange the filters under one another
        if estimator == "random_forest":  # its trees are grown in parallel
            found = [_predict(*task, n_jobs) for task in tasks]
        else:
            threads = Parallel(n_jobs=n_jobs, prefer="threads")
            found = threads(delayed(_predict)(*task) for task in tasks)
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


def p_value(
    predicted: Array,
    factor: Factor,
    *,
    permutations: int,
    draws: int,
    rng: np.random.Generator,
) -> float:
    """How likely predictions as good as these are by chance: their rank among shuffled labels.

    Args:
        predicted: For the rows where the factor is known.
        factor: The true values of the held-out rows.
        permutations: How often the labels are shuffled.
        draws: So many draws of the same items lie one after another: shuffled together.
        rng: Of the shuffling.

    Example:
        >>> yaw = np.arange(50.0)
        >>> factor = Factor("yaw", yaw, np.ones(50, dtype=bool), False)
        >>> rng = np.random.default_rng(0)
        >>> p_value(yaw, factor, permutations=99, draws=1, rng=rng)
        0.01
    """
    guessed = predicted.reshape(draws, -1)
    truth = factor.values[factor.known].reshape(draws, -1)[0]

    def misfit(labels: Array) -> float:
        if factor.discrete:
            return float(np.mean(guessed != labels))
        return float(np.square(guessed - labels).mean())

    least = misfit(truth)
    as_good = sum(misfit(rng.permutation(truth)) <= least for _ in range(permutations))
    return (1 + as_good) / (1 + permutations)


def _check_estimator(estimator: str, factors: Iterable[Factor]) -> None:
    if estimator not in get_args(Estimator):
        expected = ", ".join(f'"{name}"' for name in get_args(Estimator))
        raise ValueError(f"estimator={estimator!r}: expected one of {expected}")
    for factor in factors:
        if estimator == "lasso" and factor.values.dtype.kind in "US":
            raise ValueError(
                f"factor {factor.name!r} holds texts (such as {factor.values[factor.known][0]!r}),"
                ' and a lasso regresses numbers: take estimator="random_forest", or leave it out'
            )


def _predict(
    codes: Array,
    factor: Factor,
    test_codes: Array,
    test_factor: Factor,
    seed: int,
    estimator: Estimator,
    n_jobs: int | None = None,
) -> Prediction:
    codes, values = codes[factor.known], factor.values[factor.known]
    test_codes, truth = test_codes[test_factor.known], test_factor.values[test_factor.known]
    if estimator == "lasso":
        return _predict_linearly(codes, values, test_codes, truth)
    if factor.discrete:
        classes, values = np.unique(values, return_inverse=True)
        trees = _grow(estimator, codes, values, seed, n_jobs, discrete=True)
        predicted = classes[trees.predict(test_codes)]
        score = float(np.mean(predicted == truth))
    else:
        values, truth = values.astype(np.float64), truth.astype(np.float64)
        trees = _grow(estimator, codes, values, seed, n_jobs, discrete=False)
        predicted = trees.predict(test_codes)
        score = max(0.0, float(r2_score(truth, predicted)))
    importance = np.asarray(trees.feature_importances_, dtype=np.float64)
    return Prediction(importance, score, predicted)


def _grow(
    estimator: Estimator,
    codes: Array,
    values: Array,
    seed: int,
    n_jobs: int | None,
    *,
    discrete: bool,
) -> Any:
    if estimator == "gradient_boosting":
        boosting = GradientBoostingClassifier if discrete else GradientBoostingRegressor
        return boosting(random_state=seed).fit(codes, values)
    kind = RandomForestClassifier if discrete else RandomForestRegressor
    forest = kind(random_state=seed, n_jobs=n_jobs, **FOREST).fit(codes, values)
    # The trees' votes are summed in one order, so that scores do not depend on the threads.
    return forest.set_params(n_jobs=1)


def _predict_linearly(codes: Array, values: Array, test_codes: Array, truth: Array) -> Prediction:
    inputs, target = StandardScaler(), StandardScaler()
    # In double precision, whatever the codes' own: coordinate descent stops on small changes.
    x = inputs.fit_transform(codes.astype(np.float64))
    y = target.fit_transform(values.astype(np.float64)[:, None])[:, 0]
    lasso = Lasso(alpha=LASSO_ALPHA).fit(x, y)
    guess = lasso.predict(inputs.transform(test_codes.astype(np.float64)))
    expected = target.transform(truth.astype(np.float64)[:, None])[:, 0]
    # R2 is one minus the squared error over that of guessing the mean of the tested rows.
    nrmse = np.sqrt(1 - r2_score(expected, guess))
    predicted = target.inverse_transform(guess[:, None])[:, 0]
    return Prediction(np.abs(lasso.coef_), max(0.0, float(1 - nrmse)), predicted)


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
        known = factor.values[factor.known]
        check_varied(factor, known)
        if factor.discrete:
            check_repeats(factor, known)
