"""save_report: evaluate, draw the pictures, write the page."""

import base64
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import jinja2
from torch import nn

from pythae_gated.inference import Images, as_images, posterior, resolve_partitions
from pythae_gated.metrics.evaluate import evaluate
from pythae_gated.metrics.evaluation import SIGNIFICANT, Evaluation
from pythae_gated.metrics.factors import Factors
from pythae_gated.partitions import Partitions
from pythae_gated.plots.chart import importance_chart
from pythae_gated.plots.layout import SMALLEST, check_channels
from pythae_gated.report.pictures import plan

PAGE, EVALUATION, CHART = "report.html", "evaluation.json", "importance.png"
COLUMN = 820  # pixels, the width of the text
CHART_DPI = 144  # twice the resolution of the page
PREDICTS, PARTLY = 0.75, 0.25  # from chance, 0, to a perfect score, 1
IN_PLACE = 0.9  # of a factor's importance

CHART_CAPTION = (
    "The importance of each latent dimension (row) to each factor (column); darker is higher. "
    "Lines separate the partitions; a frame marks the partition assigned to the factor."
)


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
    shown = data if test is None else test[0]
    check_channels(as_images(shown[:1]))
    resolved = resolve_partitions(model, partitions, posterior(model, shown[:1])[0].shape[1])
    figures = plan(model, resolved, shown, data, seed)
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
            seed=seed,
        )
    folder.mkdir(parents=True, exist_ok=True)
    evaluation.save(folder / EVALUATION)
    drawn = []
    for figure in figures:
        picture = figure.draw()
        imageio.imwrite(folder / figure.file, picture)
        scale = min(math.ceil(SMALLEST / min(shown.shape[-2:])), COLUMN // picture.shape[1])
        width = picture.shape[1] * max(1, scale)
        drawn.append(
            {**vars(figure), "source": _source(folder / figure.file)}
            | {"width": width, "pixels": scale > 1}
        )
    page = _template().render(
        title=f"What {type(model).__name__} has learned" if title is None else title,
        model=type(model).__name__,
        shape=shown.shape[1:],
        values=prod(shown.shape[1:]),
        e=evaluation,
        names=resolved.names,
        verdict=verdict(evaluation),
        sentences={name: describe(evaluation, name) for name in resolved.names},
        level=above_chance,
        significant=SIGNIFICANT,
        figures=drawn,
        chart=_save_chart(folder / CHART, evaluation),
        evaluation_file=EVALUATION,
    )
    (folder / PAGE).write_text(page, encoding="utf-8")
    return folder / PAGE


def above_chance(evaluation: Evaluation, partition: str, factor: str) -> float:
    """A partition's score on a scale from chance, 0, to a perfect score, 1."""
    chance = evaluation.chance[factor]
    return (evaluation.scores[partition][factor] - chance) / (1 - chance) if chance < 1 else 0.0


def verdict(evaluation: Evaluation) -> str:
    """Which factors are encoded in the partitions assigned to them, and which leak."""
    if not evaluation.intended:
        return "No factor was assigned to a partition."
    shares = evaluation.alignment.items()
    leaks = evaluation.leakage.items()
    groups = {
        "Encoded in the assigned partition (share of importance)": [
            f"{factor} {share:.2f}" for factor, share in shares if share >= IN_PLACE
        ],
        "Encoded there only in part": [
            f"{factor} {share:.2f}" for factor, share in shares if share < IN_PLACE
        ],
        "Also predicted from other partitions (leakage)": [
            f"{factor} {leak:.2f}" for factor, leak in leaks if leak >= PARTLY
        ],
    }
    return " ".join(f"{text}: {', '.join(found)}." for text, found in groups.items() if found)


def describe(evaluation: Evaluation, partition: str) -> str:
    """The factors that a partition predicts, best first, as the predicate of a sentence."""
    levels = {name: above_chance(evaluation, partition, name) for name in evaluation.factors}
    ranked = sorted(levels, key=lambda name: -levels[name])
    well = [_with_score(evaluation, partition, f) for f in ranked if levels[f] >= PREDICTS]
    partly = [
        _with_score(evaluation, partition, f) for f in ranked if PARTLY <= levels[f] < PREDICTS
    ]
    clauses = [", ".join(well)] * bool(well) + [f"partly {', '.join(partly)}"] * bool(partly)
    return f"predicts {'; '.join(clauses) or 'no factor much better than chance'}."


def _with_score(evaluation: Evaluation, partition: str, factor: str) -> str:
    score = evaluation.scores[partition][factor]
    if factor in evaluation.discrete:
        return f"{factor} (accuracy {score:.2f}, chance {evaluation.chance[factor]:.2f})"
    return f"{factor} (R² {score:.2f})"


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


def _source(png: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(png.read_bytes()).decode("ascii")


def _save_chart(path: Path, evaluation: Evaluation) -> dict[str, Any] | None:
    """The chart; None without matplotlib."""
    try:
        chart = importance_chart(evaluation)
    except ImportError:
        return None
    chart.savefig(path, dpi=CHART_DPI)
    width = imageio.improps(path).shape[1] // 2
    return {
        "file": CHART,
        "caption": CHART_CAPTION,
        "source": _source(path),
        "width": width,
        "pixels": False,
    }
