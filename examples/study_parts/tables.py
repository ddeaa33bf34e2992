"""The study's tables, made from its lines alone."""

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
    order,
    same_seeds,
)
from study_parts.runs import Run

MINUTES = {"minutes (median)": lambda line: line["seconds"]["train"] / 60}
LABELLED = {"rest": "identity is the rest", "all": "all labelled"}
LEAKING = "leakage of the pose"
POSE = ("yaw", "pitch")
PHOTOGRAPHED = ("person", "pose", "expression", "eyes")
TOLD_OF_PHOTOGRAPHS = (  # partition, label
    ("rest", "pose"),
    ("rest", "person"),
    ("rest", "eyes"),
    ("pose", "pose"),
    ("person", "person"),
)


def write_tables(lines: Iterable[Line]) -> str:
    """All tables, as Markdown, and what they took; what has no lines is left out."""
    lines = sorted(lines, key=order)
    groups = group(lines)
    diverged = [str(Run(**line["run"])) for line in lines if line.get("diverged")]
    hours = sum(line["seconds"].get("train", 0.0) for line in lines) / 3600
    parts = [table(groups) for table in TABLES]
    parts += [f"{len(lines)} runs, whose training took {hours:.1f} hours of one core."]
    parts += ["Diverged: " + "; ".join(diverged)] if diverged else []
    return "\n\n".join(part for part in parts if part) + "\n"


def told(values: Sequence[float]) -> str:
    mean, half = interval(values)
    return f"{mean:.2f}" if np.isnan(half) else f"{mean:.2f} ± {half:.2f}"


def as_table(
    title: str,
    rows: Mapping[str, Sequence[Line]],
    columns: Mapping[str, Callable[[Line], float]],
) -> str:
    """A Markdown table under its title: the mean over the lines of each row, with intervals.

    Minutes are told by their median, since the seeds may have been trained on other machines.
    """
    if not rows:
        return ""
    seeds = sorted({len(lines) for lines in rows.values()})
    runs = "one run" if seeds == [1] else f"{' to '.join(map(str, seeds))} runs each"
    head = [f"**{title}** ({runs})", "", f"| | {' | '.join(columns)} |"]
    body = []
    for name, lines in rows.items():
        found = {title: [get(line) for line in lines] for title, get in columns.items()}
        cells = [
            f"{np.median(values):.2f}" if title in MINUTES else told(values)
            for title, values in found.items()
        ]
        body.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join([*head, "| --- |" + " --- |" * len(columns), *body])


def grid_table(groups: Groups) -> str:
    """What the weights were chosen by."""
    found = of_part(groups, "grid")
    score = {"mean of D, C, I": lambda line: np.mean([FIGURES[name](line) for name in "DCI"])}
    rows = {
        f"{BACKBONES[run.backbone] if run.scheme == 'ungated' else SCHEMES[run.scheme]}, "
        f"{run.weight:g}": lines
        for run, lines in found.items()
    }
    shown = {name: FIGURES[name] for name in ("D", "C", "I", "error")}
    return as_table("Weight of the KL, on a seed of its own", rows, shown | score)


def claim_table(groups: Groups) -> str:
    """Gated against ungated, each backbone."""
    return as_table("Gated and ungated", _claimed(groups, "claim"), FIGURES | MINUTES)


def mmd_table(groups: Groups) -> str:
    """InfoVAE whose MMD weighs three times as much."""
    return as_table("InfoVAE with lambda 1", _claimed(groups, "mmd"), FIGURES)


def _claimed(groups: Groups, part: str) -> dict[str, list[Line]]:
    rows = {}
    for run, lines in of_part(groups, part).items():
        said = "" if run.scheme == "ungated" else f", {LABELLED[run.labelled]}"
        rows[f"{BACKBONES[run.backbone]} ({run.weight:g}), {SCHEMES[run.scheme]}{said}"] = lines
    return rows


def parting_table(groups: Groups) -> str:
    """How well pose and expression are told from their own partition and from the other."""
    columns = {
        f"{meant} from {partition}": _score(meant, partition)
        for meant in ("pose", "expression")
        for partition in PARTITIONS
    }
    rows = {
        f"{BACKBONES[backbone]}, {SCHEMES[scheme]}": lines
        for backbone in BACKBONES
        for scheme in ("ungated", "input", "target")
        if (lines := of_claim(groups, backbone, scheme))
    }
    return as_table("Pose and expression, each partition alone (R2)", rows, columns)


def _score(meant: str, partition: str) -> Callable[[Line], float]:
    factors = [factor for factor, name in INTENDED.items() if name == meant]
    return lambda line: float(np.mean([line["scores"][partition][each] for each in factors]))


def weak_table(groups: Groups) -> str:
    """Few labels, and wrong ones."""
    rows = {name: lines for part in CURVES for name, lines in curve(groups, part).items()}
    columns = {f"{meant} from {meant}": _score(meant, meant) for meant in PARTITIONS}
    return as_table("Few and wrong labels", rows, FIGURES | columns)


