"""The gated beta-VAE, changed: for a rest that tells less, and for labels that are wrong."""

from typing import Any

import torch
from torch import Tensor, nn

from pythae_gated import GatedBetaVAE, Partitions


class CostlyRest(GatedBetaVAE):
    """A remedy: the KL of the rest weighs five times as much."""

    def loss_function(
        self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor
    ) -> Any:
        loss, recon_loss, kld = super().loss_function(recon_x, x, mu, log_var, z)
        nats = (mu.square() + log_var.exp() - 1 - log_var) / 2
        rest, _ = _rest_and_others(self.partitions, nats)
        return loss + 4 * self.beta * rest.sum(1).mean(), recon_loss, kld


class IndependentRest(GatedBetaVAE):
    """A remedy: the dependence (HSIC) of the rest on the other codes is a loss.

    Gretton et al., "Measuring statistical dependence with Hilbert-Schmidt norms", ALT 2005.
    """

    weight = 10.0

    def loss_function(
        self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor
    ) -> Any:
        loss, recon_loss, kld = super().loss_function(recon_x, x, mu, log_var, z)
        rest, others = _rest_and_others(self.partitions, z)
        return loss + self.weight * hsic(rest, others.detach()), recon_loss, kld


class BlindRest(GatedBetaVAE):
    """A remedy: the rest is trained against a network that tells the other codes from it.

    By gradient reversal: Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR
    2016.
    """

    weight = 1.0

    def __init__(self, config: Any, encoder: Any, decoder: Any) -> None:
        super().__init__(config, encoder, decoder)
        rest, others = _rest_and_others(self.partitions, torch.zeros(1, self.latent_dim))
        self.guess = nn.Sequential(
            nn.Linear(rest.shape[1], 128), nn.SiLU(), nn.Linear(128, others.shape[1])
        )

    def loss_function(
        self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor
    ) -> Any:
        loss, recon_loss, kld = super().loss_function(recon_x, x, mu, log_var, z)
        rest, others = _rest_and_others(self.partitions, z)
        rest = rest.view_as(rest)
        missed = (self.guess(rest) - others.detach()).square().mean()
        if rest.requires_grad:
            # Who guesses worse than the mean is told nothing; beyond, codes would grow for ever.
            hides = missed.detach() < others.detach().var(0).mean()
            rest.register_hook(lambda gradient: -self.weight * hides * gradient)
        return loss + missed, recon_loss, kld


class TrimmedPairs(GatedBetaVAE):
    """A remedy for wrong labels: the quarter of the rows with the largest errors is left out.

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


class WeighedPairs(GatedBetaVAE):
    """A remedy for wrong labels: the larger a row's error beside the median, the less it weighs.

    The weights of Geman and McClure, "Statistical methods for tomographic image reconstruction",
    Bulletin of the ISI 1987.
    """

    def loss_function(
        self, recon_x: Tensor, x: Tensor, mu: Tensor, log_var: Tensor, z: Tensor
    ) -> Any:
        loss, recon_loss, kld = super().loss_function(recon_x, x, mu, log_var, z)
        errors = half_squared_errors(recon_x, x)
        weights = (1 + errors.detach() / errors.detach().median()) ** -2
        weighed = (weights / weights.mean() * errors).mean()
        return loss - recon_loss + weighed, recon_loss, kld


def half_squared_errors(recon_x: Tensor, x: Tensor) -> Tensor:
    """Of each row: (B, ...) and (B, ...) to (B,)."""
    return (recon_x - x).square().flatten(1).sum(1) / 2


def hsic(
    x: Tensor,  # (B, Dx)
    y: Tensor,  # (B, Dy)
) -> Tensor:
    """The Hilbert-Schmidt independence criterion, with Gaussian kernels as wide as the space."""
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


LEAKAGE_REMEDIES = {
    "costly rest": CostlyRest,
    "independent rest": IndependentRest,
    "blind rest": BlindRest,
}
NOISE_REMEDIES = {"trimmed pairs": TrimmedPairs, "weighed pairs": WeighedPairs}
REMEDIES = LEAKAGE_REMEDIES | NOISE_REMEDIES
