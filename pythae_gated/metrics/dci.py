"""Disentanglement, completeness and informativeness."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from pythae_gated.metrics.factors import Factors, FloatArray
from pythae_gated.metrics.forests import Estimator, predict
from pythae_gated.metrics.splits import split_codes


@dataclass(frozen=True, eq=False)
class DCI:
    """Disentanglement, completeness and informativeness of codes.

    Attributes:
        disentanglement: D, from 0 to 1: whether each dimension encodes a single factor.
        completeness: C, from 0 to 1: whether each factor is encoded in a single dimension.
        informativeness: Factor -> score on held-out rows, from 0 to 1: accuracy of a discrete
            factor, R2 of a continuous one (0 if negative).
        importance: R, shape (L, F): importance of each dimension to each factor. For a random
            forest a column sums to 1, or is 0 if no dimension predicts the factor.
        discrete: Names of the discrete factors.
    """

    disentanglement: float
    completeness: float
    informativeness: dict[str, float]
    importance: FloatArray
    discrete: tuple[str, ...]

    @property
    def mean_informativeness(self) -> float:
        """I: the mean score over factors."""
        return float(np.mean(list(self.informativeness.values())))


def dci(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    *,
    estimator: Estimator = None,
    test: tuple[npt.ArrayLike, Factors] | None = None,
    discrete: Iterable[str] | None = None,
    unknown: Any = None,
    seed: int = 0,
    n_jobs: int | None = -1,
) -> DCI:
    """Disentanglement, completeness and informativeness, from an estimator for each factor.

    An estimator predicts each factor j from the code. R_ij is the importance of dimension i in
    it. With P_ij = R_ij / sum_k R_ik and Q_ij = R_ij / sum_k R_kj,

        D_i = 1 + sum_j P_ij log_F P_ij      D = sum_i D_i (sum_j R_ij) / (sum_kj R_kj)
        C_j = 1 + sum_i Q_ij log_L Q_ij      C = mean of C_j

    and informativeness is the estimator's score on rows that it was not fitted on.

    Args:
        codes: Shape (N, L).
        factors: Name -> (N,) values, as from `make_faces`, or an array (N, F), whose columns are
            named "0", "1", ... Ints, bools and strings are classified, floats regressed. Rows in
            which a factor is unknown (None, NaN, masked) are ignored for that factor.
        estimator: None: a random forest. Else a scikit-learn classifier or regressor for all
            factors, or a tuple of both: (classifier, regressor). The importance is
            `feature_importances_` or the absolute value of `coef_`, also of a pipeline's last
            step. A regressor regresses ints too. A linear one needs standardised codes and
            factors, since a coefficient depends on their scale.
        test: Codes and factors to test on; None holds out a random quarter of the rows.
        discrete: Names of the discrete factors, all others being continuous; None: by dtype.
        unknown: A label, or several, that mean unknown; or a mapping factor -> these.
        seed: Of the split and the random forests.
        n_jobs: Trees of a forest that are grown in parallel; -1: one per core.

    Raises:
        ValueError: If codes are not finite numbers (N, L), a factor has another length, fewer
            than two values or another type, data frames have their rows in another order, or the
            estimator cannot predict it.

    Reference:
        Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled
        Representations", ICLR 2018. With gradient boosting: Locatello et al., "Challenging Common
        Assumptions in the Unsupervised Learning of Disentangled Representations", ICML 2019.

    Example:
        >>> codes = np.random.default_rng(0).uniform(size=(1000, 3))
        >>> result = dci(codes, {"size": codes[:, 0], "turned": codes[:, 2] > 0.5})
        >>> round(result.disentanglement, 1), round(result.completeness, 1)
        (1.0, 1.0)
    """
    fitted, tested = split_codes(codes, factors, test, discrete, unknown, seed)
    predictions = predict(fitted, tested, slice(None), seed, n_jobs, estimator)
    importance = np.stack([prediction.importance for prediction in predictions], axis=1)
    return DCI(
        disentanglement=disentanglement(importance),
        completeness=completeness(importance),
        informativeness={each.factor.name: each.score for each in predictions},
        importance=importance,
        discrete=tuple(each.factor.name for each in predictions if each.factor.discrete),
    )


def disentanglement(importance: FloatArray) -> float:  # (L, F)
    """D of an importance matrix, see `dci`: 1 if each dimension encodes a single factor.

    Dimensions are weighted by their importance. 0 if none has any, 1 if there is one factor.

    Example:
        >>> disentanglement(np.array([[1.0, 0.0], [0.0, 1.0]]))
        1.0
        >>> disentanglement(np.array([[0.5, 0.5], [0.5, 0.5]]))
        0.0
    """
    weights = importance.sum(axis=1)
    concentration = _concentration(importance)
    return float(np.average(concentration, weights=weights)) if weights.any() else 0.0


def completeness(importance: FloatArray) -> float:  # (L, F)
    """C of an importance matrix, see `dci`: 1 if each factor is encoded in a single dimension.

    A factor that no dimension predicts counts as 0.

    Example:
        >>> completeness(np.array([[0.5, 0.0], [0.5, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        0.75
    """
    return float(np.mean(_concentration(importance.T)))


def _concentration(weights: FloatArray) -> FloatArray:
    """One minus the normalised entropy of each row; 0 for a row of zeros."""
    totals = weights.sum(axis=1, keepdims=True)
    shares = weights / np.where(totals > 0, totals, 1)
    entropy = entr(shares).sum(axis=1) / max(np.log(weights.shape[1]), 1e-12)
    return np.where(totals[:, 0] > 0, 1 - entropy, 0.0)
