"""Pictures of what a VAE's latent dimensions and partitions do, as arrays and as PNG files.

Every function takes any Pythae VAE, gated or not, whose images have 1 or 3 channels. The arrays
hold images (C, H, W) with pixels in [0, 1]; `tile` and `save_png` lay them out.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeAlias

import imageio.v3 as imageio
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pythae_gated.encoding import (
    Images,
    as_images,
    check_finite,
    decode,
    posterior,
    resolve_partitions,
)
from pythae_gated.partitions import Partitions

FloatArray: TypeAlias = npt.NDArray[np.float32]
Picture: TypeAlias = npt.NDArray[np.uint8]

GAP, GROUP_GAP = 2, 8  # pixels between images, and between groups of them
BACKGROUND = 1.0  # white


def traversals(
    model: nn.Module,
    x: Images | None = None,  # (*input_dim) or (1, *input_dim)
    *,
    partitions: Partitions | Mapping[str, int] | None = None,
    steps: int = 7,
    span: float = 3.0,
) -> FloatArray:  # (L, steps, *input_dim)
    """Walk along each latent dimension, all others held fixed.

    Row i is dimension i. Partitions are contiguous, so their rows lie together, in the order of
    `partitions.names`: `save_png(path, ..., groups=model.partitions)` sets them apart. Column s
    is the dimension's value, evenly from -span to span.

    Args:
        model: The VAE.
        x: The image whose posterior mean the other dimensions keep. None is the prior's mean, 0.
        partitions: Checked against the model; None is the model's own.
        steps: Number of columns, at least 2.
        span: How far to walk to either side of 0, in standard deviations of the prior.

    Raises:
        ValueError: Where there are fewer than 2 steps, the span is not positive, or x is not one
            image.
    """
    if steps < 2 or not span > 0:
        raise ValueError(f"steps={steps}, span={span}: expected at least 2, and more than 0")
    start = _prior_mean(model) if x is None else _posterior_mean(model, x)
    latent_dim = resolve_partitions(model, partitions, start.shape[1]).latent_dim
    z = start.expand(latent_dim, latent_dim)[:, None].repeat(1, steps, 1)  # (L, steps, L)
    rows = torch.arange(latent_dim)
    z[rows, :, rows] = torch.linspace(-span, span, steps)
    return _decode_grid(model, z)


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
    z = kept.repeat(len(given), 1, 1)  # (R, C, L)
    for name in parts.resolve(partition):
        where = parts.slices[name]
        z[:, :, where] = given[:, None, where]
    return _decode_grid(model, z)


def reconstructions(
    model: nn.Module,
    x: Images,  # (N, *input_dim)
) -> FloatArray:  # (2, N, *input_dim)
    """Images, and below them what the model makes of their posterior means."""
    decoded = decode(model, posterior(model, x)[0])
    originals = as_images(x).cpu().reshape(decoded.shape)
    return _as_array(torch.stack([originals, decoded]))


def tile(
    images: Images,  # (R, C, 1 or 3, H, W) or (N, 1 or 3, H, W)
    *,
    rows: Images | None = None,
    columns: Images | None = None,
    groups: Partitions | Sequence[int] | None = None,
) -> Picture:  # (height, width) or (height, width, 3)
    """Lay a grid of images out as one picture.

    Args:
        images: The grid; images in one line, (N, ...), are laid out as a square. Pixels outside
            [0, 1] are clipped.
        rows: R images to stand before the rows, a wider gap apart.
        columns: C images to stand above the columns, a wider gap apart.
        groups: How many rows belong together, one after another; wider gaps between them.
            Partitions are groups of their sizes.

    Raises:
        ValueError: Where the shapes do not fit together.

    Example:
        >>> tile(np.zeros((2, 3, 1, 10, 10), dtype=np.float32)).shape
        (22, 34)
        >>> tile(np.zeros((2, 3, 3, 10, 10), dtype=np.float32), groups=[1, 1]).shape
        (28, 34, 3)
    """
    grid = _as_grid(images)  # (R, C, channels, H, W)
    wide_above, wide_before = _group_starts(groups, len(grid)), set[int]()
    first_row, first_column = grid[0], grid[:, 0]
    if rows is not None:
        grid = torch.cat([_headers("rows", rows, first_column)[:, None], grid], dim=1)
        wide_before = {1}
    if columns is not None:
        above = _headers("columns", columns, first_row)
        if rows is not None:  # nothing stands in the corner
            above = torch.cat([torch.full_like(above[:1], BACKGROUND), above])
        grid = torch.cat([above[None], grid])
        wide_above = {1, *(start + 1 for start in wide_above)}
    return _paste(grid, wide_above, wide_before)


def save_png(
    path: str | Path,
    images: Images,
    *,
    rows: Images | None = None,
    columns: Images | None = None,
    groups: Partitions | Sequence[int] | None = None,
) -> Path:
    """Save a grid of images as a PNG, over whatever is there; see `tile` for the arguments.

    Returns:
        Where it lies. Its folders are made if need be.

    Raises:
        ValueError: Where the path does not end in .png, or as `tile` does.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{str(path)!r} does not end in .png")
    picture = tile(images, rows=rows, columns=columns, groups=groups)
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, picture)
    return path


