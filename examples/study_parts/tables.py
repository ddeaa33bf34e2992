"""The tables of the study, computed from its results, and the documents that show them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
from quickstart import INTENDED, PARTITIONS

from study_parts.groups import (
    BACKBONES,
    CURVES,
    FIGURES,
    SCHEMES,
    Groups,
    Line,
    competitors,
    curve,
    group,
    interval,
    of_claim,
    of_part,
    same_seeds,
    with_weight,
)
from study_parts.runs import Run

MINUTES = {"minutes (median)": lambda line: line["seconds"]["train"] / 60}
LABELLED = {"rest": "identity unlabelled", "all": "all labelled"}
AT_A_GLANCE = ("ungated", "input", "target", "group", "supervised")
POSE = ("yaw", "pitch")
PHOTOGRAPHED = ("person", "pose", "expression", "eyes")
PHOTOGRAPH_SCORES = (  # partition, factor
    ("rest", "pose"),
    ("rest", "person"),
    ("rest", "eyes"),
    ("pose", "pose"),
    ("person", "person"),
)


def make_tables(lines: Sequence[Line]) -> dict[str, str]:
    """All tables as Markdown, by name; a table without results is empty."""
    groups = group(lines)
    tables = {name: table(groups) for name, table in TABLES.items()}
    return tables | {"totals": totals(lines)}


def fill_tables(text: str, tables: Mapping[str, str]) -> str:
    """Replace what stands between `<!-- table: NAME -->` and `<!-- end -->` by that table."""

    def replace(match: re.Match[str]) -> str:
        return f"{match[1]}\n{tables[match[2]]}\n{match[3]}"

    pattern = r"(<!-- table: ([\w-]+) -->).*?(<!-- end -->)"
    return re.sub(pattern, replace, text, flags=re.DOTALL)


def totals(lines: Iterable[Line]) -> str:
    """The number of runs, their training time, and the runs that diverged."""
    lines = list(lines)
    hours = sum(line["seconds"].get("train", 0.0) for line in lines) / 3600
    diverged = [str(Run(**line["run"])) for line in lines if line.get("diverged")]
    text = f"{len(lines)} runs, {hours:.1f} core hours of training."
    return text + "".join(f"\nDiverged: {run}." for run in diverged)


def format_interval(values: Sequence[float]) -> str:
    mean, half = interval(values)
    return f"{mean:.2f}" if np.isnan(half) else f"{mean:.2f} ± {half:.2f}"


def as_table(
    title: str,
    rows: Mapping[str, Sequence[Line]],
    columns: Mapping[str, Callable[[Line], float]],
) -> str:
    """A Markdown table with its title: the mean of each row's lines, with its interval.

    Minutes are given as medians: runs of different seeds may have run on different machines.
    """
    if not rows:
        return ""
    seeds = sorted({len(lines) for lines in rows.values()})
    runs = "one run" if seeds == [1] else f"{' to '.join(map(str, seeds))} runs each"
    head = [f"**{title}** ({runs})", "", f"| | {' | '.join(columns)} |"]
    body = []
    for name, lines in rows.items():
        figures = {title: [get(line) for line in lines] for title, get in columns.items()}
        cells = [
            f"{np.median(values):.2f}" if title in MINUTES else format_interval(values)
            for title, values in figures.items()
        ]
        body.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join([*head, "| --- |" + " --- |" * len(columns), *body])


def grid_table(groups: Groups) -> str:
    """The grid from which the weights were chosen."""
    score = {"mean of D, C, I": lambda line: np.mean([FIGURES[name](line) for name in "DCI"])}
    rows = {
        f"{BACKBONES[run.backbone] if run.scheme == 'ungated' else SCHEMES[run.scheme]}, "
        f"{run.weight:g}": lines
        for run, lines in of_part(groups, "grid").items()
    }
    shown = {name: FIGURES[name] for name in ("D", "C", "I", "error")}
    return as_table("Weight of the KL, on a separate seed", rows, shown | score)


def model_table(groups: Groups) -> str:
    """Gated and ungated models of each backbone."""
    return as_table("Gated and ungated", _models(groups, "claim"), FIGURES | MINUTES)


def mmd_table(groups: Groups) -> str:
    """InfoVAE with a larger weight of the MMD."""
    return as_table("InfoVAE with lambda 1", _models(groups, "mmd"), FIGURES)


def _models(groups: Groups, part: str) -> dict[str, list[Line]]:
    rows = {}
    for run, lines in of_part(groups, part).items():
        labelled = "" if run.scheme == "ungated" else f", {LABELLED[run.labelled]}"
        name = f"{BACKBONES[run.backbone]} ({run.weight:g}), {SCHEMES[run.scheme]}{labelled}"
        rows[name] = lines
    return rows


def at_a_glance_table(groups: Groups) -> str:
    """The README's table: the main competitors, with the weights of `competitor_table`."""
    compared = competitors(groups)
    rows = {SCHEMES[scheme]: compared[scheme] for scheme in AT_A_GLANCE if scheme in compared}
    return as_table("Rendered faces, mean and 95 % interval", rows, FIGURES)


