"""Gated VAE."""

from pydantic.dataclasses import dataclass
from pythae.models import VAE, VAEConfig

from pythae_gated.gating import GatedConfigMixin, GatedMixin


@dataclass
class GatedVAEConfig(GatedConfigMixin, VAEConfig):
    """As `VAEConfig`, with the fields of `GatedConfigMixin`."""


class GatedVAE(GatedMixin, VAE):
    """Pythae's `VAE`, gated as described in `GatedMixin`: reconstruction plus KL, in nats.

    Reference:
        Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014; Vowels, Camgoz and Bowden,
        Gated Variational AutoEncoders, 2019 (arXiv 1911.06443).
    """
