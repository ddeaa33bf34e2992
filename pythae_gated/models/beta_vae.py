"""Gated beta-VAE."""

from pydantic.dataclasses import dataclass
from pythae.models import BetaVAE, BetaVAEConfig

from pythae_gated.config import GatedConfigMixin
from pythae_gated.gating import GatedMixin


@dataclass
class GatedBetaVAEConfig(GatedConfigMixin, BetaVAEConfig):
    """Config of `GatedBetaVAE`: Pythae's `BetaVAEConfig` with partitions.

    Parameters:
        input_dim: Shape of one image, (C, H, W) say.
        latent_dim: L, the number of latent dimensions.
        reconstruction_loss: `"mse"` (the half squared error, summed over pixels) or `"bce"`.
        beta: Weight of the KL divergence (in nats).
        partitions: Name of each partition -> its size, in order; None: one, `"latent"`.
        rest: The partitions that no factor speaks of.
        closed_partitions: What the decoder sees in closed partitions, `"target"` or `"input"`.

    Example:
        >>> config = GatedBetaVAEConfig(
        ...     input_dim=(1, 32, 32),
        ...     latent_dim=10,
        ...     partitions={"pose": 4, "identity": 6},
        ...     rest=["identity"],
        ... )
    """


class GatedBetaVAE(GatedMixin, BetaVAE):
    """Pythae's `BetaVAE`, gated (`GatedMixin` says how): the loss is, in nats,

        reconstruction(decoder(z), target) + beta * KL(N(mu~, exp(log_var~)) || N(0, I)).

    Args:
        model_config: A `GatedBetaVAEConfig`.
        encoder: A Pythae `BaseEncoder` of one's own; default: Pythae's perceptron.
        decoder: A Pythae `BaseDecoder` of one's own; default: Pythae's perceptron.

    Raises:
        PartitionError: Where the config is not gated, or its partitions do not fit.

    Reference:
        Higgins et al., beta-VAE, ICLR 2017; Vowels, Camgoz and Bowden, Gated Variational
        AutoEncoders, 2019 (arXiv 1911.06443).

    Example:
        >>> import torch
        >>> config = GatedBetaVAEConfig(
        ...     input_dim=(1, 8, 8), latent_dim=5, partitions={"pose": 2, "identity": 3}
        ... )
        >>> model = GatedBetaVAE(config)
        >>> x, same_pose = torch.rand(4, 1, 8, 8), torch.rand(4, 1, 8, 8)
        >>> gate = torch.tensor([[True, False]]).expand(4, 2)
        >>> model({"data": x, "target": same_pose, "gate": gate}).loss.backward()
        >>> model.encoder.embedding.weight.grad[2:].abs().max()
        tensor(0.)
    """
