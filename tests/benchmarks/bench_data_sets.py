"""Ungated and gated models on up to five data sets, with beta by the rule of the README.

    beta = multiple * 0.005 * half the squared error of the mean image

For each data set, scheme, multiple and seed, a model is trained with the same networks and
evaluated on held-out data: the score of each labelled factor (accuracy or R2, in means over
seeds) from its own partition, from the other labelled partitions and from the rest, from sampled
codes and from posterior means; a row "constant" has the scores of a constant predictor. Prints
Markdown; finished runs are appended to a file and not repeated:

    python tests/benchmarks/bench_data_sets.py --photographs DIR --speech FILE --mice FILE
    python tests/benchmarks/bench_data_sets.py --table beta --steps 1200 ...

Schemes: "ungated" is the model without pairs on as many images per step; "0.1" has the loss of
version 0.1 and no schedule; "gated" has the defaults and `GatedSchedule()`; "robust" has
`robust_pairs`, too. `--backbone` is "beta" (BetaVAE), "info" (INFOVAE_MMD, whose weight of the KL
is beta) or "dip" (DIPVAE ii, with a pixel noise whose variance is beta). `--wrong` is the share of
labels that are replaced by another image's.

`--vary size 1 2 4 9` trains the gated models with other sizes of their labelled partitions, and
prints a table of these runs; likewise `steps`, `learning_rate`, `batch` (at as many pairs),
`labels` (of each value of a factor; the other items are not labelled), and `shift` (pixels by
which images are moved at random; for tables, tenths of the standard deviation of noise).

FILE of speech: npz with images (N, 1, 32, 32) uint8, f_digit, f_speaker. FILE of mice: npz with
images (N, D) float32, f_genotype, f_behavior and f_mouse, by which the data is split.
"""

import argparse
import itertools
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from cmu_faces import read_photographs
from digits import read_digits
from pythae.data.datasets import BaseDataset
from study_parts.models import BACKBONES, MMD_LAMBDA
from study_parts.runs import FIRST_SCHEME
from torch.utils.data import Subset
from training import train

from pythae_gated import PairedDataset, Partitions
from pythae_gated.callbacks import GatedSchedule
from pythae_gated.datasets import make_faces, mean_and_beta
from pythae_gated.datasets.images import BETA_RULE
from pythae_gated.metrics import evaluate
from pythae_gated.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from tests.benchmarks.data_set_tables import (
    read,
    select,
    table_at_a_glance,
    table_of_beta,
    table_of_schemes,
    table_of_settings,
)

DEFAULTS: dict[str, Any] = {
    "size": None, "learning_rate": 2e-3, "batch": 64, "labels": None, "shift": 0
}  # fmt: skip


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
    images, digit = read_digits()
    return images, {"digit": digit}, {"digit": ("digit",)}, {"digit": 6, "rest": 10}, None


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
    labels: int | None,
    shift: int,
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
    settings: dict[str, Any] = {"input_dim": shape, "latent_dim": latent_dim}
    settings |= {
        "beta": {"beta": beta}, "info": {"alpha": 1 - beta, "lbd": MMD_LAMBDA}, "dip": {}
    }[args.backbone]  # fmt: skip
    kind = "ungated" if scheme == "ungated" else "gated"
    model_class, config_class = BACKBONES[args.backbone][kind]
    model: Any
    data: Any
    if scheme == "ungated":
        model = model_class(config_class(**settings), *networks)
        data = BaseDataset(torch.from_numpy(train_images), torch.zeros(len(train_images)))
        batch, callbacks = 2 * batch, []
    else:
        gating = {"partitions": sizes, "rest": ["rest"], **SCHEMES[scheme]}
        model = model_class(config_class(**settings, **gating), *networks)
        given: dict[str, Any] = {
            partition: np.stack([factors[factor][~held_out] for factor in chosen], axis=1)
            for partition, chosen in labelled.items()
        }
        for partition, values in given.items():
            wrong = np.flatnonzero(rng.random(len(values)) < args.wrong)
            values[wrong] = values[rng.permutation(wrong)]
            if labels is not None:
                given[partition] = keep_labels(values[:, 0], labels, rng)
        transform = partial(move, pixels=shift) if shift else None
        data = PairedDataset(train_images, model.partitions, given, transform=transform)
        callbacks = [] if scheme == "0.1" else [GatedSchedule()]
    if args.backbone == "dip":
        model.noise_variance = beta  # instead of a weight of its KL
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
    how: dict[str, Any] = {"partitions": Partitions(sizes), "intended": intended, "seed": seed}
    sampled, means = (
        evaluate(model, *fit, codes=codes, test=test, **how) for codes in ("sample", "mean")
    )
    return {
        "data": name, "scheme": scheme, "backbone": args.backbone, "multiple": multiple,
        "wrong": args.wrong, "seed": seed,
        "steps": steps, "beta": beta, "mean_error": rule / BETA_RULE,
        "error": sampled.reconstruction_error, "active": sampled.active_units,
        "dimensions": latent_dim, "chance": sampled.chance, "intended": intended,
        "D": sampled.disentanglement, "C": sampled.completeness,
        "I": sampled.mean_informativeness, "leakage": sampled.leakage,
        "sample": sampled.scores, "mean": means.scores,
    }  # fmt: skip


