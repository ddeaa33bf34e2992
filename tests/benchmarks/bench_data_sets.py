"""Ungated and gated models on up to five data sets, with beta by the rule of the README.

    beta = multiple * 0.005 * half the squared error of the mean image

For each data set, scheme, multiple and seed, a model is trained with the same networks and
evaluated on held-out data: the score of each labelled factor (accuracy or R2, in means over
seeds) from its own partition, from the other labelled partitions and from the rest, from sampled
codes and from posterior means; a row "constant" has the scores of a constant predictor. Prints
Markdown; finished runs are appended to a file and not repeated:

    python tests/benchmarks/bench_data_sets.py --photographs DIR --speech FILE --mice FILE
    python tests/benchmarks/bench_data_sets.py --table beta --steps 1200 ...

Schemes: "ungated" is Pythae's BetaVAE on as many images per step; "0.1" has the loss of version
0.1 and no schedule; "gated" has the defaults and `GatedSchedule()`; "robust" has `robust_pairs`,
too. `--wrong` is the share of labels that are replaced by another image's.

`--vary size 1 2 4 9` trains the gated models with other sizes of their labelled partitions, and
prints a table of these runs; likewise `learning_rate`, `steps`, and `batch`, at as many pairs.

FILE of speech: npz with images (N, 1, 32, 32) uint8, f_digit, f_speaker. FILE of mice: npz with
images (N, D) float32, f_genotype, f_behavior and f_mouse, by which the data is split.
"""

import argparse
import itertools
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from cmu_faces import read_photographs
from pythae.data.datasets import BaseDataset
from pythae.models import BetaVAE, BetaVAEConfig
from study_parts.runs import FIRST_SCHEME
from torch.utils.data import Subset
from training import train

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset, Partitions
from pythae_gated.callbacks import GatedSchedule
from pythae_gated.datasets import make_faces, mean_and_beta
from pythae_gated.datasets.images import BETA_RULE
from pythae_gated.metrics import evaluate
from pythae_gated.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder

DEFAULTS: dict[str, Any] = {"size": None, "learning_rate": 2e-3, "batch": 64}


def faces(_: argparse.Namespace) -> tuple[Any, ...]:
    """Images, factors, partition -> labelled factors, sizes of the partitions, groups."""
    images, factors = make_faces(24_000, image_size=32)
    labelled = {"pose": ("yaw", "pitch"), "expression": ("smile", "mouth", "brow")}
    sizes = {"pose": 4, "expression": 6, "rest": 6}
    return images / np.float32(255), factors, labelled, sizes, None


def photographs(args: argparse.Namespace) -> tuple[Any, ...]:
    """CMU Face Images: person and pose labelled."""
    images, factors = read_photographs(args.photographs)
    labelled = {"pose": ("pose",), "person": ("person",)}
    return images / np.float32(255), factors, labelled, {"pose": 4, "person": 4, "rest": 4}, None


def digits(_: argparse.Namespace) -> tuple[Any, ...]:
    """scikit-learn's digits: class labelled."""
    data = load_digits()
    images = (data.images[:, None] / 16).astype(np.float32)
    return images, {"digit": data.target}, {"digit": ("digit",)}, {"digit": 6, "rest": 10}, None


def speech(args: argparse.Namespace) -> tuple[Any, ...]:
    """Spoken digits: digit and speaker labelled."""
    data = np.load(args.speech)
    factors = {"digit": data["f_digit"], "speaker": data["f_speaker"]}
    labelled = {name: (name,) for name in factors}
    sizes = {"digit": 6, "speaker": 6, "rest": 6}
    return data["images"] / np.float32(255), factors, labelled, sizes, None


def mice(args: argparse.Namespace) -> tuple[Any, ...]:
    """Protein levels: genotype and behaviour labelled, split by animal."""
    data = np.load(args.mice)
    factors = {"genotype": data["f_genotype"], "behavior": data["f_behavior"]}
    labelled = {name: (name,) for name in factors}
    sizes = {"genotype": 4, "behavior": 4, "rest": 8}
    return data["images"], factors, labelled, sizes, data["f_mouse"]


EXTRA = {"faces": ("identity",), "photographs": ("eyes",)}  # factors without labels
DATA = {each.__name__: each for each in (faces, photographs, digits, speech, mice)}

