"""Gated InfoVAE with MMD."""

import warnings
from typing import Any

import torch
from pydantic.dataclasses import dataclass
from pythae.models import INFOVAE_MMD, VAE, INFOVAE_MMD_Config
from torch import Tensor

from pythae_gated.gating import GatedConfigMixin, GatedMixin


@dataclass
class GatedINFOVAE_MMD_Config(GatedConfigMixin, INFOVAE_MMD_Config):  # noqa: N801
    """As `INFOVAE_MMD_Config`, with the fields of `GatedConfigMixin`."""


class GatedINFOVAE_MMD(GatedMixin, INFOVAE_MMD):  # noqa: N801
    """Pythae's `INFOVAE_MMD`, gated as described in `GatedMixin`: the loss is

        reconstruction(decoder(z), target) + (1 - alpha) KL + (alpha + lbd - 1) MMD(z, z_prior).

    The values equal Pythae's to float tolerance. The distances are computed once for all scales,
    in float32 even under autocast; Pythae's need B x B x L memory per scale. A batch of one, which
    has no MMD, is trained without it; Pythae's loss is NaN there.

    Warns:
        UserWarning: If the weight alpha + lbd - 1 is negative (Pythae's default), so that the MMD
            is maximised.

    Reference:
        Zhao, Song and Ermon, InfoVAE, AAAI 2019; Vowels, Camgoz and Bowden, Gated Variational
        AutoEncoders, 2019 (arXiv 1911.06443).
    """

    def __init__(self, model_config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model_config, *args, **kwargs)
        weight = self.alpha + self.lbd - 1
        if weight < 0:
            warnings.warn(
                f"alpha={self.alpha} and lbd={self.lbd} give the MMD a weight of alpha + lbd - 1 "
                f"= {weight:.4g}: it is maximised, which drives codes away from the prior; set "
                f"lbd above {1 - self.alpha:.4g} to minimise it",
                stacklevel=2,
            )

    def imq_kernel(self, z1: Tensor, z2: Tensor) -> Any:  # (B, L), (B, L) -> (B, B)
        """The sum over scales s of C / (C + |z1 - z2|^2), C = 2 L bandwidth^2 s."""
        base = 2.0 * self.model_config.latent_dim * self.model_config.kernel_bandwidth**2
        constants = [float(scale * base) for scale in self.scales]
        distances = _squared_distances(z1, z2)
        return sum(constant / (constant + distances) for constant in constants)

    def rbf_kernel(self, z1: Tensor, z2: Tensor) -> Tensor:  # (B, L), (B, L) -> (B, B)
        """exp(-|z1 - z2|^2 / C), C = 2 L bandwidth^2."""
        base = 2.0 * self.model_config.latent_dim * self.model_config.kernel_bandwidth**2
        return torch.exp(-_squared_distances(z1, z2) / base)

    def loss_function(
        self, recon_x: Tensor, x: Tensor, z: Tensor, z_prior: Tensor, mu: Tensor, log_var: Tensor
    ) -> Any:
        """As the parent's, without the MMD on a batch of one."""
        if len(z) > 1:
            return super().loss_function(recon_x, x, z, z_prior, mu, log_var)
        _, recon_loss, kld = VAE.loss_function(self, recon_x, x, mu, log_var, z)
        loss = recon_loss + (1 - self.alpha) * kld
        return loss, recon_loss, kld, torch.zeros_like(loss)


def _squared_distances(z1: Tensor, z2: Tensor) -> Tensor:  # (B, L), (B, L) -> (B, B)
    with torch.autocast(z1.device.type, enabled=False):
        a, b = (z.to(torch.promote_types(z.dtype, torch.float32)) for z in (z1, z2))
        # |a|^2 + |b|^2 - 2 a.b, centred to limit cancellation.
        centre = b.detach().mean(0)
        a, b = a - centre, b - centre
        squares = (a**2).sum(1, keepdim=True) + (b**2).sum(1)
        return torch.addmm(squares, a, b.T, alpha=-2).clamp(min=0)