def keep_labels(values: np.ndarray, number: int, rng: np.random.Generator) -> np.ma.MaskedArray:
    """The labels of a number of items for each value; the others are masked."""
    order = rng.permutation(len(values))
    kept = [order[values[order] == value][:number] for value in np.unique(values)]
    return np.ma.array(values, mask=~np.isin(np.arange(len(values)), np.concatenate(kept)))


def move(images: torch.Tensor, pixels: int) -> torch.Tensor:
    """Images (N, C, H, W) moved by up to some pixels; rows of a table (N, D) with noise."""
    if images.ndim == 2:
        return images + 0.1 * pixels * torch.randn_like(images)
    padded = torch.nn.functional.pad(images, [pixels] * 4, mode="replicate")
    height, width = images.shape[2:]
    at = torch.randint(2 * pixels + 1, (len(images), 2)).tolist()
    return torch.stack(
        [each[:, y : y + height, x : x + width] for each, (y, x) in zip(padded, at, strict=True)]
    )


def main() -> None:
    """Run what is missing, and print the table of all finished runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tables = {"schemes": table_of_schemes, "glance": table_at_a_glance, "beta": table_of_beta}
    parser.add_argument("--table", choices=tables, default="schemes")
    parser.add_argument("--vary", nargs="+", metavar=("SETTING", "VALUE"))
    parser.add_argument("--data-sets", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--schemes", nargs="+", choices=SCHEMES, default=list(SCHEMES)[:3])
    parser.add_argument("--backbone", choices=BACKBONES, default="beta")
    parser.add_argument("--multiples", nargs="+", type=float)
    parser.add_argument("--wrong", type=float, default=0.0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=3_600)
    parser.add_argument("--labels", type=int, help="labelled items for each value")
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
        settings = {**DEFAULTS, "steps": args.steps, "labels": args.labels}
        if vary is not None:
            settings[vary] = value if vary == "learning_rate" else int(value)
        if vary == "batch":
            settings["steps"] = args.steps * DEFAULTS["batch"] // settings["batch"]
        setting = {
            "data": name, "scheme": scheme, "backbone": args.backbone, "multiple": multiple,
            "wrong": args.wrong, "seed": seed, "steps": settings["steps"],
        }  # fmt: skip
        if vary is not None:
            setting |= {"vary": vary, "value": value, "labels": settings["labels"]}
        if not select(read(path), **setting):
            line = run(name, scheme, multiple, seed, args, **settings) | setting
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")
    if vary is not None:
        print(table_of_settings(select(read(path), vary=vary)))
        return
    lines = select(read(path), steps=args.steps, vary=None)
    print(tables[args.table](select(lines, scheme="gated", wrong=args.wrong) if beta else lines))


if __name__ == "__main__":
    main()
