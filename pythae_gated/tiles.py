"""Images laid out as one picture: grids with headers and gaps, as an array and as a PNG file."""

import math
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TypeAlias

import imageio.v3 as imageio
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pythae_gated.inference import Images, as_images, check_finite
from pythae_gated.partitions import Partitions

Picture: TypeAlias = npt.NDArray[np.uint8]

GAP, GROUP_GAP = 2, 8  # pixels between images, and between groups of them
BACKGROUND = 1.0  # white


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


def check_channels(images: Tensor) -> None:
    """Refuse what is not images, or can be shown neither in grey nor in colour.

    Raises:
        ValueError: Where the shape is neither (R, C, channels, H, W) nor (N, channels, H, W),
            with 1 channel or 3.
    """
    if images.ndim not in (4, 5) or images.shape[-3] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            f"images of shape {tuple(images.shape)}: expected (R, C, channels, H, W) or "
            "(N, channels, H, W), with 1 channel or 3"
        )


def _as_grid(
    images: Images,  # (R, C, channels, H, W) or (N, channels, H, W)
) -> Tensor:  # (R, C, channels, H, W)
    grid = as_images(images).cpu()
    check_channels(grid)
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
