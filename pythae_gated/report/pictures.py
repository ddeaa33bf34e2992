"""The pictures of a report; their captions are in the page's template."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from pythae_gated.datasets.images import ImageReader
from pythae_gated.partitions import Partitions
from pythae_gated.plots.grids import reconstructions, swap_grid, traversals, variations
from pythae_gated.plots.layout import MIN_SIDE, Picture, tile

REFERENCE = 1_000  # images that give the range of each dimension
SPAN, STEPS = 2.0, 7
RECONSTRUCTED, ROWS, COLUMNS, VARIATIONS = 8, 4, 6, 6


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture that is not drawn yet; `partition` is "" for the whole model."""

    kind: str
    partition: str
    file: str
    draw: Callable[[], Picture]


def plan(
    model: nn.Module, partitions: Partitions, shown: Tensor, data: ImageReader, seed: int
) -> list[Figure]:
    """All pictures of a report, in order, none drawn yet.

    Args:
        model: The VAE.
        partitions: Its partitions, or those given for an ungated model.
        shown: Images, of which the first few are shown.
        data: Images whose codes give the range of the traversals.
        seed: Of the variations.
    """
    names, rows = partitions.names, shown[:ROWS]
    columns = shown[ROWS : ROWS + COLUMNS] if len(shown) > ROWS else rows
    reference = data.subset(np.arange(min(REFERENCE, len(data))))

    def swapped(name: str) -> Picture:
        grid = swap_grid(model, rows, columns, name, partitions=partitions)
        return tile(grid, rows=rows, columns=columns, min_side=MIN_SIDE)

    def overview(_: str) -> Picture:
        first = shown[:1]
        grids = [swap_grid(model, columns, first, name, partitions=partitions) for name in names]
        left = first.expand(len(names), -1, -1, -1)
        return tile(
            np.stack([grid[:, 0] for grid in grids]), rows=left, columns=columns, min_side=MIN_SIDE
        )

    def reconstructed(_: str) -> Picture:
        return tile(reconstructions(model, shown[:RECONSTRUCTED]), min_side=MIN_SIDE)

    def traversed(name: str) -> Picture:
        grid = traversals(
            model, shown[:1], partitions=partitions, steps=STEPS, span=SPAN, data=reference
        )
        return tile(grid[partitions.slices[name]], min_side=MIN_SIDE)

    def varied(name: str) -> Picture:
        generator = torch.Generator().manual_seed(seed)
        grid = variations(
            model, rows, name, VARIATIONS, partitions=partitions, generator=generator
        )
        return tile(grid, rows=rows, min_side=MIN_SIDE)

    def figure(kind: str, draw: Callable[[str], Picture], number: int = 0) -> Figure:
        name = names[number - 1] if number else ""
        # Numbered, since names may differ only in characters that a file name cannot have.
        suffix = f"_{number}_{re.sub(r'[^A-Za-z0-9-]+', '_', name)[:40]}" if number else ""
        return Figure(kind, name, f"{kind}{suffix}.png", partial(draw, name))

    several = len(names) > 1
    figures = [figure("overview", overview)] * several
    figures.append(figure("reconstructions", reconstructed))
    for number in range(1, len(names) + 1):
        figures.append(figure("traversals", traversed, number))
        figures += [figure("swap", swapped, number)] * several
        figures.append(figure("variations", varied, number))
    return figures
