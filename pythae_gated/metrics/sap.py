"""The separated attribute predictability."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.svm import LinearSVC

from pythae_gated.metrics.factors import Array, Factor, Factors, FloatArray, split_codes
from pythae_gated.metrics.forests import fit_and_predict
from pythae_gated.metrics.information import best_minus_second

LEAST_VARIANCE = 1e-12  # of a dimension; below it, disentanglement_lib regards it as constant


@dataclass(frozen=True, eq=False)
class SAP:
    """The separated attribute predictability.

    Attributes:
        score: The mean gap over factors, from 0 to 1.
        gaps: Factor -> how far the best dimension is ahead of the second.
        scores: Shape (L, F): accuracy on held-out rows for a discrete factor, squared correlation
            in the fitted rows for a continuous one.
    """

    score: float
    gaps: dict[str, float]
    scores: FloatArray


def sap(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    *,
    test: tuple[npt.ArrayLike, Factors] | None = None,
    discrete: Iterable[str] | None = None,
    unknown: Any = None,
    seed: int = 0,
) -> SAP:
    """How far the best dimension is ahead in predicting each factor linearly.

    S_ij is the accuracy of a linear support vector machine (C = 0.01, classes balanced) on
    dimension i only, on held-out rows; or, if factor j is continuous, their squared correlation,
    cov(z_i, v_j)^2 / (var(z_i) var(v_j)), on the rows to fit. With i* the best dimension,

        gap_j = S_i*j - max_{i != i*} S_ij      SAP = mean of gap_j

    A linear classifier on one dimension can separate two classes, rarely more: a perfect
    dimension of a factor with many classes still has a low gap. Scores of discrete factors depend
    on the scale of the codes, since the classifier's weights are penalised.

    Args:
        codes: Shape (N, L).
        factors: As for `dci`.
        test: As for `dci`.
        discrete: As for `dci`.
        unknown: As for `dci`.
        seed: Of the split and the classifiers.

    Raises:
        ValueError: As `dci`, or if there are fewer than two dimensions.

    Reference:
        Kumar et al., "Variational Inference of Disentangled Latent Concepts from Unlabeled
        Observations", ICLR 2018.

    Example:
        >>> codes = np.random.default_rng(0).uniform(size=(1000, 3))
        >>> round(sap(codes, {"size": codes[:, 0], "turned": codes[:, 2] > 0.5}).score, 1)
        0.7
    """
    fitted, tested = split_codes(codes, factors, test, discrete, unknown, seed)
    pairs = zip(fitted.factors, tested.factors, strict=True)
    columns = [_scores(fitted.codes, fit, tested.codes, held, seed) for fit, held in pairs]
    scores = np.array(columns).T
    gaps = best_minus_second(scores)
    by_factor = dict(zip([f.name for f in fitted.factors], gaps.tolist(), strict=True))
    return SAP(float(gaps.mean()), by_factor, scores)


def _scores(
    codes: Array, factor: Factor, test_codes: Array, test_factor: Factor, seed: int
) -> list[float]:
    """The score of each dimension."""
    if not factor.discrete:
        values = factor.known_values
        return [_squared_correlation(code, values) for code in codes[factor.known].T]
    machine = LinearSVC(C=0.01, class_weight="balanced", dual="auto", random_state=seed)
    return [
        fit_and_predict(machine, codes[:, [i]], factor, test_codes[:, [i]], test_factor).score
        for i in range(codes.shape[1])
    ]


def _squared_correlation(code: Array, values: Array) -> float:
    covariance = np.cov(code, values.astype(np.float64))
    if covariance[0, 0] <= LEAST_VARIANCE:
        return 0.0
    return float(covariance[0, 1] ** 2 / (covariance[0, 0] * covariance[1, 1]))
