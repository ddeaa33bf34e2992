"""Predicting factors from codes: scores, importances, chance and a permutation test."""

from typing import Any, NamedTuple, TypeAlias
from warnings import catch_warnings, filterwarnings

import numpy as np
from scipy.special import gammaln
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import r2_score
from sklearn.pipeline import Pipeline

from pythae_gated.metrics.factors import Array, Factor, FloatArray, LabelledCodes

Estimator: TypeAlias = Any  # of scikit-learn, which is untyped; or a classifier and a regressor

# Tuned on noisy codes whose relevant dimensions are known (tests/benchmarks/bench_metrics.py).
# Every split considers all dimensions and no leaf has fewer than a thousandth of the rows;
# otherwise noise in the labels is credited to irrelevant dimensions. This costs up to three
# points of accuracy where twenty classes overlap, and takes a fifth of the time.
FOREST = {"n_estimators": 50, "max_samples": 0.3, "max_features": None, "min_samples_leaf": 0.001}

_CANNOT = "cannot predict: use estimator=(classifier, regressor), or leave it out"


class Prediction(NamedTuple):
    """Result of one estimator.

    Attributes:
        factor: The true values of the rows to test.
        importance: Of each dimension, (L,).
        score: On the rows to test: accuracy, or R2 (0 if negative).
        predicted: Values for the rows to test in which the factor is known.
    """

    factor: Factor
    importance: FloatArray
    score: float
    predicted: Array


def predict(
    fitted: LabelledCodes,
    tested: LabelledCodes,
    dimensions: slice | Array,
    seed: int,
    n_jobs: int | None,
    estimator: Estimator = None,
) -> list[Prediction]:
    """Fit an estimator for each factor on some dimensions, and predict the rows to test.

    Args:
        fitted: Rows to fit on.
        tested: Rows to score on.
        dimensions: Dimensions of the codes to predict from.
        seed: Of the random forests.
        n_jobs: Trees that are grown in parallel.
        estimator: See `dci`.

    Raises:
        ValueError: If an estimator is not one of scikit-learn's, cannot predict a factor or has
            no importance of each dimension.
    """
    codes, test_codes = fitted.codes[:, dimensions], tested.codes[:, dimensions]
    return [
        fit_and_predict(_choose(estimator, fit, seed, n_jobs), codes, fit, test_codes, test)
        for fit, test in zip(fitted.factors, tested.factors, strict=True)
    ]


def fit_and_predict(
    estimator: Any, codes: Array, factor: Factor, test_codes: Array, test_factor: Factor
) -> Prediction:
    """Fit one estimator to one factor, and predict the rows to test."""
    codes, values = codes[factor.known], factor.known_values
    test_codes, truth = test_codes[test_factor.known], test_factor.known_values
    classes, numbers = np.unique(values, return_inverse=True)
    targets: Array = numbers
    centre, scale = 0.0, 1.0
    if not is_classifier(estimator):
        targets = values.astype(np.float64)
        mean, spread = float(targets.mean()), float(targets.std())
        if 0 < 1e4 * spread < max(1.0, abs(mean)):  # trees would lose it in rounding
            centre, scale = mean, spread
        targets = (targets - centre) / scale
    with catch_warnings():  # scikit-learn's threads overwrite the filters of one another
        filterwarnings("ignore", "The number of unique classes is greater")
        estimator.fit(codes, targets)
        if "n_jobs" in estimator.get_params():
            # Votes of trees are then summed in one order: scores do not depend on threads.
            estimator.set_params(n_jobs=1)
        predicted = estimator.predict(test_codes)
    if is_classifier(estimator):
        predicted = classes[predicted]
        score = float(np.mean(predicted == truth))
    else:
        predicted = predicted * scale + centre
        score = max(0.0, float(r2_score(truth.astype(np.float64), predicted)))
    return Prediction(test_factor, _importance(estimator, codes.shape[1]), score, predicted)


def chance(factor: Factor) -> float:
    """The score of a constant predictor: the share of the most frequent class, or an R2 of 0.

    Example:
        >>> known = np.array([True, True, True, True])
        >>> chance(Factor("pose", np.array(["left", "left", "left", "up"]), known, True))
        0.75
    """
    if not factor.discrete:
        return 0.0
    counts = np.unique(factor.known_values, return_counts=True)[1]
    return float(counts.max() / counts.sum())


