"""Disentanglement, completeness and informativeness."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from pythae_gated.metrics.factors import Factors, FloatArray
from pythae_gated.metrics.forests import Estimator, fit_and_test_rows, predict

# disentanglement_lib adds it to each importance before the entropy. So do we, for the estimator
# that is theirs: where many are 0, the scores would else differ by more than 1e-9.
SMOOTHING = 1e-11


@dataclass(frozen=True, eq=False)
class DCI:
    """Disentanglement, completeness and informativeness of codes.

    Attributes:
        disentanglement: D, from 0 to 1: whether a dimension tells of one factor alone.
        completeness: C, from 0 to 1: whether a factor lies in one dimension alone.
        informativeness: Factor -> score on held-out rows, from 0 to 1: accuracy of a discrete
            factor, R2 of a continuous one; of the lasso 1 - NRMSE, see `dci`. 0 where it is
            negative.
        importance: R, shape (L, F): how much each dimension matters to each factor. A column
            sums to 1 (that of a lasso does not), or is 0 where no dimension tells anything of
            the factor.
        discrete: Names of the factors that were classified.
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
    estimator: Estimator = "random_forest",
    test: tuple[npt.ArrayLike, Factors] | None = None,
    discrete: Iterable[str] | None = None,
    seed: int = 0,
    n_jobs: int | None = -1,
) -> DCI:
    """Judge how codes hold the factors of variation, by fitting an estimator to each factor.

    An estimator is fitted to tell each factor j from the code. R_ij is the importance of
    dimension i in it. With P_ij = R_ij / sum_k R_ik and Q_ij = R_ij / sum_k R_kj,

        D_i = 1 + sum_j P_ij log_F P_ij      D = sum_i D_i (sum_j R_ij) / (sum_kj R_kj)
        C_j = 1 + sum_i Q_ij log_L Q_ij      C = mean of C_j

    and informativeness is the estimator's score on rows that it was not fitted on.

    Args:
        codes: Shape (N, L).
        factors: Name -> (N,) values, as `make_faces` gives, or an array (N, F), whose columns
            are called "0", "1", ... Ints, bools and texts are classified, floats regressed.
            Rows where a factor is NaN or None are left out for that factor.
        estimator: `"random_forest"` (fast) and `"gradient_boosting"` (scikit-learn's defaults, as
            disentanglement_lib has it; minutes where classes are many) take the mean decrease
            in impurity as importance. `"lasso"` regresses every factor linearly with alpha 0.02,
            codes and values standardised; its importance is |coefficient|, and its score is
            1 - NRMSE, the root mean squared error over the standard deviation of the tested
            values, which is the error of guessing their mean.
        test: Codes and factors to test on; None holds a random quarter of the rows out.
        discrete: Names of the factors to classify, all others being regressed; None goes by
            their dtype. The lasso regresses them all.
        seed: Of the split and of the trees: the same seed gives the same numbers.
        n_jobs: Estimators fitted at a time; -1 is one a core.

    Raises:
        ValueError: Where codes are not finite numbers (N, L), a factor has another length, fewer
            than two values, or a type that is none of these, or the lasso is given texts.

    Reference:
        Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled
        Representations", ICLR 2018. Boosting: Locatello et al., "Challenging Common Assumptions
        in the Unsupervised Learning of Disentangled Representations", ICML 2019.

    Example:
        >>> codes = np.random.default_rng(0).uniform(size=(1000, 3))
        >>> result = dci(codes, {"size": codes[:, 0], "turned": codes[:, 2] > 0.5})
        >>> round(result.disentanglement, 1), round(result.completeness, 1)
        (1.0, 1.0)
    """
    fitted, tested = fit_and_test_rows(codes, factors, test, discrete, seed)
    (predictions,) = predict(fitted, tested, [slice(None)], seed, n_jobs, estimator)
    importance = np.stack([prediction.importance for prediction in predictions], axis=1)
    smoothing = SMOOTHING if estimator == "gradient_boosting" else 0.0
    scores = [prediction.score for prediction in predictions]
    classified = [f.name for f in fitted.factors if f.discrete and estimator != "lasso"]
    return DCI(
        disentanglement=disentanglement(importance, smoothing),
        completeness=completeness(importance, smoothing),
        informativeness={f.name: s for f, s in zip(fitted.factors, scores, strict=True)},
        importance=importance,
        discrete=tuple(classified),
    )


def disentanglement(importance: FloatArray, smoothing: float = 0.0) -> float:
    """D of an importance matrix (L, F), see `dci`: 1 where each dimension serves one factor.

    Dimensions weigh as much as they matter. 0 where none matters, 1 where there is one factor.
    `smoothing` is added to each importance before the entropy.

    Example:
        >>> disentanglement(np.array([[1.0, 0.0], [0.0, 1.0]]))
        1.0
        >>> disentanglement(np.array([[0.5, 0.5], [0.5, 0.5]]))
        0.0
    """
    weights = importance.sum(axis=1)
    if weights.sum() == 0:
        return 0.0
    return float(np.average(_concentration(importance, smoothing), weights=weights))


def completeness(importance: FloatArray, smoothing: float = 0.0) -> float:
    """C of an importance matrix (L, F), see `dci`: 1 where each factor lies in one dimension.

    A factor that no dimension tells of counts as 0. `smoothing` is added to each importance.

    Example:
        >>> completeness(np.array([[0.5, 0.0], [0.5, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        0.75
    """
    return float(np.mean(_concentration(importance.T, smoothing)))


def _concentration(weights: FloatArray, smoothing: float) -> FloatArray:
    """One minus the entropy of each row, in units of its greatest: 1 is all in one place."""
    told = weights.sum(axis=1) > 0
    smoothed = weights + smoothing
    totals = smoothed.sum(axis=1, keepdims=True)
    shares = smoothed / np.where(totals > 0, totals, 1)
    entropy = entr(shares).sum(axis=1) / max(np.log(weights.shape[1]), 1e-12)
    return np.where(told, 1 - entropy, 0.0)