def partition_table(groups: Groups) -> str:
    """Scores of pose and expression, predicted from each partition."""
    columns = {
        f"{factors} from {partition}": _score(factors, partition)
        for factors in ("pose", "expression")
        for partition in PARTITIONS
    }
    rows = {
        f"{BACKBONES[backbone]}, {SCHEMES[scheme]}": lines
        for backbone in BACKBONES
        for scheme in ("ungated", "input", "target")
        if (lines := of_claim(groups, backbone, scheme))
    }
    return as_table("Pose and expression, predicted from each partition (R2)", rows, columns)


def _score(intended: str, partition: str) -> Callable[[Line], float]:
    """The mean score, from a partition, of the factors that are assigned to `intended`."""
    factors = [factor for factor, name in INTENDED.items() if name == intended]
    return lambda line: float(np.mean([line["scores"][partition][each] for each in factors]))


def weak_table(groups: Groups) -> str:
    """Few labels, and wrong labels."""
    rows = {name: lines for part in CURVES for name, lines in curve(groups, part).items()}
    columns = {f"{name} from {name}": _score(name, name) for name in PARTITIONS}
    return as_table("Few and wrong labels", rows, FIGURES | columns)


def trimmed_table(groups: Groups) -> str:
    """Wrong labels, with and without the trimmed loss."""
    rows = curve(groups, "noisy") | curve(groups, "trimmed")
    return as_table("Wrong labels, with the usual and with the trimmed loss", rows, FIGURES)


def competitor_table(groups: Groups) -> str:
    """The gated beta-VAE and other methods with the same labels."""
    rows = {with_weight(*row): row[1] for row in competitors(groups).items()}
    return as_table("Competitors", rows, FIGURES | POSE_LEAKAGE)


def _pose_leakage(line: Line) -> float:
    return float(np.mean([line["leakage"][factor] for factor in POSE]))


POSE_LEAKAGE = {"leakage of pose": _pose_leakage}


def leakage_table(groups: Groups) -> str:
    """Variants against pose in the rest."""
    rows = {_variant(run): lines for run, lines in of_part(groups, "leakage").items()}
    identity = {"identity, accuracy": lambda line: line["informativeness"]["identity"]}
    columns = POSE_LEAKAGE | identity | FIGURES | MINUTES
    return as_table("Variants against leakage, with a KL of weight 0.02", rows, columns)


def _variant(run: Run) -> str:
    return ", ".join([SCHEMES[run.scheme], *[run.option] * bool(run.option)])


def error_table(groups: Groups) -> str:
    """Variants against the gated model's reconstruction error."""
    return as_table(
        "Variants against the reconstruction error", _options(groups, "error", "target"), FIGURES
    )


def input_table(groups: Groups) -> str:
    """Variants of "input"."""
    return as_table('Variants of `"input"`', _options(groups, "input", "input"), FIGURES)


