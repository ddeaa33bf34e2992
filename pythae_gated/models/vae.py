"""Gated VAE."""

from pydantic.dataclasses import dataclass
from pythae.models import VAE, VAEConfig

from pythae_gated.config import GatedConfigMixin
from pythae_gated.gating import GatedMixin


@dataclass
class GatedVAEConfig(GatedConfigMixin, VAEConfig):
    """Config of `GatedVAE`: Pythae's `VAEConfig` with partitions.

    Parameters:
        input_dim: Shape of one image, (C, H, W) say.
        latent_dim: L, the number of latent dimensions.
        reconstruction_loss: `"mse"` (the half squared error, summed over pixels) or `"bce"`.
        partitions: Name of each partition -> its size, in order; None: one, `"latent"`.
        rest: The partitions that no factor speaks of.
        closed_partitions: What the decoder sees in closed partitions, `"target"` or `"input"`.
    """


class GatedVAE(GatedMixin, VAE):
    """Pythae's `VAE`, gated (`GatedMixin` says how): reconstruction plus KL, in nats.

    Args:
        model_config: A `GatedVAEConfig`.
        encoder: A Pythae `BaseEncoder` of one's own; default: Pythae's perceptron.
        decoder: A Pythae `BaseDecoder` of one's own; default: Pythae's perceptron.

    Raises:
        PartitionError: Where the config is not gated, or its partitions do not fit.

    Reference:
        Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014; Vowels, Camgoz and Bowden,
        Gated Variational AutoEncoders, 2019 (arXiv 1911.06443).
    """
