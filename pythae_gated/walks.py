"""Lines through the latent space: where `plots.traversals` walks, and how far."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from pythae_gated.inference import Images, posterior
from pythae_gated.partitions import Partitions

Along: TypeAlias = Literal["dimensions", "partitions"]
Unit: TypeAlias = Literal["prior", "posterior"]


@dataclass(frozen=True, eq=False)
class Gaussian:
    """The mean and the standard deviation of each dimension, and how codes lie together.

    Attributes:
        mean: Shape (L,).
        deviation: Shape (L,).
        means_covariance: Shape (L, L): of the posterior means of several images; None where
            there are not several.
    """

    mean: Tensor
    deviation: Tensor
    means_covariance: Tensor | None = None


def prior(latent_dim: int) -> Gaussian:
    """N(0, I)."""
    return Gaussian(torch.zeros(latent_dim), torch.ones(latent_dim))


def aggregate_posterior(
    model: nn.Module,
    data: Images,  # (N, *input_dim)
) -> Gaussian:
    """Mean and deviation of the codes of all images together: the mixture of their posteriors.

    Its variance is that of the means plus the mean of the variances.

    Raises:
        ValueError: Where there are fewer than 2 images.
    """
    if len(data) < 2:
        raise ValueError(f"data holds {len(data)} images: expected at least 2, to see them vary")
    mu, log_var = posterior(model, data)
    covariance = torch.cov(mu.T, correction=0).reshape(mu.shape[1], mu.shape[1])
    variance = covariance.diag() + log_var.exp().mean(0)
    return Gaussian(mu.mean(0), variance.sqrt(), covariance)


def partition_steps(
    partitions: Partitions,
    unit: Gaussian,
    data: Gaussian | None,
) -> Tensor:  # (K, L)
    """One standard deviation along a line within each partition; zero outside of it.

    The line is the one along which the posterior means of the data vary most (its largest entry
    positive), else, without data, the diagonal.

    Example:
        >>> partition_steps(Partitions({"a": 1, "b": 4}), prior(5), None)
        tensor([[1.0000, 0.0000, 0.0000, 0.0000, 0.0000],
                [0.0000, 0.5000, 0.5000, 0.5000, 0.5000]])
    """
    steps = torch.zeros(len(partitions.names), partitions.latent_dim)
    for row, where in zip(steps, partitions.slices.values(), strict=True):
        deviation = unit.deviation[where]
        if data is None or data.means_covariance is None:
            row[where] = deviation / len(deviation) ** 0.5
            continue
        direction = torch.linalg.eigh(data.means_covariance[where, where]).eigenvectors[:, -1]
        direction = direction * direction[direction.abs().argmax()].sign()
        row[where] = direction * _along(direction, unit, where)
    return steps


def _along(direction: Tensor, unit: Gaussian, where: slice) -> Tensor:
    """The standard deviation along a unit vector within a partition."""
    covariance = unit.deviation[where].square().diag()
    if unit.means_covariance is not None:  # dimensions may vary together
        means = unit.means_covariance[where, where]
        covariance = covariance + means - means.diag().diag()
    return (direction @ covariance @ direction).sqrt()