def competitor_table(groups: Groups) -> str:
    """The gated beta-VAE and others with the same labels; the weight of the KL in brackets."""
    return as_table("Competitors", competitors(groups), FIGURES | {LEAKING: _pose_leakage})


def _pose_leakage(line: Line) -> float:
    return float(np.mean([line["leakage"][factor] for factor in POSE]))


def leakage_table(groups: Groups) -> str:
    """What was tried so that the rest tells less of the pose."""
    rows = {_remedy(run): lines for run, lines in of_part(groups, "leakage").items()}
    identity = {"identity told": lambda line: line["informativeness"]["identity"]}
    columns = {LEAKING: _pose_leakage} | identity | FIGURES | MINUTES
    return as_table("Against the leakage, with a lighter KL", rows, columns)


def _remedy(run: Run) -> str:
    return ", ".join([SCHEMES.get(run.scheme, run.scheme), *[run.option] * bool(run.option)])


def error_table(groups: Groups) -> str:
    """What was tried against the gated model's larger error."""
    return as_table("Against the error", _options(groups, "error", "target"), FIGURES)


def input_table(groups: Groups) -> str:
    """What was tried with "input" where it does not win."""
    return as_table('With `"input"`', _options(groups, "input", "input"), FIGURES)


def noise_table(groups: Groups) -> str:
    """What was tried against wrong labels."""
    found = of_part(groups, "noise remedies")
    wrong = {run.wrong for run in found}
    plain = [lines for run, lines in of_part(groups, "noisy").items() if run.wrong in wrong]
    rows = {"as it is": plain[0]} if plain else {}
    rows |= {run.option or run.scheme: lines for run, lines in found.items()}
    title = f"Against wrong labels ({', '.join(f'{each:.0%}' for each in wrong)})"
    return as_table(title, rows, FIGURES)


def _options(groups: Groups, part: str, scheme: str) -> dict[str, list[Line]]:
    """Each model as it is, on the same seeds, and each way to train it otherwise."""
    rows: dict[str, list[Line]] = {}
    for run, lines in of_part(groups, part).items():
        name = BACKBONES[run.backbone]
        plain = same_seeds(of_claim(groups, run.backbone, scheme), lines)
        if plain:
            rows.setdefault(f"{name}, as it is", plain)
        rows[f"{name}, {run.option}"] = lines
    return rows


def photograph_table(groups: Groups) -> str:
    """Accuracy of each label from each partition alone; in brackets, the commonest label's."""
    rows, chance = {}, {}
    for run, lines in of_part(groups, "photographs").items():
        for partition in lines[0]["scores"]:
            name = f"{SCHEMES[run.scheme]}, {partition}"
            rows[name] = [{**line, "told": line["scores"][partition]} for line in lines]
        chance = {each: np.mean([line["chance"][each] for line in lines]) for each in PHOTOGRAPHED}
    columns: dict[str, Callable[[Line], float]] = {
        f"{factor} ({share:.2f})": lambda line, factor=factor: line["told"][factor]
        for factor, share in chance.items()
    }
    return as_table("Photographs, five folds", rows, columns | {"error": FIGURES["error"]})


def photograph_leakage_table(groups: Groups) -> str:
    """What was tried so that the rest of the photographs tells less of pose and person."""
    found = of_part(groups, "photograph leakage")
    rows = {
        SCHEMES[run.scheme]: same_seeds(lines, chain(*found.values()))
        for run, lines in of_part(groups, "photographs").items()
        if run.scheme == "target" and found
    }
    rows |= {_remedy(run): lines for run, lines in found.items()}
    columns: dict[str, Callable[[Line], float]] = {
        f"{factor} from {partition}": (
            lambda line, partition=partition, factor=factor: line["scores"][partition][factor]
        )
        for partition, factor in TOLD_OF_PHOTOGRAPHS
    }
    title = "Photographs, against the leakage"
    return as_table(title, rows, columns | {"error": FIGURES["error"]})


def cost_table(groups: Groups) -> str:
    """Seconds of training over the ungated model's in the same round."""
    found = of_part(groups, "cost")
    schemes = {
        'gated, `"input"`': "input",
        'gated, `"target"`, as many images decoded': "target",
        'gated, `"target"`, as many pairs as `"input"`': "target, twice the images",
    }
    columns = {
        title: lambda line, name=name: float(
            np.median(np.divide(line["seconds"][name], line["seconds"]["ungated"]))
        )
        for title, name in schemes.items()
    }
    rows = {BACKBONES[run.backbone]: lines for run, lines in found.items()}
    return as_table("Cost: time of training over the ungated model's", rows, columns)


TABLES = (
    grid_table,
    claim_table,
    mmd_table,
    parting_table,
    weak_table,
    noise_table,
    competitor_table,
    leakage_table,
    error_table,
    input_table,
    photograph_table,
    photograph_leakage_table,
    cost_table,
)
