"""The report as one HTML page: no script, and nothing that is fetched from elsewhere."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import isnan, prod
from string import Template

from pythae_gated.metrics.evaluation import SIGNIFICANT, Evaluation
from pythae_gated.report.style import STYLE
from pythae_gated.report.words import above_chance, describe, score_name, verdict

PAGE, EVALUATION, CHART = "report.html", "evaluation.json", "importance.png"
COLUMN = 820  # pixels, the width of the text
LARGEST_SCALE = 3


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture on the page; `partition` is None where it shows the whole model."""

    file: str
    partition: str | None
    caption: str
    png: bytes


TEMPLATE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="sub">$model</p>
<p class="verdict">$verdict</p>
<h2>Which partition holds what</h2>
$partitions
$overview
<h2>Where each factor lies</h2>
$table
$chart
<h2>How well it reconstructs</h2>
$reconstruction
$sections
<h2>How it was measured</h2>
$method
</main>
</body>
</html>
""")

CHART_CAPTION = (
    "How much each latent dimension (row) matters to each factor (column): the darker, the more. "
    "Lines part the partitions; an orange frame shows where a factor was meant to lie."
)
TABLE_CAPTION = (
    "Left: how a factor's importance is divided among the partitions; each row adds up to 1. "
    "Right: how well the factor is predicted from one partition alone, from all dimensions "
    "together, and without looking at the codes (chance); 1 is perfect. The darker, the more. In "
    f"brackets: no better than with shuffled labels (p > {SIGNIFICANT:g})."
)
MEANT_CAPTION = (
    " Framed: where the factor was meant to lie. Leakage: how well it is told from all other "
    "partitions together, 0 as by chance, 1 perfectly."
)
NO_CHART = (
    "The chart of importances is left out, since matplotlib is not installed: "
    "pip install 'pythae-gated[plots]'"
)


def render(
    title: str,
    model: str,
    image_shape: tuple[int, ...],
    evaluation: Evaluation,
    figures: Sequence[Figure],
    chart: bytes | None,
) -> str:
    """The whole page.

    Args:
        title: Of the page.
        model: The name of the model's class.
        image_shape: Channels, height, width.
        evaluation: What was found.
        figures: The pictures, in order.
        chart: The importance chart as a PNG, at twice its size; None where there is none.
    """
    shape, dims = " x ".join(map(str, image_shape)), evaluation.partitions.latent_dim
    whole = {figure.file: figure for figure in figures if figure.partition is None}
    overview = whole.get("overview.png")
    return TEMPLATE.substitute(
        title=escape(title),
        style=STYLE,
        model=escape(f"{model} for images of {shape}; {dims} latent dimensions"),
        verdict=escape(verdict(evaluation)),
        partitions=_partitions(evaluation),
        overview=_figure(overview) if overview else "",
        table=_table(evaluation),
        chart=_paragraph(NO_CHART) if chart is None else _chart(chart),
        reconstruction=_reconstruction(evaluation, prod(image_shape))
        + _figure(whole["reconstructions.png"]),
        sections="\n".join(
            _section(evaluation, name, [each for each in figures if each.partition == name])
            for name in evaluation.partitions.names
        ),
        method="\n".join(_paragraph(text) for text in _method(evaluation)),
    )


def _partitions(evaluation: Evaluation) -> str:
    items = []
    for name, size in evaluation.partitions.sizes.items():
        nats = evaluation.kl_by_partition[name]
        facts = f"{size} dimension{'s' * (size > 1)}; KL {nats:.1f} nats"
        if name in evaluation.partitions.rest:
            facts += "; in training, no label spoke of it"
        head, *others = describe(evaluation, name)
        items.append(
            f"<li><p><b>{escape(name)}</b> {escape(head)}</p>"
            f"<p class='small'>{escape(' '.join([*others, facts + '.']))}</p></li>"
        )
    return f"<ul class='partitions'>{''.join(items)}</ul>"


def _table(evaluation: Evaluation) -> str:
    names, meant = evaluation.partitions.names, bool(evaluation.intended)
    heads = [f"<th>{escape(name)}</th>" for name in names]
    scores = ["<th class='gap'>" + heads[0].removeprefix("<th>"), *heads[1:]]
    last = f"<th class='gap'>all</th><th>chance</th>{'<th>leakage</th>' * meant}"
    rows = "".join(_row(evaluation, factor) for factor in evaluation.factors)
    return (
        "<div class='wide'><table><thead>"
        f"<tr><th></th><th></th><th colspan='{len(names)}'>share of importance in</th>"
        f"<th colspan='{len(names)}' class='gap'>score from it alone</th></tr>"
        f"<tr><th>factor</th><th>score</th>{''.join(heads + scores)}{last}</tr>"
        f"</thead><tbody>{rows}</tbody></table></div>"
        f"<p class='caption'>{escape(TABLE_CAPTION + MEANT_CAPTION * meant)}</p>"
    )


def _row(evaluation: Evaluation, factor: str) -> str:
    names, meant = evaluation.partitions.names, evaluation.intended.get(factor)
    shares = [
        _cell(value := evaluation.share[name][factor], value, name == meant) for name in names
    ]
    scores = [
        _cell(
            evaluation.scores[name][factor],
            above_chance(evaluation, name, factor),
            name == meant,
            gap=name == names[0],
            by_chance=evaluation.p_values[name][factor] > SIGNIFICANT,
        )
        for name in names
    ]
    last = [evaluation.informativeness[factor], evaluation.chance[factor]]
    if evaluation.intended:
        last.append(evaluation.leakage.get(factor, float("nan")))
    texts = ["" if isnan(value) else f"{value:.2f}" for value in last]
    return (
        f"<tr><th>{escape(factor)}</th><td class='kind'>{score_name(evaluation, factor)}</td>"
        f"{''.join(shares + scores)}<td class='gap'>{'</td><td>'.join(texts)}</td></tr>"
    )


def _cell(
    value: float, shade: float, framed: bool, gap: bool = False, by_chance: bool = False
) -> str:
    shade = min(max(shade, 0.0), 1.0)
    text = f"({value:.2f})" if by_chance else f"{value:.2f}"
    return (
        f"<td class='{'gap' if gap else ''}'><span{' class=framed' if framed else ''} "
        f"style='background:rgba(51,122,196,{0.7 * shade:.2f})'>{text}</span></td>"
    )


def _reconstruction(evaluation: Evaluation, pixels: int) -> str:
    error = evaluation.reconstruction_error
    return _paragraph(
        f"Reconstruction error {error:.2f}: half the squared error, summed over an image's "
        f"{pixels:,} values and averaged over the held-out images. On a scale where black is 0 "
        f"and white is 1, that is {(2 * error / pixels) ** 0.5:.3f} a value (root mean square)."
    )


def _section(evaluation: Evaluation, name: str, figures: Sequence[Figure]) -> str:
    pictures = "\n".join(map(_figure, figures))
    head = escape(describe(evaluation, name)[0])
    return f"<h2>The partition {escape(name)}</h2>\n<p>It {head}</p>\n{pictures}"


def _method(evaluation: Evaluation) -> Iterable[str]:
    e = evaluation
    drawn = f"{e.draws} an image" if e.draws > 1 else "one an image"
    codes = f"sampled from the posterior, {drawn}" if e.codes == "sample" else "posterior means"
    yield (
        f"Codes are {codes}. Random forests were fitted to predict each factor from the codes of "
        f"{e.fitted_images:,} images and scored on {e.tested_images:,} others, which they had not "
        "seen: by accuracy where the factor is a class, by R² where it is a number."
    )
    yield (
        "A factor's importance is that of the forest on all dimensions; a partition's share is "
        "what its dimensions have of it. A partition tells a factor, in the sentences above, "
        "where its score alone comes three quarters of the way from chance to perfect, and "
        "something of it from a quarter of the way."
    )
    yield (
        f"Disentanglement {e.disentanglement:.2f} (1: each dimension serves one factor), "
        f"completeness {e.completeness:.2f} (1: each factor lies in one dimension), "
        f"informativeness {e.mean_informativeness:.2f} (the mean score from all dimensions), as "
        "in Eastwood and Williams, ICLR 2018."
    )
    yield (
        f"KL, {e.kl.sum():.1f} nats in all, is how much a partition's codes tell of an image: "
        "the divergence of the posterior from the prior, averaged over the held-out images; a "
        f"partition of 0 is not used. All figures lie in {EVALUATION}, beside this page."
    )


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _figure(figure: Figure) -> str:
    width = _width(figure.png)
    scale = max(1, min(LARGEST_SCALE, COLUMN // width))
    kind = " class='pixels'" if scale > 1 else ""  # large images are shrunk to fit: smoothly
    return _img(figure.png, figure.file, figure.caption, width * scale, kind)


def _chart(png: bytes) -> str:
    return _img(png, CHART, CHART_CAPTION, _width(png) // 2, "")


def _img(png: bytes, file: str, caption: str, width: int, kind: str) -> str:
    source = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img{kind} style="width:{width}px" alt="{escape(file)}" '
        f'src="data:image/png;base64,{source}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _width(png: bytes) -> int:
    return int.from_bytes(png[16:20], "big")  # where a PNG's header has it