def _prior_mean(model: Any) -> Tensor:  # (1, L)
    return torch.zeros(1, model.latent_dim)


def _posterior_mean(
    model: nn.Module,
    x: Images,
) -> Tensor:  # (1, L)
    input_dim = tuple(getattr(model, "input_dim", None) or x.shape[-3:])
    if tuple(x.shape) not in (input_dim, (1, *input_dim)):
        raise ValueError(f"x has shape {tuple(x.shape)}: expected one image, {input_dim}")
    return posterior(model, x.reshape((1, *input_dim)))[0]


def _decode_grid(
    model: nn.Module,
    z: Tensor,  # (R, C, L)
) -> FloatArray:  # (R, C, *input_dim)
    decoded = decode(model, z.flatten(0, 1))
    return _as_array(decoded.reshape(*z.shape[:2], *decoded.shape[1:]))


def _as_array(images: Tensor) -> FloatArray:
    array: FloatArray = images.clamp(0, 1).numpy()
    return array


def _as_grid(
    images: Images,  # (R, C, channels, H, W) or (N, channels, H, W)
) -> Tensor:  # (R, C, channels, H, W)
    grid = as_images(images).cpu()
    if grid.ndim not in (4, 5) or grid.shape[-3] not in (1, 3) or 0 in grid.shape:
        raise ValueError(
            f"images of shape {tuple(grid.shape)}: expected (R, C, channels, H, W) or "
            "(N, channels, H, W), with 1 channel or 3"
        )
    check_finite(grid.flatten(0, -4))
    if grid.ndim == 5:
        return grid
    width = math.ceil(math.sqrt(len(grid)))
    height = math.ceil(len(grid) / width)
    missing = torch.full((height * width - len(grid), *grid.shape[1:]), BACKGROUND)
    return torch.cat([grid, missing]).reshape(height, width, *grid.shape[1:])


def _headers(
    name: str,
    images: Images,
    like: Tensor,  # (N, channels, H, W)
) -> Tensor:  # (N, channels, H, W)
    headers = as_images(images).cpu()
    if headers.shape != like.shape:
        raise ValueError(
            f"{name} has shape {tuple(headers.shape)}: expected {tuple(like.shape)}, to match "
            "the grid"
        )
    check_finite(headers)
    return headers


def _group_starts(groups: Partitions | Sequence[int] | None, rows: int) -> set[int]:
    sizes = list(groups.sizes.values()) if isinstance(groups, Partitions) else groups or [rows]
    if sum(sizes) != rows:
        raise ValueError(f"groups of {list(sizes)} rows: the grid has {rows}")
    return set(accumulate(sizes[:-1]))


def _paste(grid: Tensor, wide_above: set[int], wide_before: set[int]) -> Picture:
    height, width = grid.shape[-2:]
    tops, total_height = _offsets(len(grid), height, wide_above)
    lefts, total_width = _offsets(grid.shape[1], width, wide_before)
    canvas = torch.full((total_height, total_width, grid.shape[2]), BACKGROUND)
    for top, row in zip(tops, grid, strict=True):
        for left, image in zip(lefts, row, strict=True):
            canvas[top : top + height, left : left + width] = image.permute(1, 2, 0)
    picture: Picture = canvas.clamp(0, 1).mul(255).round().to(torch.uint8).numpy()
    return picture[:, :, 0] if grid.shape[2] == 1 else picture


def _offsets(count: int, size: int, wide: set[int]) -> tuple[list[int], int]:
    """Where each of the images in a line begins, and how long the line is."""
    gaps = [0, *(GROUP_GAP if index in wide else GAP for index in range(1, count))]
    offsets = [index * size + gap for index, gap in enumerate(accumulate(gaps))]
    return offsets, offsets[-1] + size
