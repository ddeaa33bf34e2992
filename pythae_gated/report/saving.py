"""save_report: evaluate, draw the pictures, write the page."""

import base64
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import jinja2
from torch import nn

from pythae_gated.datasets.images import Images, open_images
from pythae_gated.inference import posterior, resolve_partitions
from pythae_gated.metrics.evaluate import evaluate
from pythae_gated.metrics.evaluation import SIGNIFICANT, Evaluation
from pythae_gated.metrics.factors import Factors
from pythae_gated.partitions import Partitions
from pythae_gated.plots.chart import importance_chart
from pythae_gated.plots.layout import check_channels
from pythae_gated.report.pictures import COLUMNS, ROWS, SPAN, plan

PAGE, EVALUATION, CHART = "report.html", "evaluation.json", "importance.png"
CHART_DPI = 144  # twice the resolution of the page


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
        data: Images to evaluate on: uint8, which is divided by 255, or float.
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
    if evaluation is not None:
        for name, value in (("partitions", partitions), ("intended", intended)):
            if value is not None:
                raise ValueError(f"{name} and evaluation, which has its own, exclude each other")
        partitions = evaluation.partitions
    reader = open_images(data if test is None else test[0])
    shown = reader.read(range(min(len(reader), ROWS + COLUMNS))).cpu()
    check_channels(shown)
    resolved = resolve_partitions(model, partitions, posterior(model, shown[:1])[0].shape[1])
    figures = plan(model, resolved, shown, open_images(data), seed)
    if not overwrite:
        _check_free(folder, [PAGE, EVALUATION, CHART, *(figure.file for figure in figures)])
    if evaluation is None:
        evaluation = evaluate(
            model,
            data,
            factors,
            partitions=resolved,
            intended=intended,
            draws=draws,
            test=test,
            unknown=unknown,
            seed=seed,
        )
    folder.mkdir(parents=True, exist_ok=True)
    evaluation.save(folder / EVALUATION)
    drawn = []
    for figure in figures:
        imageio.imwrite(folder / figure.file, figure.draw())
        drawn.append(vars(figure) | _image(folder / figure.file, 1))
    name = type(model).__name__
    page = _template().render(
        title=f"What {name} has learned" if title is None else title,
        model=name,
        shape=shown.shape[1:],
        values=shown[0].numel(),
        e=evaluation,
        significant=SIGNIFICANT,
        span=SPAN,
        figures=drawn,
        chart=_save_chart(folder / CHART, evaluation),
        evaluation_file=EVALUATION,
    )
    (folder / PAGE).write_text(page, encoding="utf-8")
    return folder / PAGE


def _check_free(folder: Path, names: Sequence[str]) -> None:
    taken = [name for name in names if (folder / name).exists()]
    if taken:
        more = ", ..." if len(taken) > 3 else ""
        raise FileExistsError(
            f"{str(folder)!r} already has a report ({', '.join(taken[:3])}{more}): choose another "
            "folder, or overwrite=True"
        )


def _template() -> jinja2.Template:
    source = files("pythae_gated.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(source)


def _image(png: Path, scale: float) -> dict[str, Any]:
    """The width and the source of a picture on the page."""
    source = "data:image/png;base64," + base64.b64encode(png.read_bytes()).decode("ascii")
    return {"width": int(scale * imageio.improps(png).shape[1]), "source": source}


def _save_chart(path: Path, evaluation: Evaluation) -> dict[str, Any] | None:
    """The chart; None without matplotlib."""
    try:
        chart = importance_chart(evaluation)
    except ImportError:
        return None
    chart.savefig(path, dpi=CHART_DPI)
    return {"kind": "chart", "partition": "", "file": CHART, **_image(path, 0.5)}
