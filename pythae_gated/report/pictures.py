"""The pictures of a report, and their captions."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pythae_gated.inference import Images, as_images
from pythae_gated.partitions import Partitions
from pythae_gated.plots.grids import reconstructions, swap_grid, traversals, variations
from pythae_gated.plots.layout import Picture, tile

REFERENCE = 1_000  # images that give the range of each dimension
SPAN, STEPS = 2.0, 7
RECONSTRUCTED, ROWS, COLUMNS, VARIATIONS = 8, 4, 6, 6


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture of the report that is not drawn yet; `partition` is None for the whole model."""

    file: str
    partition: str | None
    caption: str
    draw: Callable[[], Picture]


def plan(
    model: nn.Module, partitions: Partitions, shown: Images, data: Images, seed: int
) -> list[Figure]:
    """All pictures of a report, in order, none drawn yet.

    Args:
        model: The VAE.
        partitions: Its partitions, or those given for an ungated model.
        shown: Images, of which the first few are shown.
        data: Images whose codes give the range of the traversals.
        seed: Of the variations.
    """
    rows = shown[:ROWS]
    others = shown[ROWS : ROWS + COLUMNS]
    columns = others if len(others) else rows
    names = partitions.names

    def swaps(name: str) -> np.ndarray:
        return swap_grid(model, rows, columns, name, partitions=partitions)

    def overview() -> Picture:
        first = shown[:1]
        grids = [swap_grid(model, columns, first, name, partitions=partitions) for name in names]
        left = as_images(first).cpu().expand(len(names), -1, -1, -1)
        return tile(np.stack([grid[:, 0] for grid in grids]), rows=left, columns=columns)

    def traversed(name: str) -> Picture:
        grid = traversals(
            model, shown[:1], partitions=partitions, steps=STEPS, span=SPAN, data=data[:REFERENCE]
        )
        return tile(grid[partitions.slices[name]])

    def varied(name: str) -> Picture:
        generator = torch.Generator().manual_seed(seed)
        grid = variations(
            model, rows, name, VARIATIONS, partitions=partitions, generator=generator
        )
        return tile(grid, rows=rows)

    figures = []
    if len(names) > 1:
        caption = OVERVIEW.format(names=", ".join(names))
        figures.append(Figure("overview.png", None, caption, overview))
    figures.append(
        Figure(
            "reconstructions.png",
            None,
            RECONSTRUCTIONS,
            lambda: tile(reconstructions(model, shown[:RECONSTRUCTED])),
        )
    )
    for number, name in enumerate(names, start=1):
        # Numbered, since names may differ only in characters that a file name cannot have.
        file = f"{{}}_{number}_{re.sub(r'[^A-Za-z0-9-]+', '_', name)[:40]}.png"
        for kind, caption, draw in (
            ("traversals", TRAVERSALS, lambda name=name: traversed(name)),
            ("swap", SWAPS, lambda name=name: tile(swaps(name), rows=rows, columns=columns)),
            ("variations", VARIED, lambda name=name: varied(name)),
        ):
            if len(names) == 1:  # no other partition is kept
                caption = ONLY.get(kind, caption)
            if caption:
                caption = caption.format(name=name, span=SPAN)
                figures.append(Figure(file.format(kind), name, caption, draw))
    return figures


RECONSTRUCTIONS = "Above, held-out images; below each, its reconstruction from its code."
OVERVIEW = (
    "The image on the left, with the code of one partition replaced by that of the image above. "
    "Rows, from the top: {names}. Along a row, only what this partition encodes should change."
)
TRAVERSALS = (
    "Each row varies one dimension of {name}, in order, from {span:g} standard deviations below "
    "the mean code of all images to {span:g} above it; the other dimensions are those of the "
    "first image. A dimension without effect is not used."
)
SWAPS = (
    "Each image has the {name} code of the image on the left of its row, and all other codes of "
    "the image at the top of its column. What {name} encodes should be the same along each row, "
    "and everything else down each column."
)
VARIED = (
    "On the left, images; beside each, the same image with its {name} code sampled from the prior "
    "and all other codes kept. Only what {name} encodes should change."
)
ONLY = {
    "swap": "",
    "variations": "On the left, images; the others are decoded from samples of the prior.",
}
