"""Variants of the gated beta-VAE against leakage into the rest and against wrong labels."""

from typing import Any

import torch
from torch import Tensor, nn

from pythae_gated import GatedBetaVAE, Partitions


class HeavierRestKL(GatedBetaVAE):
    """The KL of the rest has five times the weight."""

    def loss_function(
        self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor
    ) -> Any:
        loss, recon_loss, kld = super().loss_function(recon_x, x, mu, log_var, z)
        nats = (mu.square() + log_var.exp() - 1 - log_var) / 2
        rest, _ = _rest_and_others(self.partitions, nats)
        return loss + 4 * self.beta * rest.sum(1).mean(), recon_loss, kld


class HSICRest(GatedBetaVAE):
    """The dependence (HSIC) of the rest on the other codes is penalised.

    Gretton et al., "Measuring statistical dependence with Hilbert-Schmidt norms", ALT 2005.
    """

    weight = 10.0

    def loss_function(
        self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor
    ) -> Any:
        loss, recon_loss, kld = super().loss_function(recon_x, x, mu, log_var, z)
        rest, others = _rest_and_others(self.partitions, z)
        return loss + self.weight * hsic(rest, others.detach()), recon_loss, kld


class AdversarialRest(GatedBetaVAE):
    """The rest is trained against a network that predicts the other codes from it.

    Gradient reversal: Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR
    2016.
    """

    weight = 1.0

    def __init__(self, config: Any, encoder: Any, decoder: Any) -> None:
        super().__init__(config, encoder, decoder)
        rest, others = _rest_and_others(self.partitions, torch.zeros(1, self.latent_dim))
        self.predictor = nn.Sequential(
            nn.Linear(rest.shape[1], 128), nn.SiLU(), nn.Linear(128, others.shape[1])
        )

    def loss_function(
        self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor
    ) -> Any:
        loss, recon_loss, kld = super().loss_function(recon_x, x, mu, log_var, z)
        rest, others = _rest_and_others(self.partitions, z)
        rest = rest.view_as(rest)
        error = (self.predictor(rest) - others.detach()).square().mean()
        if rest.requires_grad:
            # Only while the predictor is better than the mean: codes would grow without bound.
            informative = error.detach() < others.detach().var(0).mean()
            rest.register_hook(lambda gradient: -self.weight * informative * gradient)
        return loss + error, recon_loss, kld


class TrimmedPairs(GatedBetaVAE):
    """The quarter of a batch with the largest reconstruction errors is left out of the loss.

    Least trimmed squares: Rousseeuw, "Least median of squares regression", JASA 1984; within a
    batch: Han et al., "Co-teaching", NeurIPS 2018.
    """

    left_out = 0.25

    def loss_function(
        self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor
    ) -> Any:
        loss, recon_loss, kld = super().loss_function(recon_x, x, mu, log_var, z)
        errors = half_squared_errors(recon_x, x)
        kept = errors.topk(round(len(errors) * (1 - self.left_out)), largest=False).values
        return loss - recon_loss + kept.mean(), recon_loss, kld


class ReweightedPairs(GatedBetaVAE):
    """Rows are weighted by 1 / (1 + error / median error)^2.

    Weights of Geman and McClure, "Statistical methods for tomographic image reconstruction",
    Bulletin of the ISI 1987.
    """

    def loss_function(
        self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor
    ) -> Any:
        loss, recon_loss, kld = super().loss_function(recon_x, x, mu, log_var, z)
        errors = half_squared_errors(recon_x, x)
        weights = (1 + errors.detach() / errors.detach().median()) ** -2
        weighted = (weights / weights.mean() * errors).mean()
        return loss - recon_loss + weighted, recon_loss, kld


def half_squared_errors(recon_x: Tensor, x: Tensor) -> Tensor:
    """One error per row: (B, ...) and (B, ...) to (B,)."""
    return (recon_x - x).square().flatten(1).sum(1) / 2


def hsic(
    x: Tensor,  # (B, Dx)
    y: Tensor,  # (B, Dy)
) -> Tensor:
    """The Hilbert-Schmidt independence criterion, with Gaussian kernels of variance D."""
    kernels = []
    for codes in (x, y):
        kernel = torch.exp(-torch.cdist(codes, codes).square() / (2 * codes.shape[1]))
        kernels.append(kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean())
    return (kernels[0] * kernels[1]).mean()


def _rest_and_others(partitions: Partitions, codes: Tensor) -> tuple[Tensor, Tensor]:
    parts = partitions.split(codes)
    rest = torch.cat([parts[name] for name in partitions.rest], dim=1)
    others = [part for name, part in parts.items() if name not in partitions.rest]
    return rest, torch.cat(others, dim=1)


# The keys are those of the committed results.
LEAKAGE_REMEDIES = {
    "costly rest": HeavierRestKL,
    "independent rest": HSICRest,
    "blind rest": AdversarialRest,
}
NOISE_REMEDIES = {"trimmed pairs": TrimmedPairs, "weighed pairs": ReweightedPairs}
REMEDIES = LEAKAGE_REMEDIES | NOISE_REMEDIES
