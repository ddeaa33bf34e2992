"""Images, or rows of a table, laid out as one picture: an array or a PNG file."""

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

from pythae_gated.datasets.images import Images, read_all
from pythae_gated.partitions import Partitions

Picture: TypeAlias = npt.NDArray[np.uint8]

GAP, GROUP_GAP = 2, 8  # pixels between images, and between groups of images
MIN_SIDE = 64  # pixels, to which `save_png` enlarges images
BACKGROUND, BAR, WHITE = 0.93, 0.2, 1.0
BLANK = float("nan")  # where the grid has no image


def tile(
    images: Images,  # (R, C, 1 or 3, H, W) or (N, 1 or 3, H, W); (R, C, D) or (N, D)
    *,
    rows: Images | None = None,
    columns: Images | None = None,
    groups: Partitions | Sequence[int] | None = None,
    min_side: int = 1,
) -> Picture:  # (height, width) or (height, width, 3)
    """Lay out a grid of images as one picture.

    Rows of a table, D values each, are drawn as bar charts that share one scale.

    Args:
        images: The grid; a single line of images, (N, ...), is laid out as a square. Pixels
            outside [0, 1] are clipped.
        rows: R images to show before the rows, separated by a wider gap.
        columns: C images to show above the columns, separated by a wider gap.
        groups: Numbers of successive rows that belong together, separated by wider gaps; or
            partitions, whose sizes are these numbers.
        min_side: Images with a shorter side, in pixels, are enlarged by a whole number.

    Raises:
        ValueError: If the shapes do not fit together, or are those of a single image (C, H, W) or
            of grey images (N, H, W), or an image contains NaN or infinity.

    Example:
        >>> tile(np.zeros((2, 3, 1, 10, 10), dtype=np.float32)).shape
        (22, 34)
        >>> tile(np.zeros((2, 3, 3, 10, 10), dtype=np.float32), groups=[1, 1]).shape
        (28, 34, 3)
    """
    grid = _as_grid(images)  # (R, C, channels, H, W) or (R, C, D)
    top, left = int(columns is not None), int(rows is not None)
    shape = len(grid) + top, grid.shape[1] + left, *grid.shape[2:]
    page = grid.new_full(shape, BLANK)
    page[top:, left:] = grid
    if rows is not None:
        page[top:, 0] = _headers("rows", rows, grid[:, 0])
    if columns is not None:
        page[0, left:] = _headers("columns", columns, grid[0])
    wide_rows = [top] * top + [top + start for start in _group_starts(groups, len(grid))]
    if page.ndim == 3:
        page = _draw_bars(page, max(min_side, MIN_SIDE))
    scale = math.ceil(min_side / min(page.shape[-2:]))
    enlarged = page.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    return _paste(enlarged.nan_to_num(WHITE), wide_rows, [left] * left)


def save_png(
    path: str | Path,
    images: Images,
    *,
    rows: Images | None = None,
    columns: Images | None = None,
    groups: Partitions | Sequence[int] | None = None,
) -> Path:
    """Save a grid of images as a PNG, with the arguments of `tile`.

    Small images are enlarged by a whole number, to at least 64 pixels a side. Missing folders are
    created, an existing file is replaced.

    Returns:
        The path.

    Raises:
        ValueError: If the path does not end in .png, or as `tile` does.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{str(path)!r} does not end in .png")
    picture = tile(images, rows=rows, columns=columns, groups=groups, min_side=MIN_SIDE)
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, picture)
    return path


def check_grid(images: Tensor) -> None:
    """Refuse arrays that are neither grey or colour images nor rows of a table.

    Raises:
        ValueError: If the shape is neither (R, C, channels, H, W) nor (N, channels, H, W), with
            1 or 3 channels, nor (R, C, D) nor (N, D).
    """
    is_table = images.ndim in (2, 3)
    is_image = images.ndim in (4, 5) and images.shape[-3] in (1, 3)
    if not (is_table or is_image) or 0 in images.shape:
        raise ValueError(
            f"images of shape {tuple(images.shape)}: expected (R, C, channels, H, W) or "
            "(N, channels, H, W), with 1 or 3 channels, or rows of a table, (R, C, D) or (N, D)"
        )


def _as_grid(images: Images) -> Tensor:  # (R, C, channels, H, W) or (R, C, D)
    grid = read_all(images)
    check_grid(grid)
    n, *sides = grid.shape
    # A table with so many columns is far rarer than an image without the dimension (N, ...).
    if grid.ndim == 3 and (sides[0] == sides[1] >= 16 or (n in (1, 3) and min(sides) >= 28)):
        raise ValueError(
            f"images of shape {tuple(grid.shape)}: expected (N, channels, H, W); one image is "
            "images[None], grey ones are images[:, None], and one line of a table is (N, D)"
        )
    if grid.ndim in (3, 5):
        return grid
    width = math.ceil(math.sqrt(len(grid)))
    missing = grid.new_full((-len(grid) % width, *grid.shape[1:]), BLANK)
    return torch.cat([grid, missing]).reshape(-1, width, *grid.shape[1:])


def _headers(name: str, images: Images, like: Tensor) -> Tensor:  # (N, channels, H, W) or (N, D)
    headers = read_all(images)
    if (headers.ndim, like.ndim) == (3, 4):  # without a dimension of channels
        headers = headers.unsqueeze(1)
    if headers.shape != like.shape:
        raise ValueError(
            f"{name} has shape {tuple(headers.shape)}: expected {tuple(like.shape)}, as the grid"
        )
    return headers


def _group_starts(groups: Partitions | Sequence[int] | None, rows: int) -> list[int]:
    sizes = list(groups.sizes.values()) if isinstance(groups, Partitions) else groups or [rows]
    if sum(sizes) != rows:
        raise ValueError(f"groups of {list(sizes)} rows: the grid has {rows}")
    return list(accumulate(sizes[:-1]))


def _draw_bars(grid: Tensor, side: int) -> Tensor:  # (R, C, D) -> (R, C, 1, side, side)
    """Bar charts with D bars from zero, in one scale; narrow bars are joined to fit the side."""
    known = grid[~grid.isnan()]
    highest, lowest = float(known.max().clamp(min=1e-6)), float(known.min().clamp(max=0))
    resize = torch.nn.functional.adaptive_max_pool1d
    top, bottom = resize(grid, side).clamp(min=0), -resize(-grid, side).clamp(min=0)
    levels = torch.linspace(highest, lowest, side)[:, None]  # of the lines of pixels
    inside = (levels <= top[..., None, :]) & (levels >= bottom[..., None, :])
    charts = torch.where(inside, BAR, BACKGROUND).where(~top.isnan()[..., None, :], BLANK)
    return charts[:, :, None]


def _paste(grid: Tensor, wide_rows: Sequence[int], wide_columns: Sequence[int]) -> Picture:
    height, width = (size + GAP for size in grid.shape[-2:])
    cells = torch.nn.functional.pad(grid, (0, GAP, 0, GAP), value=WHITE)
    pixels = cells.clamp(0, 1).mul(255).round().byte().permute(0, 3, 1, 4, 2)
    picture = pixels.flatten(2, 3).flatten(0, 1).numpy()[:-GAP, :-GAP]
    for axis, size, starts in ((0, height, wide_rows), (1, width, wide_columns)):
        at = np.repeat([start * size - GAP for start in starts], GROUP_GAP - GAP).astype(int)
        picture = np.insert(picture, at, 255, axis=axis)
    return picture[:, :, 0] if grid.shape[2] == 1 else picture
