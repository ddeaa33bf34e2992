"""Grids of decoded images or rows: traversals, swaps, variations and reconstructions."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pythae_gated.datasets.images import Images, read_all
from pythae_gated.inference import decode, generate, posterior, resolve_partitions
from pythae_gated.partitions import Partitions
from pythae_gated.plots.layout import check_grid

FloatArray: TypeAlias = npt.NDArray[np.float32]


def traversals(
    model: Any,
    x: Images | None = None,  # (*input_dim) or (1, *input_dim)
    *,
    steps: int = 7,
    span: float = 3.0,
    data: Images | None = None,  # (N, *input_dim)
) -> FloatArray:  # (L, steps, *input_dim)
    """Vary one latent dimension per row, and keep all others.

    In row i dimension i goes from -span to span, in standard deviations of the prior, or, with
    `data`, of the aggregate posterior about its mean: the mixture of the posteriors of all these
    images, whose variance is that of the means plus the mean variance. `save_png(path, ...,
    groups=model.partitions)` separates the rows of the partitions.

    Args:
        model: The VAE.
        x: The image whose posterior mean gives the other dimensions. None: the prior's mean, 0.
        steps: Number of columns, at least 2.
        span: The largest deviation from the mean, in standard deviations.
        data: Images whose codes give the range of each dimension, at least 2.

    Raises:
        ValueError: If there are fewer than 2 steps, the span is not positive, x is not a single
            image, data has fewer than 2, or images have neither 1 nor 3 channels.
    """
    if steps < 2 or not span > 0:
        raise ValueError(f"steps={steps}, span={span}: expected at least 2, and more than 0")
    if x is None:
        start = torch.zeros(1, model.latent_dim)
    else:
        input_dim = getattr(model, "input_dim", None) or ()
        is_single = np.ndim(x) in (1, 3) or np.shape(x) == tuple(input_dim)
        start = posterior(model, [x] if is_single else x, name="x")[0]
    if len(start) != 1:
        raise ValueError(f"x has {len(start)} images: expected one")
    mean, deviation = torch.zeros_like(start), torch.ones_like(start)  # (1, L)
    if data is not None:
        mu, log_var = posterior(model, data)
        if len(mu) < 2:
            raise ValueError("data has 1 image: expected at least 2, to measure their spread")
        mean = mu.mean(0, keepdim=True)
        deviation = (mu.var(0, correction=0, keepdim=True) + log_var.exp().mean(0)).sqrt()
    distance = torch.linspace(-span, span, steps)[:, None]  # (steps, 1)
    varied = torch.eye(start.shape[1], dtype=torch.bool)[:, None]  # (L, 1, L)
    return to_array(decode(model, torch.where(varied, mean + distance * deviation, start)))


def swap_grid(
    model: nn.Module,
    rows: Images,  # (R, *input_dim)
    columns: Images,  # (C, *input_dim)
    partition: str | Iterable[str],
    *,
    partitions: Partitions | Mapping[str, int] | None = None,
) -> FloatArray:  # (R, C, *input_dim)
    """Decode each column's image with each row's code in one partition ("pose of this row").

    Cell (i, j) decodes the posterior mean of `columns[j]`, except for the dimensions of
    `partition`, which are those of `rows[i]`. `save_png(path, ..., rows=rows, columns=columns)`
    shows the images themselves beside their row and above their column.

    Args:
        model: The VAE.
        rows: Images that give the code of the partition.
        columns: Images that give all other codes.
        partition: The partition to swap, or several.
        partitions: Name -> size, for an ungated model; None: the model's own.

    Raises:
        PartitionError: If the partition does not exist.
    """
    given = posterior(model, rows, name="rows")[0]
    kept = posterior(model, columns, name="columns")[0]
    resolved = resolve_partitions(model, partitions, kept.shape[1])
    z = resolved.exchange(kept.repeat(len(given), 1, 1), given[:, None], partition)  # (R, C, L)
    return to_array(decode(model, z))


def variations(
    model: nn.Module,
    x: Images,  # (B, *input_dim)
    vary: str | Iterable[str],
    n: int = 8,
    *,
    partitions: Partitions | Mapping[str, int] | None = None,
    source: Images | None = None,  # (S, *input_dim)
    generator: torch.Generator | None = None,
) -> FloatArray:  # (B, n, *input_dim)
    """Resample one partition of each image ("new expressions of this face").

    As `GatedMixin.generate`, for any Pythae VAE. `save_png(path, ..., rows=x)` shows the images
    themselves beside their row.

    Args:
        model: The VAE.
        x: The images to vary.
        vary: The partition, or partitions, to resample.
        n: Variations per image, at least 1.
        partitions: Name -> size, for an ungated model; None: the model's own.
        source: Images whose codes replace the code; None samples the prior.
        generator: A generator on the CPU; None: torch's global one.

    Raises:
        PartitionError: If the partition does not exist, or none is named.
        ValueError: As `generate`, or if images have neither 1 nor 3 channels.
    """
    return to_array(generate(model, x, vary, n, partitions, source=source, generator=generator))


def reconstructions(model: nn.Module, x: Images) -> FloatArray:  # (2, N, *input_dim)
    """Images, and their reconstructions from the posterior means below them."""
    decoded = decode(model, posterior(model, x, name="x")[0])
    return to_array(torch.stack([read_all(x).reshape(decoded.shape), decoded]))


def to_array(images: Tensor) -> FloatArray:
    """A grid of decoded images, or rows of a table; images that cannot be drawn are refused.

    Images (R, C, H, W) of models without a dimension of channels become (R, C, 1, H, W).
    """
    images = images.unsqueeze(2) if images.ndim == 4 else images
    check_grid(images)
    return (images.clamp(0, 1) if images.ndim > 3 else images).numpy()
