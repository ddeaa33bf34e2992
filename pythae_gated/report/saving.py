"""Save a report: draw the figures, evaluate the model, write the page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from torch import nn

from pythae_gated.datasets.images import Images, open_images
from pythae_gated.inference import fit_shape, posterior, resolve_partitions
from pythae_gated.metrics.evaluate import evaluate
from pythae_gated.metrics.evaluation import ACTIVE, SIGNIFICANT, Evaluation
from pythae_gated.metrics.factors import Factors
from pythae_gated.partitions import Partitions
from pythae_gated.plots.layout import check_grid
from pythae_gated.report.figures import COLUMNS, ROWS, SPAN, draw_chart, draw_figures
from pythae_gated.report.predictions import read_predictions

PAGE, EVALUATION = "report.html", "evaluation.json"
FIGURES = (
    "importance.png", "overview.png", "reconstructions.png", "swap_[0-9]*_*.png",
    "traversals_[0-9]*_*.png", "variations_[0-9]*_*.png",
)  # fmt: skip
_ENVIRONMENT = Environment(
    loader=PackageLoader("pythae_gated.report", ""),
    autoescape=True,  # names of partitions and factors are the user's
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def save_report(
    model: nn.Module,
    data: Images,  # (N, 1 or 3, H, W) or (N, D)
    factors: Factors,
    folder: str | Path,
    *,
    partitions: Partitions | Mapping[str, int] | None = None,
    intended: Mapping[str, str] | None = None,
    test: tuple[Images, Factors] | None = None,
    draws: int = 1,
    evaluation: Evaluation | None = None,
    title: str | None = None,
    unknown: Any = None,
    overwrite: bool = False,
    seed: int = 0,
) -> Path:
    """Save a folder that shows what each partition of a model encodes.

    `report.html` is a single file to open in a browser: a sentence on each partition, shares of
    importance and scores, reconstructions, and traversals, swaps and variations of each
    partition, each with a caption. Beside it are the pictures as PNG files and
    `evaluation.json`. The importance chart needs matplotlib (`pip install
    'pythae-gated[plots]'`).

    Args:
        model: Any Pythae VAE, gated or not.
        data: Images or rows of a table to evaluate on: uint8, which is divided by 255, or float.
        factors: Name -> (N,) values, or an array (N, F); see `evaluate`.
        folder: Created if missing; other files in it are kept.
        partitions: Name -> size, for an ungated model; None: the model's own.
        intended: Factor -> the partition assigned to it.
        test: Held-out images and their factors, of which the first few are shown. None: the first
            few of `data` are shown.
        draws: Posterior samples per image, in the evaluation.
        evaluation: A result of `evaluate`, which replaces `factors`, `draws`, the partitions and
            `intended`.
        title: Of the page; None: from the class of the model.
        unknown: As for `evaluate`.
        overwrite: Whether to replace the files of an earlier report.
        seed: Of the evaluation and the variations.

    Returns:
        The path of `report.html`.

    Raises:
        FileExistsError: If a file of the report exists already, unless `overwrite`.
        TypeError: If the model has no Gaussian posterior.
        ValueError: If the images have neither 1 nor 3 channels, partitions or `intended` are
            given beside an evaluation, or as `evaluate` does.

    Example:
        >>> save_report(model, images, factors, "report", test=held_out)  # doctest: +SKIP
        PosixPath('report/report.html')
    """
    folder = Path(folder)
    for pattern in () if overwrite else (PAGE, EVALUATION, *FIGURES):
        for path in folder.glob(pattern):
            raise FileExistsError(
                f"{str(path)!r} is of an earlier report: choose another folder, or overwrite=True"
            )
    if evaluation is not None:
        for name, value in (("partitions", partitions), ("intended", intended)):
            if value is not None:
                raise ValueError(f"{name} and evaluation, which has its own, exclude each other")
        partitions = evaluation.partitions
    data = open_images(data)  # once, here and in `evaluate`
    reader = data if test is None else open_images(test[0])
    shown = reader.read(range(min(len(reader), ROWS + COLUMNS))).cpu()
    shown = fit_shape(shown, getattr(model, "input_dim", None))
    check_grid(shown)
    resolved = resolve_partitions(model, partitions, posterior(model, shown[:1])[0].shape[1])
    figures = list(draw_figures(model, resolved, shown, data, seed))
    if evaluation is None:
        evaluation = evaluate(
            model, data, factors, partitions=resolved, intended=intended, draws=draws, test=test,
            unknown=unknown, seed=seed,
        )  # fmt: skip
    figures += draw_chart(evaluation)
    evaluation.save(folder / EVALUATION)  # creates the folder
    for figure in figures:
        (folder / figure.file).write_bytes(figure.png)
    name = type(model).__name__
    predictions = {part: read_predictions(evaluation, part) for part in resolved.names}
    page = _ENVIRONMENT.get_template("page.html.j2").render(
        title=f"What the partitions of {name} encode" if title is None else title,
        model=name,
        shape=shown.shape[1:],
        evaluation=evaluation,
        predictions=predictions,
        assigned=[predictions[part][factor] for factor, part in evaluation.intended.items()],
        figures={figure.file: figure for figure in figures},
        active=ACTIVE,
        significant=SIGNIFICANT,
        span=SPAN,
    )
    (folder / PAGE).write_text(page, encoding="utf-8")
    return folder / PAGE
