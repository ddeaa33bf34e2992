"""The separated attribute predictability."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.svm import LinearSVC

from pythae_gated.metrics.factors import Array, Factor, Factors, FloatArray
from pythae_gated.metrics.forests import Rows, fit_and_test_rows
from pythae_gated.metrics.mig import lead

# Of the squared deviation of a dimension: below it, disentanglement_lib takes it for constant.
LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, eq=False)
class SAP:
    """How well each factor is told from each dimension alone, and by how much the best leads.

    Attributes:
        gaps: Factor -> gap, from 0 to 1: the score of the best dimension less that of the next.
        scores: Shape (L, F): accuracy on held-out rows of a discrete factor, squared correlation
            in the fitted rows of a continuous one.
    """

    gaps: dict[str, float]
    scores: FloatArray

    @property
    def score(self) -> float:
        """The mean gap over factors."""
        return float(np.mean(list(self.gaps.values())))


def sap(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    *,
    test: tuple[npt.ArrayLike, Factors] | None = None,
    discrete: Iterable[str] | None = None,
    seed: int = 0,
) -> SAP:
    """Say by how much one dimension is ahead of all others in predicting each factor linearly.

    S_ij is the accuracy of a linear support vector machine (C = 0.01, classes balanced) that sees
    dimension i alone, on rows that it was not fitted on; or, where factor j is continuous, their
    squared correlation, cov(z_i, v_j)^2 / (var(z_i) var(v_j)), on the rows to fit. With i* the
    best dimension,

        gap_j = S_i*j - max_{i != i*} S_ij      SAP = mean of gap_j

    A line tells two classes apart in one dimension, and seldom more: a perfect dimension of a
    factor with many classes still has a low gap. Scores of discrete factors depend on the scale
    of the codes, since the machine's weights are penalised.

    Args:
        codes: Shape (N, L).
        factors: Name -> (N,) values, or an array (N, F). Ints, bools and texts are classified,
            floats correlated. Rows where a factor is NaN or None are left out for that factor.
        test: Codes and factors to test on; None holds a random quarter of the rows out.
        discrete: Names of the factors to classify; None goes by their dtype.
        seed: Of the split and of the machines: the same seed gives the same numbers.

    Raises:
        ValueError: Where codes are not finite numbers (N, L) of at least two dimensions, or a
            factor has another length, fewer than two values, or classes none of which occurs
            twice.

    Reference:
        Kumar et al., "Variational Inference of Disentangled Latent Concepts from Unlabeled
        Observations", ICLR 2018.

    Example:
        >>> codes = np.random.default_rng(0).uniform(size=(1000, 3))
        >>> round(sap(codes, {"size": codes[:, 0], "turned": codes[:, 2] > 0.5}).score, 1)
        0.7
    """
    fitted, tested = fit_and_test_rows(codes, factors, test, discrete, seed)
    pairs = list(zip(fitted.factors, tested.factors, strict=True))
    scores = np.stack([_scores(fitted, fit, tested, held, seed) for fit, held in pairs], axis=1)
    gaps = zip(fitted.factors, lead(scores), strict=True)
    return SAP(gaps={factor.name: float(gap) for factor, gap in gaps}, scores=scores)


def _scores(
    fitted: Rows, factor: Factor, tested: Rows, test_factor: Factor, seed: int
) -> FloatArray:  # (L,)
    codes, values = fitted.codes[factor.known], factor.values[factor.known]
    if not factor.discrete:
        return np.array([_squared_correlation(code, values) for code in codes.T])
    test_codes, truth = tested.codes[test_factor.known], test_factor.values[test_factor.known]
    classes, values = np.unique(values, return_inverse=True)
    found = []
    for code, test_code in zip(codes.T, test_codes.T, strict=True):
        machine = LinearSVC(C=0.01, class_weight="balanced", dual="auto", random_state=seed)
        machine.fit(code[:, None], values)
        found.append(np.mean(classes[machine.predict(test_code[:, None])] == truth))
    return np.array(found)


def _squared_correlation(code: Array, values: Array) -> float:
    covariance = np.cov(code, values.astype(np.float64))
    if covariance[0, 0] <= LEAST_VARIANCE:
        return 0.0
    return float(covariance[0, 1] ** 2 / (covariance[0, 0] * covariance[1, 1]))
