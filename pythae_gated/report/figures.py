"""The figures of a report; their captions are in the page's template."""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import imageio.v3 as imageio
import numpy as np
import torch
from torch import Tensor, nn

from pythae_gated import plots
from pythae_gated.datasets.images import ImageReader
from pythae_gated.metrics.evaluation import Evaluation
from pythae_gated.partitions import Partitions

REFERENCE = 1_000  # images that give the range of the traversals
SPAN, STEPS = 2, 7
RECONSTRUCTED, ROWS, COLUMNS, VARIATIONS = 8, 4, 6, 6
MIN_SIDE = 96  # pixels; eight images fill the width of the page


@dataclass(frozen=True, eq=False)
class Figure:
    """A PNG file.

    Attributes:
        kind: What it shows, for its caption.
        png: The content of the file.
        partition: The partition that it shows; "" for all.
        number: Number of the partition, from 1. It keeps file names distinct, since partitions
            may differ only in characters that a file name cannot have.
    """

    kind: str
    png: bytes
    partition: str = ""
    number: int = 0

    @property
    def file(self) -> str:
        """Name of the file."""
        name = re.sub(r"[^A-Za-z0-9-]+", "_", self.partition)[:40]
        return f"{self.kind}_{self.number}_{name}.png" if self.number else f"{self.kind}.png"

    @property
    def source(self) -> str:
        """The file as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"


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
    yield Figure("reconstructions", _png(plots.reconstructions(model, shown[:RECONSTRUCTED])))
    if several:
        yield Figure("overview", _overview(model, partitions, shown[:1], columns))
    reference = data.subset(np.arange(min(REFERENCE, len(data))))
    dimensions = plots.traversals(model, shown[:1], steps=STEPS, span=SPAN, data=reference)
    for number, (name, at) in enumerate(partitions.slices.items(), start=1):
        yield Figure("traversals", _png(dimensions[at]), name, number)
        if several:
            swapped = plots.swap_grid(model, rows, columns, name, partitions=partitions)
            yield Figure("swap", _png(swapped, rows=rows, columns=columns), name, number)
        generator = torch.Generator().manual_seed(seed)
        varied = plots.variations(
            model, rows, name, VARIATIONS, partitions=partitions, generator=generator
        )
        yield Figure("variations", _png(varied, rows=rows), name, number)


def draw_chart(evaluation: Evaluation) -> Iterator[Figure]:
    """Draw the importance chart; nothing if matplotlib is not installed."""
    try:
        chart = plots.importance_chart(evaluation)
    except ImportError:
        return
    file = BytesIO()
    chart.savefig(file, format="png", dpi=100)
    yield Figure("importance", file.getvalue())


def _overview(model: nn.Module, partitions: Partitions, image: Tensor, columns: Tensor) -> bytes:
    """One image, with one partition per row swapped with that of other images."""
    swapped = [
        plots.swap_grid(model, columns, image, name, partitions=partitions)[:, 0]
        for name in partitions.names
    ]  # K arrays of shape (C, *input_dim)
    return _png(np.stack(swapped), rows=image[[0] * len(swapped)], columns=columns)


def _png(images: Any, **headers: Any) -> bytes:
    picture = plots.tile(images, min_side=MIN_SIDE, **headers)
    return bytes(imageio.imwrite("<bytes>", picture, extension=".png"))
