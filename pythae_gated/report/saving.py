"""Save the report: draw the pictures, evaluate, write the files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import imageio.v3 as imageio
from torch import nn

from pythae_gated.charts import importance_chart
from pythae_gated.inference import Images, as_images, posterior, resolve_partitions
from pythae_gated.metrics.evaluate import evaluate
from pythae_gated.metrics.evaluation import Evaluation
from pythae_gated.metrics.factors import Factors
from pythae_gated.partitions import Partitions
from pythae_gated.report.page import CHART, EVALUATION, PAGE, Figure, render
from pythae_gated.report.pictures import Drawing, plan
from pythae_gated.tiles import check_channels

CHART_DPI = 144  # twice what a page shows, so that its letters stay sharp


def save_report(
    model: nn.Module,
    data: Images,  # (N, 1 or 3, H, W)
    factors: Factors,
    folder: str | Path,
    *,
    partitions: Partitions | Mapping[str, int] | None = None,
    intended: Mapping[str, str] | None = None,
    test: tuple[Images, Factors] | None = None,
    draws: int = 1,
    evaluation: Evaluation | None = None,
    title: str | None = None,
    overwrite: bool = False,
    seed: int = 0,
) -> Path:
    """Save a folder that shows which partition of a model's codes holds what.

    `report.html` holds everything in one file, to be opened in a browser: a sentence on each
    partition, the shares and scores, reconstructions, and for each partition its traversals,
    swaps and variations, each with how to read it. Beside it lie the pictures as PNG files and
    `evaluation.json`. The importance chart takes matplotlib (`pip install
    'pythae-gated[plots]'`); without it the page says so.

    Args:
        model: Any Pythae VAE, gated or not.
        data: Images to evaluate on: uint8, which is divided by 255, or float.
        factors: Name -> (N,) values, or an array (N, F); see `evaluate`.
        folder: Where to put it; made if need be. Other files in it stay as they are.
        partitions: Name -> size, for an ungated model; None is the model's own.
        intended: Factor -> the partition it was meant for.
        test: Held-out images and their factors. The first few are shown; None shows the first
            few of `data`.
        draws: Codes sampled an image, in the evaluation.
        evaluation: What `evaluate` has found already. Then no other is made, `factors` and
            `draws` are not looked at, and the partitions and `intended` are those that it holds.
        title: Of the page; None is made from the class of the model.
        overwrite: Whether to write over the files of an earlier report.
        seed: Of the evaluation and the variations.

    Returns:
        The path of `report.html`.

    Raises:
        FileExistsError: Where a file of a report lies there already, unless `overwrite`.
        TypeError: Where the model has no Gaussian posterior.
        ValueError: Where the images have neither 1 channel nor 3, partitions or `intended` are
            given beside an evaluation, or as `evaluate` does.

    Example:
        >>> save_report(model, images, factors, "report", test=held_out)  # doctest: +SKIP
        PosixPath('report/report.html')
    """
    folder = Path(folder)
    if evaluation is not None:
        _check_alone(partitions, intended)
        partitions = evaluation.partitions
    shown = data if test is None else test[0]
    check_channels(as_images(shown[:1]))
    parts = resolve_partitions(model, partitions, posterior(model, shown[:1])[0].shape[1])
    drawings = plan(model, parts, shown, data, seed)
    if not overwrite:
        _check_free(folder, [PAGE, EVALUATION, CHART, *(each.file for each in drawings)])
    if evaluation is None:
        evaluation = evaluate(
            model, data, factors, partitions=parts, intended=intended, draws=draws, test=test,
            seed=seed,
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    evaluation.save(folder / EVALUATION)
    figures = [_save(folder, drawing) for drawing in drawings]
    name = type(model).__name__
    page = render(
        title=f"What {name} has learned" if title is None else title,
        model=name,
        image_shape=tuple(shown.shape[1:]),
        evaluation=evaluation,
        figures=figures,
        chart=_save_chart(folder, evaluation),
    )
    (folder / PAGE).write_text(page, encoding="utf-8")
    return folder / PAGE


def _check_alone(partitions: object, intended: object) -> None:
    for name, value in (("partitions", partitions), ("intended", intended)):
        if value is not None:
            raise ValueError(
                f"{name} is given beside an evaluation, which holds its own: leave {name} out, "
                "or the evaluation"
            )


def _check_free(folder: Path, files: Sequence[str]) -> None:
    taken = [name for name in files if (folder / name).exists()]
    if taken:
        raise FileExistsError(
            f"{str(folder)!r} holds a report already ({', '.join(taken[:3])}"
            f"{', ...' if len(taken) > 3 else ''}): name another folder, or say overwrite=True"
        )


def _save(folder: Path, drawing: Drawing) -> Figure:
    path = folder / drawing.file
    imageio.imwrite(path, drawing.draw())
    return Figure(drawing.file, drawing.partition, drawing.caption, path.read_bytes())


def _save_chart(folder: Path, evaluation: Evaluation) -> bytes | None:
    """The chart as a PNG; None where matplotlib is not installed."""
    try:
        chart = importance_chart(evaluation)
    except ImportError:
        return None
    chart.savefig(folder / CHART, dpi=CHART_DPI)
    return (folder / CHART).read_bytes()
