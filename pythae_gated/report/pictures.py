"""The pictures of a report: which there are, and how each is to be read."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from pythae_gated.inference import Images
from pythae_gated.partitions import Partitions
from pythae_gated.plots import reconstructions, swap_grid, traversals, variations
from pythae_gated.tiles import Picture, tile

REFERENCE = 1_000  # images that show how far codes go
SPAN, STEPS = 2.0, 7
RECONSTRUCTED, ROWS, COLUMNS, VARIATIONS = 8, 4, 6, 6


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture that can be drawn.

    Attributes:
        file: Its name in the folder.
        partition: The partition that it shows; None where it shows the whole model.
        caption: How to read it.
        draw: Draws it.
    """

    file: str
    partition: str | None
    caption: str
    draw: Callable[[], Picture]


@dataclass(frozen=True, eq=False)
class _Subject:
    """What is drawn: the model, the first few images shown, and images that say how codes lie."""

    model: nn.Module
    partitions: Partitions
    shown: Images
    reference: Images
    seed: int

    @property
    def rows(self) -> Images:
        return self.shown[:ROWS]

    @property
    def columns(self) -> Images:
        """Other images than the rows, where there are so many."""
        others = self.shown[ROWS : ROWS + COLUMNS]
        return others if len(others) else self.rows


def plan(
    model: nn.Module, partitions: Partitions, shown: Images, data: Images, seed: int
) -> list[Drawing]:
    """All pictures of a report, in order, none drawn yet.

    Args:
        model: The VAE.
        partitions: Its partitions, or those of an ungated model's dimensions.
        shown: Images of which the first few are shown.
        data: Images whose codes say how far to walk.
        seed: Of the variations.
    """
    subject = _Subject(model, partitions, shown, data[:REFERENCE], seed)
    drawings = [
        Drawing("reconstructions.png", None, RECONSTRUCTIONS, partial(_reconstructions, subject))
    ]
    if len(partitions.names) > 1:
        caption = OVERVIEW.format(names=", ".join(partitions.names))
        drawings.insert(0, Drawing("overview.png", None, caption, partial(_overview, subject)))
    for number, name in enumerate(partitions.names, start=1):
        # Numbered, since two names may differ only in what a file name cannot hold.
        suffix = f"{number}_{re.sub(r'[^A-Za-z0-9-]+', '_', name)[:40]}.png"
        drawings += _of_partition(subject, name, suffix)
    return drawings


def _of_partition(subject: _Subject, name: str, suffix: str) -> Iterator[Drawing]:
    walk = TRAVERSALS.format(name=name, span=SPAN)
    yield Drawing(f"traversals_{suffix}", name, walk, partial(_traversals, subject, name))
    if len(subject.partitions.names) == 1:  # nothing is left to keep
        yield Drawing(f"variations_{suffix}", name, NEW, partial(_variations, subject, name))
        return
    swaps, vary = SWAPS.format(name=name), VARIED.format(name=name)
    yield Drawing(f"swap_{suffix}", name, swaps, partial(_swaps, subject, name))
    yield Drawing(f"variations_{suffix}", name, vary, partial(_variations, subject, name))


RECONSTRUCTIONS = (
    "Above, images; below each, what the model makes of its code. What differs is lost in the "
    "codes."
)
OVERVIEW = (
    "The image on the left, with the code of one partition exchanged for that of the image above. "
    "The rows are the partitions, from the top: {names}. Along a row, only what that partition "
    "holds should change."
)
TRAVERSALS = (
    "Each row walks along one dimension of {name}, in order, from {span:g} standard deviations "
    "below the mean code of all images to {span:g} above it; the rest of the code is that of the "
    "first image shown, and stays. Where nothing changes, the dimension is not used."
)
SWAPS = (
    "Each image has the {name} code of the image on the left of its row, and all other codes of "
    "the image at the top of its column. If {name} holds one thing and nothing else does, that "
    "thing is alike along each row, and everything else down each column."
)
VARIED = (
    "On the left, images; beside each, the same image with its {name} code drawn at random from "
    "the prior and all other codes kept. Only what {name} holds should change."
)
NEW = (
    "On the left, images; the others are decoded from codes drawn at random from the prior. "
    "With one partition alone there is nothing to keep."
)


def _reconstructions(subject: _Subject) -> Picture:
    return tile(reconstructions(subject.model, subject.shown[:RECONSTRUCTED]))


def _overview(subject: _Subject) -> Picture:
    base = subject.shown[:1]
    grids = [
        swap_grid(subject.model, subject.columns, base, name, partitions=subject.partitions)[:, 0]
        for name in subject.partitions.names
    ]  # each (COLUMNS, C, H, W)
    left = base.repeat(len(grids), 0) if isinstance(base, np.ndarray) else base[[0] * len(grids)]
    return tile(np.stack(grids), rows=left, columns=subject.columns)


def _traversals(subject: _Subject, name: str) -> Picture:
    grid = traversals(
        subject.model, subject.shown[:1], partitions=subject.partitions, steps=STEPS, span=SPAN,
        unit="posterior", data=subject.reference,
    )  # fmt: skip
    return tile(grid[subject.partitions.slices[name]])


def _swaps(subject: _Subject, name: str) -> Picture:
    rows, columns = subject.rows, subject.columns
    grid = swap_grid(subject.model, rows, columns, name, partitions=subject.partitions)
    return tile(grid, rows=rows, columns=columns)


def _variations(subject: _Subject, name: str) -> Picture:
    generator = torch.Generator().manual_seed(subject.seed)
    grid = variations(
        subject.model, subject.rows, name, VARIATIONS, partitions=subject.partitions,
        generator=generator,
    )  # fmt: skip
    return tile(grid, rows=subject.rows)
