"""Gated disentangled beta-VAE."""

from pydantic.dataclasses import dataclass
from pythae.models import DisentangledBetaVAE, DisentangledBetaVAEConfig

from pythae_gated.gating import GatedConfigMixin, GatedMixin


@dataclass
class GatedDisentangledBetaVAEConfig(GatedConfigMixin, DisentangledBetaVAEConfig):
    """As `DisentangledBetaVAEConfig`, with the fields of `GatedConfigMixin`."""


class GatedDisentangledBetaVAE(GatedMixin, DisentangledBetaVAE):
    """Pythae's `DisentangledBetaVAE`, gated as described in `GatedMixin`.

    Reference:
        Burgess et al., Understanding disentangling in beta-VAE, 2018; Vowels, Camgoz and Bowden,
        Gated Variational AutoEncoders, 2019 (arXiv 1911.06443).
    """
