"""Gated disentangled beta-VAE."""

from pydantic.dataclasses import dataclass
from pythae.models import DisentangledBetaVAE, DisentangledBetaVAEConfig

from pythae_gated.config import GatedConfigMixin
from pythae_gated.gating import GatedMixin


@dataclass
class GatedDisentangledBetaVAEConfig(GatedConfigMixin, DisentangledBetaVAEConfig):
    """Config of `GatedDisentangledBetaVAE`: Pythae's `DisentangledBetaVAEConfig` with partitions.

    Parameters:
        input_dim: Shape of one image, (C, H, W) say.
        latent_dim: L, the number of latent dimensions.
        reconstruction_loss: `"mse"` (the half squared error, summed over pixels) or `"bce"`.
        beta: Weight of the KL's distance from its goal.
        C: The goal of the KL, in nats.
        warmup_epoch: Epochs over which the goal rises from 0 to C.
        partitions: Name of each partition -> its size, in order; None: one, `"latent"`.
        rest: The partitions that no factor speaks of.
        closed_partitions: What the decoder sees in closed partitions, `"target"` or `"input"`.
    """


class GatedDisentangledBetaVAE(GatedMixin, DisentangledBetaVAE):
    """Pythae's `DisentangledBetaVAE`, gated (`GatedMixin` says how).

    Args:
        model_config: A `GatedDisentangledBetaVAEConfig`.
        encoder: A Pythae `BaseEncoder` of one's own; default: Pythae's perceptron.
        decoder: A Pythae `BaseDecoder` of one's own; default: Pythae's perceptron.

    Raises:
        PartitionError: Where the config is not gated, or its partitions do not fit.

    Reference:
        Burgess et al., Understanding disentangling in beta-VAE, 2018; Vowels, Camgoz and Bowden,
        Gated Variational AutoEncoders, 2019 (arXiv 1911.06443).
    """
