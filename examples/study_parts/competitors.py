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


class LORD(BetaVAE):
    """Latent optimisation: a code per image for the rest, and one per label, shared by its images.

    Gabbay and Hoshen, "Demystifying Inter-Class Disentanglement", ICLR 2020. Noise of variance 1
    is added to the codes of the rest, whose norm is penalised with weight beta, and none to those
    of labels. In the last phase, `amortising`, encoder and decoder learn to predict the codes from
    images and to reconstruct from them. Batches have the images' numbers as labels.
    """

    log_var_of_labels = -8.0  # in sampled codes
    scale = 10.0  # of the codes: with Adam, a learning rate for them that is 10 times higher

    def __init__(
        self,
        config: Any,
        encoder: Any,
        decoder: Any,
        partitions: Partitions,
        labels: Mapping[str, Tensor],  # labelled partition -> class of each image, (N,)
    ) -> None:
        super().__init__(config, encoder, decoder)
        self.partitions, self.amortising = partitions, False
        n = len(next(iter(labels.values())))
        log_var = torch.zeros(self.latent_dim)
        self.tables = nn.ModuleDict()
        for name, size in partitions.sizes.items():
            rows = int(labels[name].max()) + 1 if name in labels else n
            self.tables[name] = nn.Embedding(rows, size)
            nn.init.normal_(self.tables[name].weight, std=0.1 / self.scale)
            self.register_buffer(f"class_{name}", labels.get(name, torch.arange(n)))
            if name in labels:
                log_var[partitions.slices[name]] = self.log_var_of_labels
        with torch.no_grad():
            encoder.log_var.weight.zero_()
            encoder.log_var.bias.copy_(log_var)
        encoder.log_var.requires_grad_(False)

    def forward(self, inputs: Mapping[str, Any], **kwargs: Any) -> ModelOutput:
        x, items = inputs["data"], inputs["labels"].long()
        tables = self.tables.items()
        codes = [table(getattr(self, f"class_{name}")[items]) for name, table in tables]
        mu = self.scale * torch.cat(codes, dim=1)
        predicted = self.encoder(x)["embedding"] if self.amortising else mu
        z = predicted + (self.encoder.log_var.bias / 2).exp() * torch.randn_like(mu)
        recon_x = self.decoder(z)["reconstruction"]
        error = (recon_x - x).square().flatten(1).sum(1).mean() / 2
        if self.amortising:
            penalty = (predicted - mu.detach()).square().sum(1).mean() / 2
        else:
            rest = torch.cat([self.partitions.split(mu)[r] for r in self.partitions.rest], dim=1)
            penalty = self.beta * rest.square().sum(1).mean() / 2
        return ModelOutput(loss=error + penalty, recon_loss=error, reg_loss=penalty)
