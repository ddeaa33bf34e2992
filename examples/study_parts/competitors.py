"""Published methods that the study compares with the gated models.

Minimal implementations on the gated models' networks, pairs and beta-VAE.
"""

from collections.abc import Mapping
from typing import Any

import torch
from pythae.models import BetaVAE
from pythae.models.base.base_utils import ModelOutput
from torch import Tensor, nn
from torch.nn import functional

from pythae_gated import Partitions
from pythae_gated.gating.terms import gaussian_kl
from pythae_gated.networks import ConvEncoder


class GroupVAE(BetaVAE):
    """A pair has one posterior in the dimensions of the shared factor: the average of both.

    Bouchacourt, Tomioka and Nowozin, "Multi-Level Variational Autoencoder", AAAI 2018, with means
    and variances averaged as in Hosoya, "Group-based learning of disentangled representations",
    IJCAI 2019, and in Locatello et al., ICML 2020 (GVAE).
    """

    def __init__(self, config: Any, encoder: Any, decoder: Any, partitions: Partitions) -> None:
        super().__init__(config, encoder, decoder)
        self.partitions = partitions

    def forward(self, inputs: Mapping[str, Any], **kwargs: Any) -> ModelOutput:
        x = torch.cat([inputs["data"], inputs["target"]])
        encoded = self.encoder(x)
        mu, log_var = encoded.embedding, encoded.log_covariance
        shared = self.shared(mu, log_var, inputs["gate"]).repeat(2, 1)
        mu = torch.where(shared, (mu + mu.roll(len(mu) // 2, 0)) / 2, mu)
        variance = log_var.exp()
        averaged = ((variance + variance.roll(len(mu) // 2, 0)) / 2).log()
        log_var = torch.where(shared, averaged, log_var)
        z, _ = self._sample_gauss(mu, torch.exp(log_var / 2))
        recon_x = self.decoder(z)["reconstruction"]
        loss, recon_loss, kld = self.loss_function(recon_x, x, mu, log_var, z)
        return ModelOutput(loss=loss, recon_loss=recon_loss, reg_loss=kld)

    def shared(self, mu: Tensor, log_var: Tensor, gate: Tensor) -> Tensor:  # (B, L) of bool
        """The shared dimensions of each pair: those of its open partitions."""
        return self.partitions.expand(gate)


class AdaGVAE(GroupVAE):
    """As `GroupVAE`, but the shared dimensions are estimated from the posteriors.

    Locatello et al., "Weakly-Supervised Disentanglement Without Compromises", ICML 2020, section
    4: a dimension is shared if the KL between both posteriors is below the midpoint of the pair's
    smallest and largest.
    """

    def shared(self, mu: Tensor, log_var: Tensor, gate: Tensor) -> Tensor:  # (B, L) of bool
        """The dimensions whose KL is below the midpoint."""
        (mu_x, mu_t), (log_x, log_t) = mu.detach().chunk(2), log_var.detach().chunk(2)
        kl = gaussian_kl(mu_x, log_x, mu_t, log_t)
        return kl < (kl.amin(1, keepdim=True) + kl.amax(1, keepdim=True)) / 2


class MatchPairing(BetaVAE):
    """Generated pairs with equal shared dimensions, matched to real pairs by a discriminator.

    Shu et al., "Weakly Supervised Disentanglement with Guarantees", ICLR 2020: match pairing. The
    encoder is trained to invert the generator on generated images. For Pythae's
    `AdversarialTrainer`, with the hinge loss and spectral normalisation.
    """

    def __init__(
        self, config: Any, encoder: Any, decoder: Any, discriminator: Any, partitions: Partitions
    ) -> None:
        super().__init__(config, encoder, decoder)
        self.discriminator = discriminator
        self.partitions = partitions

    def forward(self, inputs: Mapping[str, Any], **kwargs: Any) -> ModelOutput:
        x, t, gate = inputs["data"], inputs["target"], inputs["gate"]
        shared = self.partitions.expand(gate) | (x == t).flatten(1).all(1, keepdim=True)
        z_x = torch.randn_like(shared, dtype=x.dtype)
        z_t = torch.where(shared, z_x, torch.randn_like(z_x))
        generated = self.decoder(torch.cat([z_x, z_t]))["reconstruction"]
        real_score = self.discriminator(x, t, gate)
        fake_score = self.discriminator(*generated.detach().chunk(2), gate)
        generator_score = self.discriminator(*generated.chunk(2), gate)
        encoded = self.encoder(generated.detach())
        squared_error = (torch.cat([z_x, z_t]) - encoded.embedding).square()
        log_var = encoded.log_covariance.clamp(min=-6)  # diverges without
        code_nll = (log_var + squared_error / log_var.exp()).sum(1) / 2
        discriminator_loss = (1 - real_score).relu().mean() + (1 + fake_score).relu().mean()
        autoencoder_loss = code_nll.mean() - generator_score.mean()
        return ModelOutput(
            loss=autoencoder_loss + discriminator_loss,
            autoencoder_loss=autoencoder_loss,
            discriminator_loss=discriminator_loss,
            update_discriminator=True,
            update_encoder=True,
            update_decoder=True,
        )


class PairDiscriminator(nn.Module):
    """Scores a pair of images, given the partitions that it shares, as real or generated."""

    def __init__(
        self, n_partitions: int, input_dim: tuple[int, ...], channels: tuple[int, ...]
    ) -> None:
        super().__init__()
        normalise = nn.utils.parametrizations.spectral_norm
        features = ConvEncoder(input_dim, 1, channels).features
        features[0] = nn.Conv2d(2, channels[0], 4, 2, 1)  # the pair, as two channels
        for layer in features.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                normalise(layer)
        self.features = features
        self.scores = normalise(nn.Linear(128, n_partitions + 1))

    def forward(self, x: Tensor, t: Tensor, gate: Tensor) -> Tensor:  # (B,)
        scores = self.scores(self.features(torch.cat([x, t], dim=1)))
        return scores[:, 0] + (scores[:, 1:] * gate).sum(1)


class SupervisedBetaVAE(BetaVAE):
    """A beta-VAE with a linear classifier per labelled factor, on its partition's code.

    The cross-entropy of each label, in nats, is added to the loss; -1 is an unknown label.
    """

    def __init__(
        self,
        config: Any,
        encoder: Any,
        decoder: Any,
        partitions: Partitions,
        heads: Mapping[str, tuple[str, int]],  # factor -> partition, number of classes
    ) -> None:
        super().__init__(config, encoder, decoder)
        self.partitions = partitions
        self.head_inputs = {factor: partition for factor, (partition, _) in heads.items()}
        self.heads = nn.ModuleDict(
            {
                factor: nn.Linear(partitions.sizes[partition], n_classes)
                for factor, (partition, n_classes) in heads.items()
            }
        )

    def forward(self, inputs: Mapping[str, Any], **kwargs: Any) -> ModelOutput:
        output = super().forward(inputs, **kwargs)
        codes = self.partitions.split(output["z"])
        for labels, (factor, head) in zip(
            inputs["labels"].unbind(1), self.heads.items(), strict=True
        ):
            logits = head(codes[self.head_inputs[factor]])
            cross_entropy = functional.cross_entropy(
                logits, labels.long(), ignore_index=-1, reduction="sum"
            )
            output["loss"] = output["loss"] + cross_entropy / len(labels)
        return output
