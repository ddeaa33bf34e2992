"""The importance chart, drawn with matplotlib (extra `plots`)."""

from typing import TYPE_CHECKING

import numpy as np

from pythae_gated.metrics.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def importance_chart(evaluation: Evaluation) -> "Figure":
    """A heat map of the importance of each latent dimension to each factor.

    One row per dimension, grouped by partition, and one column per factor, which sums to 1. A
    frame marks the partition assigned to the factor.

    Returns:
        A matplotlib Figure, to be saved with `figure.savefig(path)`. pyplot is not used.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle
    except ImportError as error:
        raise ImportError(
            "charts need matplotlib; install it with: pip install 'pythae-gated[plots]'"
        ) from error
    importance, slices = evaluation.importance, evaluation.partitions.slices
    totals = importance.sum(axis=0)
    shares = importance / np.where(totals > 0, totals, 1)  # (L, F)
    dims, factors = shares.shape
    figure = Figure(figsize=(2.6 + 0.7 * factors, 1.6 + 0.26 * dims), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    figure.colorbar(image, label="share of the factor's importance")
    axes.set_xticks(range(factors), evaluation.factors, rotation=30, ha="right")
    axes.set_yticks([(at.start + at.stop - 1) / 2 for at in slices.values()], list(slices))
    axes.set_ylabel("latent dimension, by partition")
    axes.tick_params(axis="y", length=0)
    for at in list(slices.values())[1:]:
        axes.axhline(at.start - 0.5, color="0.3", linewidth=1)
    for factor, name in evaluation.intended.items():
        column, at = evaluation.factors.index(factor), slices[name]
        corner, height = (column - 0.44, at.start - 0.42), at.stop - at.start - 0.16
        axes.add_patch(Rectangle(corner, 0.88, height, fill=False, ec="#d9480f", lw=1.6))
    return figure
