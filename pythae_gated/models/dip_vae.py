"""DIP-VAE, which Pythae lacks, and its gated variant."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic.dataclasses import dataclass
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from torch import Tensor

from pythae_gated.gating import GatedConfigMixin, GatedMixin
from pythae_gated.registry import HubCardMixin


@dataclass
class DIPVAEConfig(VAEConfig):
    """As Pythae's `VAEConfig`, and the weights of the terms.

    Parameters:
        dip_type: `"i"` for the covariance of the posterior means, `"ii"` for that of the codes.
        lambda_od: Weight of the squared off-diagonal entries of the covariance.
        lambda_d: Weight of the squared deviations of its diagonal from 1.
        beta: Weight of the KL and of the covariance terms, against the reconstruction. With "mse"
            this is the variance of the pixels' noise; the paper has 1.
    """

    dip_type: Literal["i", "ii"] = "ii"
    lambda_od: float = 5.0
    lambda_d: float = 5.0
    beta: float = 1.0


class DIPVAE(HubCardMixin, VAE):
    """Disentangled inferred prior VAE: the covariance of the codes is matched to the identity.

        loss = reconstruction
               + beta (KL + lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2)

    with, over a batch, C = Cov(mu(x)) for type `"i"` and C = Cov(mu(x)) + diag(E[sigma^2(x)]) for
    type `"ii"`. The covariance is divided by the batch size, so a batch of one is finite.

    Args:
        model_config: A `DIPVAEConfig`.
        encoder: A custom Pythae `BaseEncoder`; default: Pythae's MLP.
        decoder: A custom Pythae `BaseDecoder`; default: Pythae's MLP.

    Reference:
        Kumar, Sattigeri and Balakrishnan, Variational Inference of Disentangled Latent Concepts
        from Unlabeled Observations, ICLR 2018, equations 6 and 7.
    """

    def __init__(self, model_config: Any, encoder: Any = None, decoder: Any = None) -> None:
        super().__init__(model_config, encoder=encoder, decoder=decoder)
        self.model_name = "DIPVAE"
        self.dip_type = model_config.dip_type
        self.lambda_od = model_config.lambda_od
        self.lambda_d = model_config.lambda_d
        self.beta = model_config.beta

    def forward(self, inputs: Mapping[str, Any], **kwargs: Any) -> Any:
        """Encode, sample, decode, and compute the loss.

        Args:
            inputs: A mapping with `"data"` (B, *input_dim).
            **kwargs: Arguments of Pythae's trainers, unused.

        Returns:
            A `ModelOutput` of `loss`, its terms `recon_loss`, `reg_loss` (the KL in nats),
            `dip_od_loss` and `dip_d_loss` (both weighted), `recon_x` (B, *input_dim) and `z`
            (B, L).
        """
        x = inputs["data"]
        encoded = self.encoder(x)
        mu, log_var = encoded.embedding, encoded.log_covariance
        z, _ = self._sample_gauss(mu, torch.exp(0.5 * log_var))
        recon_x = self.decoder(z)["reconstruction"]
        names = ("loss", "recon_loss", "reg_loss", "dip_od_loss", "dip_d_loss")
        losses = self.loss_function(recon_x, x, mu, log_var, z)
        return ModelOutput(**dict(zip(names, losses, strict=True)), recon_x=recon_x, z=z)

    def loss_function(
        self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor
    ) -> tuple[Tensor, ...]:
        """The loss, reconstruction, KL and both covariance terms, as means over the batch."""
        loss, recon_loss, kld = super().loss_function(recon_x, x, mu, log_var, z)
        with torch.autocast(mu.device.type, enabled=False):
            means = mu.to(torch.promote_types(mu.dtype, torch.float32))
            centred = means - means.mean(0)
            covariance = centred.T @ centred / len(mu)
        if self.dip_type == "ii":
            covariance = covariance + torch.diag(log_var.exp().mean(0))
        diagonal = torch.diagonal(covariance)
        dip_od = self.beta * self.lambda_od * (covariance - torch.diag(diagonal)).pow(2).sum()
        dip_d = self.beta * self.lambda_d * (diagonal - 1).pow(2).sum()
        return loss + (self.beta - 1) * kld + dip_od + dip_d, recon_loss, kld, dip_od, dip_d


@dataclass
class GatedDIPVAEConfig(GatedConfigMixin, DIPVAEConfig):
    """As `DIPVAEConfig`, with the fields of `GatedConfigMixin`."""


class GatedDIPVAE(GatedMixin, DIPVAE):
    """`DIPVAE`, gated as described in `GatedMixin`; closed codes enter C as constants.

    Reference:
        Kumar, Sattigeri and Balakrishnan, ICLR 2018; Vowels, Camgoz and Bowden, Gated Variational
        AutoEncoders, 2019 (arXiv 1911.06443).
    """
