"""The separated attribute predictability."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.svm import LinearSVC

from pythae_gated.metrics.factors import Array, Factors
from pythae_gated.metrics.forests import fit_and_predict
from pythae_gated.metrics.information import Gaps, find_gaps
from pythae_gated.metrics.splits import split_codes


def sap(
    codes: npt.ArrayLike,  # (N, L)
    factors: Factors,
    *,
    test: tuple[npt.ArrayLike, Factors] | None = None,
    discrete: Iterable[str] | None = None,
    unknown: Any = None,
    seed: int = 0,
) -> Gaps:
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
    machine = LinearSVC(C=0.01, class_weight="balanced", dual="auto", random_state=seed)
    scores = np.zeros((fitted.codes.shape[1], len(fitted.factors)))
    for j, (fit, held_out) in enumerate(zip(fitted.factors, tested.factors, strict=True)):
        for i in range(len(scores)):
            code, test_code = fitted.codes[:, [i]], tested.codes[:, [i]]
            if fit.discrete:
                scores[i, j] = fit_and_predict(machine, code, fit, test_code, held_out).score
            else:
                scores[i, j] = _squared_correlation(code[fit.known, 0], fit.known_values)
    return find_gaps(scores, fitted.columns)


def _squared_correlation(code: Array, values: Array) -> float:
    (variance, covariance), (_, of_values) = np.cov(code, values.astype(np.float64))
    is_constant = variance <= 1e-12  # as disentanglement_lib regards it
    return 0.0 if is_constant else float(covariance**2 / (variance * of_values))
