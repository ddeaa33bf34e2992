"""Evaluations with few trees and few votes, which otherwise take most of the tests' time."""

import sys
from functools import partial

from pythae_gated.metrics import factor_vae_score, forests


def use_quick_metrics(monkeypatch):
    """For tests that need no precise scores.

    Forests have 5 trees, and the FactorVAE score 300 votes.
    """
    monkeypatch.setitem(forests.FOREST, "n_estimators", 5)
    module = sys.modules["pythae_gated.metrics.evaluate"]  # the package has the function
    few = partial(factor_vae_score, n_train=200, n_test=100)
    monkeypatch.setattr(module, "factor_vae_score", few)
