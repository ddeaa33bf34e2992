"""Gated beta-TCVAE."""

from typing import Any

import torch
from pydantic.dataclasses import dataclass
from pythae.models import BetaTCVAE, BetaTCVAEConfig

from pythae_gated.gating import GatedConfigMixin, GatedMixin


@dataclass
class GatedBetaTCVAEConfig(GatedConfigMixin, BetaTCVAEConfig):
    """As `BetaTCVAEConfig`, with the fields of `GatedConfigMixin`."""


class GatedBetaTCVAE(GatedMixin, BetaTCVAE):
    """Pythae's `BetaTCVAE`, gated as described in `GatedMixin`.

    A batch of one is finite, where Pythae's stratified sampling divides by zero.

    Reference:
        Chen et al., Isolating Sources of Disentanglement in VAEs, NeurIPS 2018; Vowels, Camgoz
        and Bowden, Gated Variational AutoEncoders, 2019 (arXiv 1911.06443).
    """

    def _log_importance_weight_matrix(self, batch_size: int, dataset_size: int) -> Any:
        if batch_size == 1:  # all the weight is on the one row
            return torch.zeros(1, 1)
        return super()._log_importance_weight_matrix(batch_size, dataset_size)
