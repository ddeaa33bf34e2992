"""Charts, drawn with matplotlib: the optional extra `plots`."""

from typing import TYPE_CHECKING

import numpy as np

from pythae_gated.metrics.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INTENDED_COLOUR = "#d9480f"


def importance_chart(evaluation: Evaluation) -> "Figure":
    """How much each latent dimension matters to each factor, with the partitions marked.

    A heat map with a row for each of the L dimensions and a column for each of the F factors.
    Each column adds up to 1: the shares of that factor's importance. Lines part the partitions,
    whose names stand on the left; a frame shows where a factor was meant to lie.

    Args:
        evaluation: What `evaluate` found.

    Returns:
        A matplotlib Figure, to be saved with `figure.savefig(path)`. It is apart from pyplot:
        neither its backend nor its current figure changes.

    Raises:
        ImportError: Where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "charts need matplotlib; install it with: pip install 'pythae-gated[plots]'"
        ) from error
    importance = np.asarray(evaluation.importance, dtype=float)  # (L, F)
    totals = importance.sum(axis=0)
    shares = importance / np.where(totals > 0, totals, 1)
    dims, factors = shares.shape
    figure = Figure(figsize=(2.6 + 0.7 * factors, 1.6 + 0.26 * dims), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    figure.colorbar(image, label="share of the factor's importance")
    axes.set_xticks(range(factors), evaluation.factors, rotation=30, ha="right")
    axes.set_ylabel("latent dimension, by partition")
    _mark_partitions(axes, evaluation)
    _frame_intended(axes, evaluation)
    return figure


def _mark_partitions(axes: "Axes", evaluation: Evaluation) -> None:
    slices = evaluation.partitions.slices
    middles = [(where.start + where.stop - 1) / 2 for where in slices.values()]
    axes.set_yticks(middles, list(slices))
    axes.tick_params(axis="y", length=0)
    for where in list(slices.values())[1:]:
        axes.axhline(where.start - 0.5, color="0.3", linewidth=1)


def _frame_intended(axes: "Axes", evaluation: Evaluation) -> None:
    from matplotlib.patches import Rectangle

    for factor, name in evaluation.intended.items():
        column, where = evaluation.factors.index(factor), evaluation.partitions.slices[name]
        corner = (column - 0.44, where.start - 0.42)
        frame = Rectangle(corner, 0.88, where.stop - where.start - 0.16, fill=False, linewidth=1.6)
        frame.set_edgecolor(INTENDED_COLOUR)
        axes.add_patch(frame)
