"""Evaluations with few votes of the FactorVAE score, which otherwise take most of their time."""

import sys
from functools import partial

from pythae_gated.metrics import factor_vae_score


def use_few_votes(monkeypatch):
    """For tests that do not look at this score."""
    module = sys.modules["pythae_gated.metrics.evaluate"]  # the package has the function
    few = partial(factor_vae_score, n_train=200, n_test=100)
    monkeypatch.setattr(module, "factor_vae_score", few)