SCHEMES: dict[str, dict[str, Any]] = {
    "ungated": {},
    "0.1": FIRST_SCHEME,
    "gated": {},
    "robust": {"robust_pairs": True},
}


def run(
    name: str,
    scheme: str,
    multiple: float,
    seed: int,
    args: argparse.Namespace,
    *,
    steps: int,
    size: int | None,
    learning_rate: float,
    batch: int,
) -> dict[str, Any]:
    """Train and evaluate one model."""
    images, factors, labelled, sizes, groups = DATA[name](args)
    sizes = {partition: size or own for partition, own in sizes.items()} | {"rest": sizes["rest"]}
    rng = np.random.default_rng(seed)
    groups = np.arange(len(images)) if groups is None else groups
    names = np.unique(groups)
    held_out = np.isin(groups, rng.choice(names, len(names) // 5, replace=False))
    train_images, test_images = images[~held_out], images[held_out]
    start, rule = mean_and_beta(train_images)
    beta = rule * multiple if multiple else 1.0

    torch.manual_seed(seed)
    latent_dim, shape = sum(sizes.values()), images.shape[1:]
    if shape == (1, 32, 32):
        networks = ConvEncoder(shape, latent_dim), ConvDecoder(shape, latent_dim, start)
    else:
        networks = MLPEncoder(shape, latent_dim), MLPDecoder(shape, latent_dim, start)
    settings: dict[str, Any] = {
        "input_dim": shape, "latent_dim": latent_dim, "beta": beta
    }  # fmt: skip
    model: BetaVAE
    data: Any
    if scheme == "ungated":
        model = BetaVAE(BetaVAEConfig(**settings), *networks)
        data = BaseDataset(torch.from_numpy(train_images), torch.zeros(len(train_images)))
        batch, callbacks = 2 * batch, []
    else:
        gating = {"partitions": sizes, "rest": ["rest"], **SCHEMES[scheme]}
        model = GatedBetaVAE(GatedBetaVAEConfig(**settings, **gating), *networks)
        labels = {
            partition: np.stack([factors[factor][~held_out] for factor in chosen], axis=1)
            for partition, chosen in labelled.items()
        }
        for values in labels.values():
            wrong = np.flatnonzero(rng.random(len(values)) < args.wrong)
            values[wrong] = values[rng.permutation(wrong)]
        data = PairedDataset(train_images, model.partitions, labels)
        callbacks = [] if scheme == "0.1" else [GatedSchedule()]
    epochs = 20
    rows = np.resize(np.arange(len(data)), steps // epochs * batch)
    train(
        model,
        Subset(data, rows.tolist()),
        args.output / "models",
        epochs=epochs,
        batch_size=batch,
        learning_rate=learning_rate,
        seed=seed,
        callbacks=callbacks,
    )

    shown = [*(f for them in labelled.values() for f in them), *EXTRA.get(name, ())]
    intended = {factor: partition for partition, them in labelled.items() for factor in them}
    fit = train_images[:5_000], {f: factors[f][~held_out][:5_000] for f in shown}
    test = test_images, {f: factors[f][held_out] for f in shown}
    given = {"partitions": Partitions(sizes), "intended": intended, "test": test, "seed": seed}
    sampled, means = (evaluate(model, *fit, codes=codes, **given) for codes in ("sample", "mean"))
    return {
        "data": name, "scheme": scheme, "multiple": multiple, "wrong": args.wrong, "seed": seed,
        "steps": steps, "beta": beta, "mean_error": rule / BETA_RULE,
        "error": sampled.reconstruction_error, "active": sampled.active_units,
        "dimensions": latent_dim, "chance": sampled.chance, "intended": intended,
        "D": sampled.disentanglement, "C": sampled.completeness,
        "I": sampled.mean_informativeness, "leakage": sampled.leakage,
        "sample": sampled.scores, "mean": means.scores,
    }  # fmt: skip


def at(line: dict[str, Any], place: str, codes: str = "sample") -> dict[str, float]:
    """The scores of the labelled factors: own, worst other labelled, rest, or worst of both.

    The place "chance" has the scores of a constant predictor.
    """
    if place == "chance":
        return {factor: line["chance"][factor] for factor in line["intended"]}
    found = {}
    for factor, own in line["intended"].items():
        others = [p for p in line["sample"] if p != own]
        labelled = [p for p in others if p != "rest"]
        where = {"own": [own], "other": labelled, "rest": ["rest"], "elsewhere": others}[place]
        found[factor] = max((line[codes][p][factor] for p in where), default=math.nan)
    return found


def mean_of(runs: list[dict[str, Any]], place: str, codes: str = "sample") -> str:
    """The mean over the runs for each factor."""
    values = [at(line, place, codes) for line in runs]
    means = {factor: np.mean([each[factor] for each in values]) for factor in values[0]}
    return ", ".join("-" if np.isnan(mean) else f"{mean:.2f}" for mean in means.values())


def table_of_schemes(lines: list[dict[str, Any]]) -> str:
    """Means over the seeds, with beta by the rule; one row per data set, labels and scheme."""
    rows = [
        [
            "data: factors",
            "model",
            "own",
            "other labelled",
            "rest",
            "means: own",
            "other labelled",
            "rest",
            "constant",
            "error",
            "D / C / I / leakage",
        ]
    ]
    for name, wrong, scheme in sorted_settings(lines, "data", "wrong", "scheme"):
        runs = select(lines, data=name, wrong=wrong, scheme=scheme)
        ungated = select(lines, data=name, wrong=0.0, scheme="ungated")
        error = np.mean([run["error"] for run in runs])
        ratio = error / np.mean([run["error"] for run in ungated]) if ungated else math.nan
        figures = [np.mean([run[key] for run in runs]) for key in "DCI"]
        figures.append(np.mean([np.mean(list(run["leakage"].values())) for run in runs]))
        rows.append(
            [
                f"{name}: {', '.join(runs[0]['intended'])}" + f", {wrong:.0%} wrong" * (wrong > 0),
                f"{scheme} ({len(runs)})",
                *(mean_of(runs, place) for place in ("own", "other", "rest")),
                *(mean_of(runs, place, "mean") for place in ("own", "other", "rest")),
                mean_of(runs, "chance"),
                f"{error:.2f} (x {ratio:.2f})",
                " / ".join(f"{figure:.2f}" for figure in figures),
            ]
        )
    return as_markdown(rows)


def table_at_a_glance(lines: list[dict[str, Any]]) -> str:
    """Means over the seeds, from sampled codes: one row per data set."""
    rows = [
        [
            "data: factors",
            "own: ungated",
            "own: gated",
            "elsewhere: ungated",
            "elsewhere: 0.1",
            "elsewhere: gated",
            "constant",
            "error: 0.1",
            "error: gated",
        ]
    ]
    for (name,) in sorted_settings(lines, "data"):
        runs = {scheme: select(lines, data=name, wrong=0.0, scheme=scheme) for scheme in SCHEMES}
        errors = {
            scheme: np.mean([run["error"] for run in runs[scheme]])
            for scheme in ("ungated", "0.1", "gated")
        }
        rows.append(
            [
                f"{name}: {', '.join(runs['gated'][0]['intended'])}",
                *(mean_of(runs[scheme], "own") for scheme in ("ungated", "gated")),
                *(mean_of(runs[scheme], "elsewhere") for scheme in errors),
                mean_of(runs["gated"], "chance"),
                *(f"x {errors[scheme] / errors['ungated']:.2f}" for scheme in ("0.1", "gated")),
            ]
        )
    return as_markdown(rows)


def table_of_beta(lines: list[dict[str, Any]]) -> str:
    """Means over the seeds, and in brackets the worst own score, of each multiple."""
    rows = [
        [
            "data (half squared error of the mean)",
            "beta",
            "multiple of the rule",
            "own partition",
            "rest",
            "constant",
            "active units",
            "error",
        ]
    ]
    for name, multiple in sorted_settings(lines, "data", "multiple"):
        runs = select(lines, data=name, multiple=multiple)
        cells = []
        for place in ("own", "rest", "chance"):
            values = [at(run, place) for run in runs]
            shown = []
            for factor in runs[0]["intended"]:
                found = [each[factor] for each in values]
                worst = f" ({min(found):.2f})" if place == "own" else ""
                shown.append(f"{factor} {np.mean(found):.2f}{worst}")
            cells.append(", ".join(shown))
        mean_error, beta, error, active = (
            np.mean([run[key] for run in runs])
            for key in ("mean_error", "beta", "error", "active")
        )
        units = f"{active:.0f} of {runs[0]['dimensions']}"
        first = f"{name} ({mean_error:.1f})", f"{beta:.3g}", str(multiple or "1/rule")
        rows.append([*first, *cells, units, f"{error:.2f}"])
    return as_markdown(rows)


def as_markdown(rows: list[list[str]]) -> str:
    """A table whose first row are the headings."""
    lines = [
        "| " + " | ".join(cells) + " |" for cells in [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    ]
    return "\n".join(lines)


def select(lines: list[dict[str, Any]], **values: Any) -> list[dict[str, Any]]:
    """The lines with these values."""
    return [line for line in lines if all(line[key] == value for key, value in values.items())]


def sorted_settings(lines: list[dict[str, Any]], *keys: str) -> list[tuple[Any, ...]]:
    """The different settings, data sets and schemes in the order of this file."""
    order = {name: place for place, name in enumerate((*DATA, *SCHEMES))}
    settings = {tuple(line[key] for key in keys) for line in lines}
    return sorted(settings, key=lambda each: [order.get(v, v or 9e9) for v in each])


def table_of_settings(lines: list[dict[str, Any]]) -> str:
    """Means over the seeds, one row per data set and value of the setting that varies."""
    headings = ["own", "other labelled", "rest", "constant", "error"]
    rows = [["data: factors", lines[0]["vary"], *headings]]
    for name, value in sorted_settings(lines, "data", "value"):
        runs = select(lines, data=name, value=value)
        cells = [mean_of(runs, place) for place in ("own", "other", "rest", "chance")]
        error = np.mean([run["error"] for run in runs])
        factors = ", ".join(runs[0]["intended"])
        rows.append([f"{name}: {factors}", f"{value:g} ({len(runs)})", *cells, f"{error:.2f}"])
    return as_markdown(rows)


def main() -> None:
    """Run what is missing, and print the table of all finished runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tables = {"schemes": table_of_schemes, "glance": table_at_a_glance, "beta": table_of_beta}
    parser.add_argument("--table", choices=tables, default="schemes")
    parser.add_argument("--vary", nargs="+", metavar=("SETTING", "VALUE"))
    parser.add_argument("--data-sets", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--schemes", nargs="+", choices=SCHEMES, default=list(SCHEMES)[:3])
    parser.add_argument("--multiples", nargs="+", type=float)
    parser.add_argument("--wrong", type=float, default=0.0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=3_600)
    parser.add_argument("--output", type=Path, default=Path("output/data_sets"))
    for name in ("photographs", "speech", "mice"):
        parser.add_argument(f"--{name}", type=Path)
    args = parser.parse_args()
    beta = args.table == "beta"
    schemes = ["gated"] if beta or args.vary else args.schemes
    multiples = args.multiples or ([0.2, 1.0, 5.0, 0.0] if beta else [1.0])
    vary, *values = args.vary or (None, "nan")
    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / "data_sets.jsonl"
    for seed, name, scheme, multiple, value in itertools.product(
        args.seeds, args.data_sets, schemes, multiples, map(float, values)
    ):
        if name in ("photographs", "speech", "mice") and getattr(args, name) is None:
            continue
        settings = {**DEFAULTS, "steps": args.steps}
        if vary is not None:
            settings[vary] = value if vary == "learning_rate" else int(value)
        if vary == "batch":
            settings["steps"] = args.steps * DEFAULTS["batch"] // settings["batch"]
        setting = {
            "data": name, "scheme": scheme, "multiple": multiple, "wrong": args.wrong,
            "seed": seed, "steps": settings["steps"],
        }  # fmt: skip
        if vary is not None:
            setting |= {"vary": vary, "value": value}
        if not select(read(path), **setting):
            line = run(name, scheme, multiple, seed, args, **settings) | setting
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")
    if vary is not None:
        print(table_of_settings(select(read(path), vary=vary)))
        return
    lines = select(read(path), steps=args.steps, vary=None)
    print(tables[args.table](select(lines, scheme="gated", wrong=args.wrong) if beta else lines))


def read(path: Path) -> list[dict[str, Any]]:
    """The finished runs."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [{"vary": None, **json.loads(line)} for line in lines]


if __name__ == "__main__":
    main()
