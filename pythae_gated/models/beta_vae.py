"""Gated beta-VAE."""

from pydantic.dataclasses import dataclass
from pythae.models import BetaVAE, BetaVAEConfig

from pythae_gated.gating import GatedConfigMixin, GatedMixin


@dataclass
class GatedBetaVAEConfig(GatedConfigMixin, BetaVAEConfig):
    """As `BetaVAEConfig`, with the fields of `GatedConfigMixin`.

    Example:
        >>> config = GatedBetaVAEConfig(
        ...     input_dim=(1, 32, 32),
        ...     latent_dim=10,
        ...     partitions={"pose": 4, "identity": 6},
        ...     rest=["identity"],
        ... )
    """


class GatedBetaVAE(GatedMixin, BetaVAE):
    """Pythae's `BetaVAE`, gated as described in `GatedMixin`: the loss is, in nats,

        reconstruction(decoder(z), target) + beta * KL(N(mu~, exp(log_var~)) || N(0, I)).

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
