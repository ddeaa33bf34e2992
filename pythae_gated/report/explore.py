"""What a reader explores in the page: decoded frames for its sliders and swaps, and maps."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pythae_gated import plots
from pythae_gated.datasets.images import ImageReader
from pythae_gated.inference import decode, posterior
from pythae_gated.metrics.evaluation import ACTIVE
from pythae_gated.metrics.factors import Factor, bin_values
from pythae_gated.partitions import Partitions
from pythae_gated.plots.grids import FloatArray, to_array
from pythae_gated.plots.layout import Picture
from pythae_gated.report.figures import RECONSTRUCTED, SPAN

STEPS = 11  # of a slider
STARTS, FRAMES = 4, 1_200  # images to start from; fewer if they took more frames than this
SIDE, MAP_SIDE, BINS = 96, 200, 6  # pixels of a frame, if it is larger, and of a map


class Walk(NamedTuple):
    """The frames of a partition's sliders, and its map.

    Attributes:
        frames: One row for each image to start from and each direction, one column per step. The
            first direction is the principal component of the codes, unless there is a single
            dimension; then come the dimensions.
        nearest: For each image to start from and each direction, the step nearest to its code.
        points: The first two principal components of the codes, (N, 2), from 0 to MAP_SIDE.
    """

    frames: Picture
    nearest: list[list[int]]
    points: list[list[int]]


def draw_walks(
    model: nn.Module, partitions: Partitions, shown: Tensor, data: ImageReader
) -> Iterator[Walk]:
    """Walk through each partition, along its dimensions and the principal component of its codes.

    A step replaces an image's coordinate along the direction by the mean of the codes plus -2 to
    2 standard deviations of the aggregate posterior, as in `traversals`, and keeps the rest.

    Args:
        model: The VAE.
        partitions: Its partitions, or those given for an ungated model.
        shown: Images, of which the first few are starts.
        data: Images whose codes give the range of the steps, and the map.
    """
    mu, log_var = posterior(model, data)  # (N, L), (N, L)
    directions = len(partitions.names) + partitions.latent_dim
    starts = posterior(model, shown[: max(1, min(STARTS, FRAMES // (STEPS * directions)))])[0]
    for at in partitions.slices.values():
        own = mu[:, at] - mu[:, at].mean(0)  # (N, L_k)
        _, _, components = torch.linalg.svd(own, full_matrices=False)
        several = int(own.shape[1] > 1)
        axes = mu.new_zeros(several + own.shape[1], mu.shape[1])  # (M, L)
        axes[:, at] = torch.cat([components[:several], torch.eye(own.shape[1]).to(mu)])
        along = mu @ axes.T  # (N, M)
        spread = (along.var(0, correction=0) + log_var.exp().mean(0) @ axes.T.square()).sqrt()
        steps = along.mean(0)[:, None] + spread[:, None] * torch.linspace(-SPAN, SPAN, STEPS)
        moves = steps - (starts @ axes.T)[..., None]  # (B, M, STEPS)
        z = starts[:, None, None] + moves[..., None] * axes[:, None]  # (B, M, STEPS, L)
        places = torch.nn.functional.pad(own @ components[:2].T, (0, 1 - several))  # (N, 2)
        places = places / places.abs().max().clamp(min=3 * ACTIVE**0.5)  # collapsed: a dot
        yield Walk(
            to_sprite(to_array(decode(model, z.flatten(0, 1)))),
            moves.abs().argmin(-1).tolist(),
            ((places + 1) * MAP_SIDE / 2).round().int().tolist(),
        )


def draw_swaps(model: nn.Module, partitions: Partitions, shown: Tensor) -> list[Picture]:
    """The images to pick, and their swaps.

    The swaps have one row for each partition and image that gives its code, and one column per
    image that gives the rest.
    """
    picked, names = shown[:RECONSTRUCTED], partitions.names
    grids = [plots.swap_grid(model, picked, picked, n, partitions=partitions) for n in names]
    return [to_sprite(picked.numpy()[None]), to_sprite(np.concatenate(grids))]


def to_sprite(images: FloatArray) -> Picture:  # (R, C, *input_dim)
    """The frames side by side, with the gaps of `tile`; large ones are shrunk."""
    shrink = torch.nn.AvgPool2d(-(-max(images.shape[3:], default=1) // SIDE))
    is_table = images.ndim == 3
    return plots.tile(images if is_table else torch.stack([*map(shrink, torch.tensor(images))]))


def to_legend(factor: Factor) -> list[tuple[str | None, list[int]]]:
    """The rows of each value of a factor, in order; of each bin if it is continuous.

    Rows whose value is unknown come last, with the label None.
    """
    known, rows = factor.known_values, np.flatnonzero(factor.known)
    bins = known if factor.discrete else bin_values(known, BINS)
    legend: list[tuple[str | None, list[int]]] = []
    for each in np.unique(bins):
        values = np.unique(known[bins == each])
        ends = [str(end) if factor.discrete else f"{end:.3g}" for end in values[[0, -1]]]
        legend.append((" to ".join(dict.fromkeys(ends)), rows[bins == each].tolist()))
    return [*legend, (None, np.flatnonzero(~factor.known).tolist())]
