"""Predicting factors from codes: scores, importances, chance and a permutation test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from warnings import catch_warnings

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import r2_score
from sklearn.pipeline import Pipeline

from pythae_gated.metrics.factors import Array, Factor, FloatArray, LabelledCodes

Estimator: TypeAlias = Any  # of scikit-learn, which is untyped; or a classifier and a regressor

# Tuned on noisy codes whose relevant dimensions are known (tests/benchmarks/bench_metrics.py).
# Every split considers all dimensions and no leaf has fewer than a thousandth of the rows;
# otherwise noise in the labels is credited to irrelevant dimensions. This costs up to three
# points of accuracy where twenty classes overlap, and takes a fifth of the time.
FOREST: dict[str, Any] = {
    "n_estimators": 50,
    "max_samples": 0.3,
    "max_features": None,
    "min_samples_leaf": 0.001,
}


@dataclass(frozen=True, eq=False)
class Prediction:
    """Result of one estimator.

    Attributes:
        importance: Of each dimension, (L,).
        score: On the rows to test: accuracy, or R2 (0 if negative).
        predicted: Values for the rows to test in which the factor is known.
    """

    importance: FloatArray
    score: float
    predicted: Array


def predict(
    fitted: LabelledCodes,
    tested: LabelledCodes,
    dimensions: Sequence[slice | Array],
    seed: int,
    n_jobs: int | None,
    estimator: Estimator = None,
) -> list[list[Prediction]]:
    """Fit an estimator for each factor on each choice of dimensions: choice -> factor -> result.

    Args:
        fitted: Rows to fit on.
        tested: Rows to score on.
        dimensions: Choices of dimensions.
        seed: Of the random forests.
        n_jobs: Trees that are grown in parallel.
        estimator: See `dci`.

    Raises:
        ValueError: If a classifier is given for a continuous factor, or a regressor for strings.
    """
    pairs = list(zip(fitted.factors, tested.factors, strict=True))
    estimators = [_choose(estimator, factor, seed, n_jobs) for factor in fitted.factors]
    with catch_warnings():  # scikit-learn's threads overwrite the filters of one another
        return [
            [
                _predict(each, fitted.codes[:, at], fit, tested.codes[:, at], test)
                for each, (fit, test) in zip(estimators, pairs, strict=True)
            ]
            for at in dimensions
        ]


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
    *,
    permutations: int,
    draws: int,
    rng: np.random.Generator,
) -> float:
    """The share of permutations of the labels that fit predictions as well as the labels do.

    Args:
        predicted: For the rows in which the factor is known.
        factor: The true values of the rows to test.
        permutations: Number of random permutations; the identity is counted as one more.
        draws: The rows are this many samples of the same items, one set after another; the
            labels of an item are permuted together.
        rng: Of the permutations.

    Example:
        >>> yaw = np.arange(50.0)
        >>> factor = Factor("yaw", yaw, np.ones(50, dtype=bool), False)
        >>> rng = np.random.default_rng(0)
        >>> p_value(yaw, factor, permutations=99, draws=1, rng=rng)
        0.01
    """
    guessed = predicted.reshape(draws, -1)
    truth = factor.known_values.reshape(draws, -1)[0]

    def misfit(labels: Array) -> float:
        if factor.discrete:
            return float(np.mean(guessed != labels))
        return float(np.square(guessed - labels).mean())

    least = misfit(truth)
    as_good = sum(misfit(rng.permutation(truth)) <= least for _ in range(permutations))
    return (1 + as_good) / (1 + permutations)


def _choose(estimator: Estimator, factor: Factor, seed: int, n_jobs: int | None) -> Any:
    """The estimator for a factor, not fitted yet."""
    if estimator is None:
        kind = RandomForestClassifier if factor.discrete else RandomForestRegressor
        return kind(random_state=seed, n_jobs=n_jobs, **FOREST)
    chosen = estimator
    if isinstance(estimator, tuple):
        classifier, regressor = estimator
        chosen = classifier if factor.discrete else regressor
    strings = factor.values.dtype.kind == "U"
    if strings != is_classifier(chosen) and (strings or not factor.discrete):
        kind = "strings, which a regressor" if strings else "floats, which a classifier"
        raise ValueError(
            f"factor {factor.name!r} has {kind} cannot predict: use "
            "estimator=(classifier, regressor), or leave it out"
        )
    return clone(chosen)


def _predict(
    estimator: Any, codes: Array, factor: Factor, test_codes: Array, test_factor: Factor
) -> Prediction:
    codes, values = codes[factor.known], factor.known_values
    test_codes, truth = test_codes[test_factor.known], test_factor.known_values
    if is_classifier(estimator):
        classes, numbers = np.unique(values, return_inverse=True)
        predicted = classes[_fit(estimator, codes, numbers).predict(test_codes)]
        score = float(np.mean(predicted == truth))
    else:
        _fit(estimator, codes, values.astype(np.float64))
        predicted = estimator.predict(test_codes)
        score = max(0.0, float(r2_score(truth.astype(np.float64), predicted)))
    return Prediction(_importance(estimator), score, predicted)


def _fit(estimator: Any, codes: Array, values: Array) -> Any:
    estimator.fit(codes, values)
    if "n_jobs" in estimator.get_params():
        # Votes of trees are then summed in one order: scores do not depend on threads.
        estimator.set_params(n_jobs=1)
    return estimator


def _importance(estimator: Any) -> FloatArray:  # (L,)
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if hasattr(last, "feature_importances_"):
        return np.asarray(last.feature_importances_, dtype=np.float64)
    importance: FloatArray = np.abs(np.atleast_2d(last.coef_)).mean(axis=0)
    return importance
