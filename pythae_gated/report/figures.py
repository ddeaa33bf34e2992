"""The pictures of a report; their captions are in the page's templates."""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import imageio.v3 as imageio
import numpy as np
import torch
from torch import Tensor, nn

from pythae_gated import plots
from pythae_gated.datasets.images import ImageReader
from pythae_gated.partitions import Partitions
from pythae_gated.plots.layout import Picture

SPAN, STEPS = 2, 7
RECONSTRUCTED, ROWS, COLUMNS, VARIATIONS = 8, 4, 6, 6
MIN_SIDE = 96  # pixels; eight images fill the width of the page
PAGE_BYTES = 3_000_000  # of all pictures in the page, before base64 adds a third
QUALITIES = (90, 75, 60, 45, 30, 15)  # of JPEG
JPEG_SIDE = 65_000  # pixels, the largest


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture.

    Attributes:
        kind: What it shows, for its caption and the names of its rows and columns.
        picture: The pixels.
        partition: The partition that it shows; "" for all.
        number: Number of the partition, from 1. It keeps file names distinct, since partitions
            may differ only in characters that a file name cannot have.
        prefix: Of the file's name, for a second model.
    """

    kind: str
    picture: Picture
    partition: str = ""
    number: int = 0
    prefix: str = ""

    @property
    def file(self) -> str:
        """Name of the file."""
        name = re.sub(r"[^A-Za-z0-9-]+", "_", self.partition)[:40]
        number = f"_{self.number}_{name}" if self.number else ""
        return f"{self.prefix}{self.kind}{number}.png"


def draw_figures(
    model: nn.Module, partitions: Partitions, shown: Tensor, data: ImageReader, seed: int
) -> Iterator[Figure]:
    """Draw the model's figures, in order.

    Args:
        model: The VAE.
        partitions: Its partitions, or those given for an ungated model.
        shown: The images to show.
        data: Images whose codes give the range of the traversals.
        seed: Of the variations.
    """
    rows = shown[:ROWS]
    columns = shown[ROWS : ROWS + COLUMNS] if len(shown) > ROWS else rows
    several = len(partitions.names) > 1
    yield Figure("reconstructions", _tile(plots.reconstructions(model, shown[:RECONSTRUCTED])))
    if several:
        yield Figure("overview", _overview(model, partitions, shown[:1], columns))
    dimensions = plots.traversals(model, shown[:1], steps=STEPS, span=SPAN, data=data)
    for number, (name, at) in enumerate(partitions.slices.items(), start=1):
        yield Figure("traversals", _tile(dimensions[at]), name, number)
        if several:
            swapped = plots.swap_grid(model, rows, columns, name, partitions=partitions)
            yield Figure("swap", _tile(swapped, rows=rows, columns=columns), name, number)
        generator = torch.Generator().manual_seed(int(seed))
        varied = plots.variations(
            model, rows, name, VARIATIONS, partitions=partitions, generator=generator
        )
        yield Figure("variations", _tile(varied, rows=rows), name, number)


def to_sources(pictures: Sequence[Picture]) -> list[str]:
    """The pictures as data URIs that fit into one page.

    Each is a PNG, or a JPEG where this is smaller (of photographs, rarely of charts). The quality
    of all JPEG falls, from 90 to 15, until all pictures take at most 3 MB together, so that the
    page remains below 5 MB in base64.
    """
    for quality in QUALITIES:
        files = [_smallest(picture, quality) for picture in pictures]
        if sum(map(len, files)) <= PAGE_BYTES:
            break
    kinds = ["jpeg", "png"]
    return [f"data:image/{kinds[f[0] == 0x89]};base64,{b64encode(f).decode()}" for f in files]


def _smallest(picture: Picture, quality: int) -> bytes:
    kinds = [".png", ".jpg"][: 1 + (max(picture.shape) < JPEG_SIDE)]
    files = [imageio.imwrite("<bytes>", picture, extension=k, quality=quality) for k in kinds]
    return min(map(bytes, files), key=len)


def _overview(model: nn.Module, partitions: Partitions, image: Tensor, columns: Tensor) -> Picture:
    """One image, with one partition per row swapped with that of other images."""
    names = partitions.names
    grids = [plots.swap_grid(model, columns, image, n, partitions=partitions) for n in names]
    return _tile(np.stack(grids)[:, :, 0], rows=image[[0] * len(names)], columns=columns)


def _tile(images: Any, **headers: Any) -> Picture:
    return plots.tile(images, min_side=MIN_SIDE, **headers)