def p_value(
    predicted: Array,
    factor: Factor,
    permutations: int,
    draws: int,
    rng: np.random.Generator,
    groups: Array | None = None,
) -> float:
    """The share of permutations of the labels that fit predictions as well as the labels do.

    Args:
        predicted: For the rows in which the factor is known.
        factor: The true values of the rows to test.
        permutations: Number of random permutations; the identity is counted as one more.
        draws: The rows are this many samples of the same items, one set after another; the
            labels of an item are permuted together.
        rng: Of the permutations.
        groups: A label for each row to test. Labels that are constant in each group, but for a
            tenth of all rows, are permuted by group, since its rows are not independent.

    Example:
        >>> yaw = np.arange(50.0)
        >>> factor = Factor("yaw", yaw, np.ones(50, dtype=bool), False)
        >>> rng = np.random.default_rng(0)
        >>> p_value(yaw, factor, permutations=99, draws=1, rng=rng)
        0.01
    """
    guessed = predicted.reshape(draws, -1)
    labels, at = _permuted(factor, draws, groups)

    def misfit(labels: Array) -> float:
        if factor.discrete:
            return float(np.mean(guessed != labels))
        return float(np.square(guessed - labels).mean())

    least = misfit(labels[at])
    as_good = sum(misfit(rng.permutation(labels)[at]) <= least for _ in range(permutations))
    return (1 + as_good) / (1 + permutations)


def least_p_value(factor: Factor, draws: int, groups: Array | None = None) -> float:
    """The p-value of perfect predictions: 1 / the number of arrangements of the labels."""
    labels, _ = _permuted(factor, draws, groups)
    counts = np.unique(labels, return_counts=True)[1]
    return float(np.exp(gammaln(counts + 1).sum() - gammaln(len(labels) + 1)))


def _permuted(factor: Factor, draws: int, groups: Array | None) -> tuple[Array, Array]:
    """The labels that are permuted, of items or groups, and the index of each item's label."""
    truth = factor.known_values.reshape(draws, -1)[0]
    groups = np.arange(len(factor.known)) if groups is None else groups
    at = np.unique(groups[factor.known].reshape(draws, -1)[0], return_inverse=True)[1]
    sizes = np.bincount(at)
    median = np.lexsort((truth, at))[sizes.cumsum() - sizes + sizes // 2]  # item of each group
    if np.mean(truth[median][at] != truth) > 0.1:
        median = at = np.arange(len(truth))
    return truth[median], at


def _choose(estimator: Estimator, factor: Factor, seed: int, n_jobs: int | None) -> Any:
    """The estimator for a factor, not fitted yet."""
    if estimator is None:
        kind = RandomForestClassifier if factor.discrete else RandomForestRegressor
        return kind(random_state=seed, n_jobs=n_jobs, **FOREST)
    if isinstance(estimator, tuple) and len(estimator) == 2:
        estimator = estimator[0 if factor.discrete else 1]
    if not hasattr(estimator, "fit") or not (is_classifier(estimator) or is_regressor(estimator)):
        raise ValueError(
            f"estimator={estimator!r}: expected a classifier or regressor of scikit-learn, such "
            "as GradientBoostingClassifier(), or a tuple of both"
        )
    if is_classifier(estimator) and not factor.discrete:
        raise ValueError(f"factor {factor.name!r} has floats, which a classifier {_CANNOT}")
    if is_regressor(estimator) and factor.values.dtype.kind == "U":
        raise ValueError(f"factor {factor.name!r} has strings, which a regressor {_CANNOT}")
    return clone(estimator)


def _importance(estimator: Any, dimensions: int) -> FloatArray:  # (L,)
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    found = getattr(last, "feature_importances_", None)
    if found is None:
        found = np.abs(np.atleast_2d(getattr(last, "coef_", ()))).mean(axis=0)
    # A tree's splits without gain count as rounding makes them, also below 0.
    importance: FloatArray = np.maximum(np.asarray(found, dtype=np.float64), 0)
    if importance.shape != (dimensions,):
        raise ValueError(
            f"{last!r} has no importance of each of the {dimensions} dimensions: expected "
            "feature_importances_ or coef_, on codes whose dimensions are kept"
        )
    return importance
