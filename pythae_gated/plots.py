"""Pictures of what a VAE's latent dimensions and partitions do, as arrays and as PNG files.

Every function takes any Pythae VAE, gated or not, whose images have 1 or 3 channels. The arrays
hold images (C, H, W) with pixels in [0, 1]; `tile` and `save_png` lay them out.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pythae_gated.charts import importance_chart
from pythae_gated.inference import (
    Images,
    as_images,
    decode,
    generate,
    posterior,
    resolve_partitions,
)
from pythae_gated.partitions import Partitions
from pythae_gated.tiles import Picture, check_channels, save_png, tile
from pythae_gated.walks import (
    Along,
    Gaussian,
    Unit,
    aggregate_posterior,
    partition_steps,
    prior,
)

__all__ = [
    "FloatArray",
    "Picture",
    "importance_chart",
    "reconstructions",
    "save_png",
    "swap_grid",
    "tile",
    "traversals",
    "variations",
]

FloatArray: TypeAlias = npt.NDArray[np.float32]


def traversals(
    model: nn.Module,
    x: Images | None = None,  # (*input_dim) or (1, *input_dim)
    *,
    partitions: Partitions | Mapping[str, int] | None = None,
    steps: int = 7,
    span: float = 3.0,
    along: Along = "dimensions",
    unit: Unit = "prior",
    data: Images | None = None,  # (N, *input_dim)
) -> FloatArray:  # (L or K, steps, *input_dim)
    """Walk along each latent dimension or partition, all others held fixed.

    Row i is dimension i, or partition i. Partitions are contiguous, so the rows of their
    dimensions lie together, in the order of `partitions.names`: `save_png(path, ...,
    groups=model.partitions)` sets them apart. Columns go evenly from -span to span.

    Along a partition the walk is a straight line on which all its dimensions move together:
    through the codes of `data`, the direction in which their posterior means vary most (its
    largest entry positive); without `data`, the diagonal, along which all dimensions grow alike.

    Args:
        model: The VAE.
        x: The image whose posterior mean the other dimensions keep. None is the prior's mean, 0.
        partitions: Name -> size, for an ungated model; None is the model's own.
        steps: Number of columns, at least 2.
        span: How far to walk to either side of the middle, in standard deviations.
        along: A row for each of the L `"dimensions"`, or for each of the K `"partitions"`.
        unit: Of which distribution the middle is the mean and the span counts the standard
            deviations. `"prior"`: 0 and 1. `"posterior"`: with `data`, of the codes of all these
            images together (the aggregate posterior, whose variance is that of the means plus
            the mean variance: how far the codes of real images go); without, of the posterior of
            x alone (what the model takes to be much the same image).
        data: Images that show how codes lie, at least 2; a few hundred suffice.

    Raises:
        ValueError: Where there are fewer than 2 steps, the span is not positive, x is not one
            image, `along` or `unit` is unknown, neither x nor data gives a posterior, or the
            images have neither 1 channel nor 3.
    """
    _check_walk(steps, span, along, unit)
    start = _prior_mean(model) if x is None else posterior(model, _one_image(model, x))[0]
    parts = resolve_partitions(model, partitions, start.shape[1])
    everywhere = None if data is None else aggregate_posterior(model, data)
    middle = _unit(model, unit, x, everywhere, parts.latent_dim)
    if along == "dimensions":
        walked, step = torch.eye(parts.latent_dim, dtype=torch.bool), middle.deviation.diag()
    else:
        walked = parts.expand(torch.eye(len(parts.names), dtype=torch.bool))
        step = partition_steps(parts, middle, everywhere)
    distance = torch.linspace(-span, span, steps)[:, None]  # (steps, 1)
    line = middle.mean + distance * step[:, None]  # (L or K, steps, L)
    return _decode_grid(model, torch.where(walked[:, None], line, start))


def swap_grid(
    model: nn.Module,
    rows: Images,  # (R, *input_dim)
    columns: Images,  # (C, *input_dim)
    partition: str | Iterable[str],
    *,
    partitions: Partitions | Mapping[str, int] | None = None,
) -> FloatArray:  # (R, C, *input_dim)
    """Show each column's image with each row's code in one partition ("pose of this row").

    Cell (i, j) decodes the posterior mean of `columns[j]`, but for the dimensions of
    `partition`, which are those of `rows[i]`. `save_png(path, ..., rows=rows, columns=columns)`
    puts the images themselves before their row and above their column.

    Args:
        model: The VAE.
        rows: Images that give the code of the partition.
        columns: Images that give all the rest.
        partition: The name of the partition to swap, or several.
        partitions: Name -> size, for an ungated model; None is the model's own.

    Raises:
        PartitionError: Where there is no such partition.
    """
    given, kept = posterior(model, rows)[0], posterior(model, columns)[0]
    parts = resolve_partitions(model, partitions, kept.shape[1])
    z = parts.exchange(kept.repeat(len(given), 1, 1), given[:, None], partition)  # (R, C, L)
    return _decode_grid(model, z)


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
    """New images like these but for one partition ("new expressions of this face").

    Row i holds n images decoded from the posterior mean of `x[i]`, but for the dimensions of
    `vary`, which are drawn anew each time. `save_png(path, ..., rows=x)` puts the images
    themselves before their row. It is a gated model's `generate` for any Pythae VAE.

    Args:
        model: The VAE.
        x: The images to vary.
        vary: The name of the partition whose code is drawn anew, or several.
        n: Number of variations of each image, at least 1.
        partitions: Name -> size, for an ungated model; None is the model's own.
        source: Images to take the new codes from, one image at random for each variation. None
            draws them from the prior.
        generator: A generator on the CPU; None is torch's global one.

    Raises:
        PartitionError: Where there is no such partition, or none is named.
        ValueError: Where n is not an int of at least 1, `x` or `source` is not images of the
            model's shape, or these have neither 1 channel nor 3.
    """
    images = generate(model, x, vary, n, partitions, source=source, generator=generator)
    return _as_array(images)


def reconstructions(
    model: nn.Module,
    x: Images,  # (N, *input_dim)
) -> FloatArray:  # (2, N, *input_dim)
    """Images, and below them what the model makes of their posterior means."""
    decoded = decode(model, posterior(model, x)[0])
    originals = as_images(x).cpu().reshape(decoded.shape)
    return _as_array(torch.stack([originals, decoded]))


def _check_walk(steps: int, span: float, along: str, unit: str) -> None:
    if steps < 2 or not span > 0:
        raise ValueError(f"steps={steps}, span={span}: expected at least 2, and more than 0")
    for name, value, known in (("along", along, Along), ("unit", unit, Unit)):
        if value not in get_args(known):
            expected = " or ".join(f'"{each}"' for each in get_args(known))
            raise ValueError(f"{name}={value!r}: expected {expected}")


def _unit(
    model: nn.Module, unit: Unit, x: Images | None, everywhere: Gaussian | None, latent_dim: int
) -> Gaussian:
    """What the middle of a walk is the mean of, and its span counts the deviations of."""
    if unit == "prior":
        return prior(latent_dim)
    if everywhere is not None:
        return everywhere
    if x is None:
        raise ValueError(
            'unit="posterior" takes an image x, whose posterior is meant, or data=images, for '
            "the posterior of them all; got neither"
        )
    mean, log_var = posterior(model, _one_image(model, x))
    return Gaussian(mean[0], torch.exp(log_var[0] / 2))


def _prior_mean(model: Any) -> Tensor:  # (1, L)
    return torch.zeros(1, model.latent_dim)


def _one_image(
    model: nn.Module,
    x: Images,
) -> Images:  # (1, *input_dim)
    input_dim = tuple(getattr(model, "input_dim", None) or x.shape[-3:])
    if tuple(x.shape) not in (input_dim, (1, *input_dim)):
        raise ValueError(f"x has shape {tuple(x.shape)}: expected one image, {input_dim}")
    return x.reshape((1, *input_dim))


def _decode_grid(
    model: nn.Module,
    z: Tensor,  # (R, C, L)
) -> FloatArray:  # (R, C, *input_dim)
    decoded = decode(model, z.flatten(0, 1))
    return _as_array(decoded.reshape(*z.shape[:2], *decoded.shape[1:]))


def _as_array(images: Tensor) -> FloatArray:
    check_channels(images)
    array: FloatArray = images.clamp(0, 1).numpy()
    return array
