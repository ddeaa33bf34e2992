"""Save a report: draw the figures, evaluate the model, write the page."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from torch import nn

from pythae_gated.datasets.frames import check_index
from pythae_gated.datasets.images import Images, open_images
from pythae_gated.inference import fit_shape, posterior, resolve_partitions
from pythae_gated.metrics import Evaluation, evaluate
from pythae_gated.metrics.factors import Factors, as_factors
from pythae_gated.partitions import Partitions
from pythae_gated.plots.layout import check_grid
from pythae_gated.report import explore, figures, predictions

PAGE, EVALUATION, BASELINE = "report.html", "evaluation.json", "baseline_"
FIGURES = ["overview.png", "reconstructions.png"]
FIGURES += [f"{kind}_[0-9]*_*.png" for kind in ("swap", "traversals", "variations")]
REFERENCE = 600  # images that give the range of the sliders, and the points of the maps
_ENVIRONMENT = Environment(
    loader=PackageLoader("pythae_gated.report", ""),
    autoescape=True,  # names of partitions and factors are the user's
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals.update(explore=explore, figures=figures, levels=predictions)


def save_report(
    model: nn.Module,
    data: Images,  # (N, 1 or 3, H, W) or (N, D)
    factors: Factors,
    folder: str | Path,
    *,
    partitions: Partitions | Mapping[str, int] | None = None,
    intended: Mapping[str, str] | None = None,
    test: tuple[Images, Factors] | None = None,
    groups: npt.ArrayLike | None = None,
    draws: int = 1,
    evaluation: Evaluation | None = None,
    baseline: nn.Module | None = None,
    baseline_evaluation: Evaluation | None = None,
    title: str | None = None,
    unknown: Any = None,
    overwrite: bool = False,
    seed: int = 0,
) -> Path:
    """Save a folder that shows what each partition of a model encodes.

    `report.html` is a single file to open in a browser, without a network. It begins with a
    verdict on each factor and what to try where something failed. Sliders move decoded images
    along each latent dimension and along the principal component of each partition, and two
    images can be picked to exchange partitions between them (this needs JavaScript). Then come
    shares of importance and scores, reconstructions, and traversals, swaps, variations and a map
    of the codes of each partition, each with a caption. Beside it are the pictures as PNG files
    and `evaluation.json`.

    Sliders show frames decoded in advance, 11 per direction, from up to 4 images (fewer if there
    are many dimensions). In the page, pictures are PNG or JPEG, whichever is smaller, and all
    JPEG are compressed until the pictures take at most 3 MB (4 MB in base64): the page of images
    of 64 x 64 x 3 remains below 5 MB.

    Args:
        model: Any Pythae VAE, gated or not.
        data: Images or rows of a table to evaluate on: uint8, which is divided by 255, or float.
        factors: Name -> (N,) values, or an array (N, F); see `evaluate`. They also colour the
            maps; None leaves the maps out, if an evaluation is given.
        folder: Created if missing; other files in it are kept.
        partitions: Name -> size, for an ungated model; None: the model's own.
        intended: Factor -> the partition assigned to it.
        test: Held-out images and their factors, of which the first few are shown. None: the first
            few of `data` are shown.
        groups: As for `evaluate`.
        draws: Posterior samples per image, in the evaluation.
        evaluation: A result of `evaluate`, which replaces `draws`, the partitions and `intended`,
            and is not checked against `factors`.
        baseline: A second model, such as an ungated one, whose results and pictures stand beside
            the model's. It has its own partitions, or else those of the model.
        baseline_evaluation: Its result of `evaluate`, needed beside `evaluation`. None: it is
            evaluated as the model.
        title: Of the page; None: from the class of the model.
        unknown: As for `evaluate`.
        overwrite: Whether to replace the files of an earlier report: all that have the names of
            its page, evaluations and pictures, such as `swap_1_pose.png`.
        seed: Of the evaluation and the variations.

    Returns:
        The path of `report.html`.

    Raises:
        FileExistsError: If the folder is a file, or one of the report's files exists already,
            unless `overwrite`.
        TypeError: If a model has no Gaussian posterior.
        PartitionError: If the partitions do not fit a model; give the baseline as many latent
            dimensions as the model.
        ValueError: If the images have neither 1 nor 3 channels, partitions or `intended` are
            given beside an evaluation, or a baseline without its own, or an evaluation of a
            baseline without it, or as `evaluate` does.

    Warns:
        UserWarning: If images have values outside [0, 1], or as `evaluate` does.

    Example:
        >>> save_report(model, images, factors, "report", baseline=ungated)  # doctest: +SKIP
        PosixPath('report/report.html')
    """
    folder = Path(folder)
    earlier = _earlier_files(folder, overwrite)
    if baseline is None and baseline_evaluation is not None:
        raise ValueError("baseline_evaluation is given without its model: pass baseline, too")
    if evaluation is not None and baseline is not None and baseline_evaluation is None:
        raise ValueError(
            "evaluation is given, so evaluate the baseline on the same images, and "
            "pass the result as baseline_evaluation"
        )
    if evaluation is not None:
        for name, value in (("partitions", partitions), ("intended", intended)):
            if value is not None:
                raise ValueError(f"{name} and evaluation, which has its own, exclude each other")
        partitions, intended, draws = evaluation.partitions, evaluation.intended, evaluation.draws
    data = open_images(data)  # once, here and in `evaluate`
    reader, labels = (data, factors) if test is None else (open_images(test[0]), test[1])
    check_index(data, factors)
    if test is not None:
        check_index(reader, labels)
    shown = reader.read(range(min(len(reader), figures.ROWS + figures.COLUMNS))).cpu()
    shown = fit_shape(shown, getattr(model, "input_dim", None))
    shown = shown.unsqueeze(1) if shown.ndim == 3 else shown  # images without channels are grey
    check_grid(shown)
    if shown.ndim > 3 and ((shown < 0) | (shown > 1)).float().mean() > 0.01:
        warnings.warn("images have values outside [0, 1], which the pictures clip", stacklevel=2)
    rows = np.linspace(0, len(data) - 1, min(REFERENCE, len(data))).round().astype(int)
    reference = data.subset(rows)
    resolved = resolve_partitions(model, partitions, posterior(model, shown[:1])[0].shape[1])
    drawn = list(figures.draw_figures(model, resolved, shown, reference, seed))
    walks = list(explore.draw_walks(model, resolved, shown, reference))
    sprites = [*explore.draw_swaps(model, resolved, shown), *(walk.frames for walk in walks)]
    how: dict[str, Any] = dict(draws=draws, test=test, groups=groups, unknown=unknown, seed=seed)
    if evaluation is None:
        how.update(partitions=resolved, intended=intended)
        evaluation = evaluate(model, data, factors, **how)
    evaluations = [evaluation]
    if baseline is not None:
        own = getattr(baseline, "partitions", None) or resolved
        others = figures.draw_figures(baseline, own, shown, reference, seed)
        drawn += [replace(figure, prefix=BASELINE) for figure in others]
        given = {name: part for name, part in evaluation.intended.items() if part in own.names}
        how.update(partitions=own, intended=given, codes=evaluation.codes)
        evaluations.append(baseline_evaluation or evaluate(baseline, data, factors, **how))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `evaluate` has warned
        read = [] if factors is None else as_factors(factors, len(data), None, unknown)
        of_shown = read
        if test is not None:
            empty = labels is None or len(labels) == 0
            of_shown = [] if empty else as_factors(labels, len(reader), None, unknown)
    captions = [
        ", ".join(str(each.values[i]) for each in of_shown if each.discrete and each.known[i])
        for i in range(len(shown))
    ]
    page = _ENVIRONMENT.get_template("page.html.j2").render(
        title=title, models=[model, baseline][: len(evaluations)], evaluations=evaluations,
        verdicts=list(map(predictions.read_verdicts, evaluations)), shown=shown,
        predictions={n: predictions.read_predictions(evaluation, n) for n in resolved.names},
        drawn=drawn, sources=figures.to_sources([*(each.picture for each in drawn), *sprites]),
        walks=walks, frame=sprites[0].shape, captions=captions,
        legends={each.name: explore.to_legend(each.take(rows)) for each in read},
    )  # fmt: skip
    for path in earlier:
        path.unlink()
    for prefix, each in zip(("", BASELINE), evaluations, strict=False):
        each.save(folder / (prefix + EVALUATION))  # creates the folder
    for figure in drawn:
        imageio.imwrite(folder / figure.file, figure.picture)
    (folder / PAGE).write_text(page, encoding="utf-8")
    return folder / PAGE


def _earlier_files(folder: Path, overwrite: bool) -> list[Path]:
    """The files of an earlier report, which only `overwrite` permits."""
    if folder.is_file():
        raise FileExistsError(f"{str(folder)!r} is a file: expected a folder")
    patterns = [prefix + each for prefix in ("", BASELINE) for each in (EVALUATION, *FIGURES)]
    found = [path for pattern in (PAGE, *patterns) for path in folder.glob(pattern)]
    if found and not overwrite:
        raise FileExistsError(
            f"{str(found[0])!r} is of an earlier report: choose another folder, or overwrite=True"
        )
    return found
