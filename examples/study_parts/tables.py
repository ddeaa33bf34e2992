"""The study's tables, made from its lines alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from quickstart import INTENDED, PARTITIONS
from scipy.stats import t as student

from study_parts.runs import Run

Line: TypeAlias = Mapping[str, Any]
Groups: TypeAlias = dict[Run, list[Line]]  # the runs that differ by their seed alone


def _mean_of(name: str) -> Callable[[Line], float]:
    return lambda line: float(np.mean(list(line[name].values())))


FIGURES: dict[str, Callable[[Line], float]] = {
    "D": lambda line: line["disentanglement"],
    "C": lambda line: line["completeness"],
    "I": _mean_of("informativeness"),
    "alignment": _mean_of("alignment"),
    "leakage": _mean_of("leakage"),
    "error": lambda line: line["reconstruction_error"],
}
MINUTES = {"minutes": lambda line: line["seconds"]["train"] / 60}
BACKBONES = {"beta": "beta-VAE", "info": "InfoVAE", "dip": "DIP-VAE-II"}
SCHEMES = {
    "ungated": "ungated",
    "input": 'gated, `"input"`',
    "target": 'gated, `"target"`',
    "group": "Group-VAE",
    "ada": "Ada-GVAE",
    "match": "match pairing",
    "supervised": "supervised beta-VAE",
}
LABELLED = {"rest": "identity is the rest", "all": "all labelled"}
LEAKING = "leakage of the pose"
POSE = ("yaw", "pitch")
PHOTOGRAPHED = ("person", "pose", "expression", "eyes")


def group(lines: Iterable[Line]) -> Groups:
    """The lines by their run, whatever the seed, in an order that is not that of their end."""
    groups: Groups = {}
    for line in sorted(lines, key=_order):
        if not line.get("diverged"):
            groups.setdefault(replace(Run(**line["run"]), seed=0), []).append(line)
    return groups


def _order(line: Line) -> tuple[Any, ...]:
    run = Run(**line["run"])
    schemes = [*SCHEMES, run.scheme]
    backbone, scheme = list(BACKBONES).index(run.backbone), schemes.index(run.scheme)
    return backbone, scheme, run.weight, run.labelled, -run.share, run.wrong, run.option, run.seed


def write_tables(lines: Iterable[Line]) -> str:
    """All tables, as Markdown, and what they took; what has no lines is left out."""
    lines = sorted(lines, key=_order)
    groups = group(lines)
    diverged = [str(Run(**line["run"])) for line in lines if line.get("diverged")]
    hours = sum(line["seconds"].get("train", 0.0) for line in lines) / 3600
    parts = [table(groups) for table in TABLES]
    parts += [f"{len(lines)} runs, whose training took {hours:.1f} hours of one core."]
    parts += ["Diverged: " + "; ".join(diverged)] if diverged else []
    return "\n\n".join(part for part in parts if part) + "\n"


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half the width of its 95 % interval (Student's t); NaN for one value."""
    n = len(values)
    spread = np.std(values, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return float(np.mean(values)), float(spread * student.ppf(0.975, max(n - 1, 1)))


def told(values: Sequence[float]) -> str:
    mean, half = interval(values)
    return f"{mean:.2f}" if np.isnan(half) else f"{mean:.2f} ± {half:.2f}"


def as_table(
    title: str,
    rows: Mapping[str, Sequence[Line]],
    columns: Mapping[str, Callable[[Line], float]],
) -> str:
    """A Markdown table under its title: the mean over the lines of each row, with intervals."""
    if not rows:
        return ""
    seeds = sorted({len(lines) for lines in rows.values()})
    runs = "one run" if seeds == [1] else f"{' to '.join(map(str, seeds))} runs each"
    head = [f"**{title}** ({runs})", "", f"| | {' | '.join(columns)} |"]
    body = []
    for name, lines in rows.items():
        cells = [told([get(line) for line in lines]) for get in columns.values()]
        body.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join([*head, "| --- |" + " --- |" * len(columns), *body])


def of_part(groups: Groups, part: str) -> Groups:
    return {run: lines for run, lines in groups.items() if run.part == part}


def of_claim(groups: Groups, backbone: str, scheme: str, labelled: str = "rest") -> list[Line]:
    """The claim's lines of one model."""
    return next(
        (
            lines
            for run, lines in of_part(groups, "claim").items()
            if (run.backbone, run.scheme, run.labelled) == (backbone, scheme, labelled)
        ),
        [],
    )


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


CURVES = {
    "weak": "share of images labelled",
    "noisy": "share of labels that are wrong",
    "trimmed": "share that is wrong, pairs trimmed",
}


def curve(groups: Groups, part: str) -> dict[str, list[Line]]:
    """What is said of the labels -> its lines, from the best labels to the worst."""
    found = of_part(groups, part)
    if not found:
        return {}
    if part == "trimmed":
        tried = of_part(groups, "noise remedies")
        found |= {run: lines for run, lines in tried.items() if run.scheme == "trimmed pairs"}
    seeds = {line["run"]["seed"] for lines in found.values() for line in lines}
    plain = [line for line in of_claim(groups, "beta", "target") if line["run"]["seed"] in seeds]
    said = {"all labelled, none wrong": plain} if part != "trimmed" and plain else {}
    for run in sorted(found, key=lambda run: (-run.share, run.wrong)):
        name = f"{run.share:.0%} labelled" if part == "weak" else f"{run.wrong:.0%} wrong"
        said[name + ", trimmed" * (part == "trimmed")] = found[run]
    return said


def competitor_table(groups: Groups) -> str:
    """The gated beta-VAE and others with the same labels; the weight of the KL in brackets."""
    return as_table("Competitors", competitors(groups), FIGURES | {LEAKING: _pose_leakage})


def competitors(groups: Groups) -> dict[str, list[Line]]:
    """All that compete, each with the weight that was best for it; the ungated model beside."""
    chosen = {run.scheme: run for run in of_part(groups, "competitors")}
    if not chosen:
        return {}
    claim = {
        run.scheme: run
        for run in of_part(groups, "claim")
        if (run.backbone, run.labelled) == ("beta", "rest")
    }
    return {
        f"{SCHEMES[scheme]} ({run.weight:g})": groups[run]
        for scheme, run in (claim | chosen).items()
    }


def _pose_leakage(line: Line) -> float:
    return float(np.mean([line["leakage"][factor] for factor in POSE]))


def leakage_table(groups: Groups) -> str:
    """What was tried so that the rest tells less of the pose."""
    rows = {
        ", ".join([SCHEMES.get(run.scheme, run.scheme), *[run.option] * bool(run.option)]): each
        for run, each in of_part(groups, "leakage").items()
    }
    identity = {"identity told": lambda line: line["informativeness"]["identity"]}
    columns = {LEAKING: _pose_leakage} | identity | FIGURES | MINUTES
    return as_table("Against the leakage, with a lighter KL", rows, columns)


def error_table(groups: Groups) -> str:
    """What was tried against the gated model's larger error."""
    return as_table("Against the error", _options(groups, "error", "target"), FIGURES | MINUTES)


def input_table(groups: Groups) -> str:
    """What was tried with "input" where it does not win."""
    return as_table('With `"input"`', _options(groups, "input", "input"), FIGURES | MINUTES)


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
        name, seeds = BACKBONES[run.backbone], {line["run"]["seed"] for line in lines}
        plain = of_claim(groups, run.backbone, scheme)
        same = [line for line in plain if line["run"]["seed"] in seeds]
        if same:
            rows.setdefault(f"{name}, as it is", same)
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
    cost_table,
)
