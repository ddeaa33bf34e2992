"""Modularity and explicitness."""

from collections.abc import Iterable
from dataclasses import dataclass
from warnings import catch_warnings, filterwarnings, simplefilter

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pythae_gated.metrics.bins import (
    binned_rows,
    classes,
    mutual_information,
)
from pythae_gated.metrics.factors import Array, Factor, Factors, FloatArray, check_repeats
from pythae_gated.metrics.forests import fit_and_test_rows


@dataclass(frozen=True, eq=False)
class Modularity:
    """Whether each dimension tells of one factor alone.

    Attributes:
        by_dimension: Shape (L,), from 0 to 1; 0 where a dimension tells of no factor.
        mutual_information: Shape (L, F), in nats.
    """

    by_dimension: FloatArray
    mutual_information: FloatArray

    @property
    def score(self) -> float:
        """The mean over dimensions."""
        return float(np.mean(self.by_dimension))


@dataclass(frozen=True, eq=False)
class Explicitness:
    """How well each factor is told from all dimensions by a linear classifier.

    Attributes:
        by_factor: Factor -> mean over its classes of 2 AUC - 1: 1 is perfect and 0 is chance, or
            a little less by bad luck.
    """

    by_factor: dict[str, float]

    @property
    def score(self) -> float:
        """The mean over factors."""
        return float(np.mean(list(self.by_factor.values())))


def modularity(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    *,
    discrete: Iterable[str] | None = None,
    n_bins: int = 20,
) -> Modularity:
    """Say whether each dimension tells of one factor alone.

    With I_ij the mutual information of dimension i and factor j, and j* the factor that
    dimension i tells most of,

        M_i = 1 - sum_{j != j*} I_ij^2 / (I_ij*^2 (F - 1))      modularity = mean of M_i

    M_i is 0 where the dimension tells of no factor, and 1 where it tells of the only one.
    Information is estimated from N rows and so never quite 0: a dimension of pure noise is
    scored by its accidents, and may look modular. Read it with the explicitness.

    Args:
        codes: Shape (N, L). Each dimension is put into bins of equal width.
        factors: Name -> (N,) values, or an array (N, F). Ints, bools and texts are classes,
            floats are put into bins of equal width as the codes are. Rows where a factor is NaN
            or None are left out for that factor.
        discrete: Names of the factors that are classes; None goes by their dtype.
        n_bins: Bins of each dimension and of each continuous factor, at least 2; 20 are what
            disentanglement_lib takes.

    Raises:
        ValueError: Where codes are not finite numbers (N, L), or a factor has another length,
            fewer than two values, or no value twice.

    Reference:
        Ridgeway and Mozer, "Learning Deep Disentangled Embeddings With the F-Statistic Loss",
        NeurIPS 2018.

    Example:
        >>> size, turned = np.tile([0, 1, 2, 3], 25), np.repeat([0, 1], 50)
        >>> codes = np.stack([size, turned, np.zeros(100)], axis=1)
        >>> modularity(codes, {"size": size, "turned": turned}).by_dimension.round(2)
        array([1., 1., 0.])
    """
    information = mutual_information(binned_rows(codes, factors, discrete, n_bins))
    squared = np.square(information)
    largest = squared.max(axis=1)
    others = (squared.sum(axis=1) - largest) / max(squared.shape[1] - 1, 1)
    told = largest > 0
    return Modularity(
        by_dimension=np.where(told, 1 - others / np.where(told, largest, 1), 0.0),
        mutual_information=information,
    )


def explicitness(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    *,
    test: tuple[npt.ArrayLike, Factors] | None = None,
    discrete: Iterable[str] | None = None,
    n_bins: int = 20,
    seed: int = 0,
) -> Explicitness:
    """Say how well a linear classifier tells each factor from all dimensions together.

    A logistic regression is fitted to the standardised codes. With AUC_jc the area under the ROC
    curve of its probability of class c of factor j, against all other classes, on rows that it
    was not fitted on,

        explicitness_j = mean over c of (AUC_jc - 1/2) / (1 - 1/2)

    (disentanglement_lib gives the mean AUC itself.) A class that is missing on either side of the
    split is left out of the mean.

    Args:
        codes: Shape (N, L).
        factors: Name -> (N,) values, or an array (N, F). Ints, bools and texts are classes,
            floats are put into bins of equal width. Rows where a factor is NaN or None are left
            out for that factor.
        test: Codes and factors to test on; None holds a random quarter of the rows out.
        discrete: Names of the factors that are classes; None goes by their dtype.
        n_bins: Bins of each continuous factor, at least 2, between the extremes of its fitted
            values.
        seed: Of the split.

    Raises:
        ValueError: Where codes are not finite numbers (N, L), or a factor has another length,
            fewer than two values, no value twice, or fewer than two of the fitted values among
            the rows to test.

    Reference:
        Ridgeway and Mozer, "Learning Deep Disentangled Embeddings With the F-Statistic Loss",
        NeurIPS 2018.

    Example:
        >>> codes = np.random.default_rng(0).normal(size=(1000, 2))
        >>> found = explicitness(codes, {"up": codes.sum(axis=1) > 0, "far": codes[:, 0]**2 > 1})
        >>> round(found.by_factor["up"], 2), abs(found.by_factor["far"]) < 0.1
        (1.0, True)
    """
    fitted, tested = fit_and_test_rows(codes, factors, test, discrete, seed)
    mean, deviation = np.mean(fitted.codes, axis=0), np.std(fitted.codes, axis=0)
    deviation[deviation == 0] = 1
    x, test_x = (fitted.codes - mean) / deviation, (tested.codes - mean) / deviation
    by_factor = {
        factor.name: _explicitness(x, factor, test_x, test_factor, n_bins)
        for factor, test_factor in zip(fitted.factors, tested.factors, strict=True)
    }
    return Explicitness(by_factor)


def _explicitness(
    x: Array, factor: Factor, test_x: Array, test_factor: Factor, n_bins: int
) -> float:
    values, truth = (classes(side, factor, n_bins) for side in (factor, test_factor))
    check_repeats(factor, values)
    common = np.intersect1d(values, truth)
    if len(common) < 2:
        raise ValueError(
            f"factor {factor.name!r} takes {len(common)} of its fitted values in the "
            f"{len(truth)} rows to test: at least 2 are needed, so hold out more rows, or such "
            "as have them"
        )
    with catch_warnings():
        # It stops at 100 steps, as disentanglement_lib's does: the ranks settle long before.
        simplefilter("ignore", ConvergenceWarning)
        filterwarnings("ignore", "The number of unique classes")  # few rows, binned on purpose
        regression = LogisticRegression().fit(x[factor.known], values)
    probability = regression.predict_proba(test_x[test_factor.known])
    columns = np.searchsorted(regression.classes_, common)
    areas = [
        roc_auc_score(truth == value, probability[:, column])
        for value, column in zip(common, columns, strict=True)
    ]
    return float(2 * np.mean(areas) - 1)