def noise_table(groups: Groups) -> str:
    """Variants against wrong labels."""
    runs = of_part(groups, "noise remedies")
    wrong = {run.wrong for run in runs}
    plain = [lines for run, lines in of_part(groups, "noisy").items() if run.wrong in wrong]
    rows = {"unchanged": plain[0]} if plain else {}
    rows |= {run.option or SCHEMES[run.scheme]: lines for run, lines in runs.items()}
    title = f"Variants against wrong labels ({', '.join(f'{share:.0%}' for share in wrong)})"
    return as_table(title, rows, FIGURES)


def _options(groups: Groups, part: str, scheme: str) -> dict[str, list[Line]]:
    """Each model unchanged, on the same seeds, and with each change of its training."""
    rows: dict[str, list[Line]] = {}
    for run, lines in of_part(groups, part).items():
        name = BACKBONES[run.backbone]
        plain = same_seeds(of_claim(groups, run.backbone, scheme), lines)
        if plain:
            rows.setdefault(f"{name}, unchanged", plain)
        rows[f"{name}, {run.option}"] = lines
    return rows


def photograph_table(groups: Groups) -> str:
    """Accuracy of each factor from each partition; in brackets, of the most frequent label."""
    rows, chance = {}, {}
    for run, lines in of_part(groups, "photographs").items():
        for partition in lines[0]["scores"]:
            name = f"{SCHEMES[run.scheme]}, {partition}"
            rows[name] = [{**line, "partition": partition} for line in lines]
        chance = {each: np.mean([line["chance"][each] for line in lines]) for each in PHOTOGRAPHED}
    columns: dict[str, Callable[[Line], float]] = {
        f"{factor} ({share:.2f})": lambda line, factor=factor: line["scores"][line["partition"]][
            factor
        ]
        for factor, share in chance.items()
    }
    return as_table("Photographs, five folds", rows, columns | {"error": FIGURES["error"]})


def photograph_leakage_table(groups: Groups) -> str:
    """The variant against leakage, on photographs."""
    variants = of_part(groups, "photograph leakage")
    rows = {
        SCHEMES[run.scheme]: same_seeds(lines, chain(*variants.values()))
        for run, lines in of_part(groups, "photographs").items()
        if run.scheme == "target" and variants
    }
    rows |= {_variant(run): lines for run, lines in variants.items()}
    columns: dict[str, Callable[[Line], float]] = {
        f"{factor} from {partition}": (
            lambda line, partition=partition, factor=factor: line["scores"][partition][factor]
        )
        for partition, factor in PHOTOGRAPH_SCORES
    }
    title = "Photographs, variant against leakage"
    return as_table(title, rows, columns | {"error": FIGURES["error"]})


def cost_table(groups: Groups) -> str:
    """Training time relative to the ungated model in the same round."""
    schemes = {
        'gated, `"input"`': "input",
        'gated, `"target"`, same number of images': "target",
        'gated, `"target"`, same number of pairs': "target, twice the images",
    }
    columns = {
        title: lambda line, name=name: float(
            np.median(np.divide(line["seconds"][name], line["seconds"]["ungated"]))
        )
        for title, name in schemes.items()
    }
    rows = {BACKBONES[run.backbone]: lines for run, lines in of_part(groups, "cost").items()}
    return as_table("Training time relative to the ungated model", rows, columns)


TABLES: dict[str, Callable[[Groups], str]] = {
    "at-a-glance": at_a_glance_table,
    "grid": grid_table,
    "models": model_table,
    "lambda": mmd_table,
    "partitions": partition_table,
    "labels": weak_table,
    "wrong-labels": noise_table,
    "trimmed": trimmed_table,
    "competitors": competitor_table,
    "leakage": leakage_table,
    "error": error_table,
    "input": input_table,
    "photographs": photograph_table,
    "photograph-leakage": photograph_leakage_table,
    "cost": cost_table,
}
