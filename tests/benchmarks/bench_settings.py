"""Gated beta-VAEs with other settings than the recommended ones, on up to five data sets.

For each data set, value of the setting and seed, a model is trained with `GatedSchedule()` and
evaluated as in `examples/study.py`, whose data sets and networks are used. Prints Markdown;
finished runs are appended to a file and not repeated:

    python tests/benchmarks/bench_settings.py size 1 2 4 9 --speech FILE --mice FILE

Settings: `beta` (multiples of the rule beta = 0.005 times half the squared error of the mean
image; 0 is a beta of 1), `size` of the labelled partitions, `steps`, `learning_rate`, `batch` (at
as many pairs), `labels` (of each value of a factor; the other items are not labelled), `shift`
(pixels by which images are moved at random; for tables, tenths of the standard deviation of
noise), and `balanced` (0 or 1; with `--labels`, for every second value only).
"""

import argparse
import itertools
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from study_parts.data import NAMES, Sources, load
from study_parts.run_one import evaluate_model, fit
from study_parts.runs import Run, Settings

from pythae_gated import PairedDataset
from pythae_gated.datasets import mean_and_beta
from pythae_gated.datasets.images import BETA_RULE
from tests.benchmarks.setting_tables import read, select, table_of_beta, table_of_settings

SETTINGS = ("beta", "size", "steps", "learning_rate", "batch", "labels", "shift", "balanced")
BATCH = 64


def run(
    name: str, setting: str, value: float, seed: int, steps: int, labels: int | None, at: Sources
) -> dict[str, Any]:
    """Train and evaluate one model."""
    data = load(name, at)
    if setting == "size":
        data = replace(data, sizes={each: int(value) for each in data.labelled} | {
            "rest": data.sizes["rest"]
        })  # fmt: skip
    settings, make_pairs = Settings(steps=steps), PairedDataset
    if setting == "steps":
        settings = replace(settings, steps=int(value))
    elif setting == "learning_rate":
        settings = replace(settings, learning_rate=value)
    elif setting == "batch":
        batch = int(value)
        settings = replace(settings, steps=steps * BATCH // batch, images=2 * batch)
    elif setting == "shift" and value:
        make_pairs = partial(PairedDataset, transform=partial(move, pixels=int(value)))
    elif setting == "balanced":
        make_pairs = partial(PairedDataset, balanced=bool(value))
    elif setting == "labels":
        labels = int(value)
    training, test, _ = data.split(seed)
    rule = mean_and_beta(training.images)[1]
    multiple = (value or 1 / rule) if setting == "beta" else 1.0
    given = None if labels is None else {
        partition: keep_labels(
            training.factors[factor], labels, np.random.default_rng(seed),
            every=2 if setting == "balanced" else 1,
        )
        for partition, (factor,) in data.labelled.items()
    }  # fmt: skip
    chosen = Run("", name, "gated", multiple=multiple, seed=seed)
    model = fit(chosen, settings, data, training, labels=given, make_pairs=make_pairs)
    found = {"mean_error": rule / BETA_RULE, "dimensions": sum(data.sizes.values())}
    return found | evaluate_model(model, seed, settings, data, training, test)


def keep_labels(
    values: np.ndarray, number: int, rng: np.random.Generator, every: int = 1
) -> np.ma.MaskedArray:
    """The labels (N, 1) of a number of items for every n-th value; the others are masked."""
    order = rng.permutation(len(values))
    numbers = [None if k % every else number for k in range(len(np.unique(values)))]
    kept = [
        order[values[order] == value][:number]
        for value, number in zip(np.unique(values), numbers, strict=True)
    ]
    mask = ~np.isin(np.arange(len(values)), np.concatenate(kept))
    return np.ma.array(values, mask=mask)[:, None]


def move(images: Tensor, pixels: int) -> Tensor:
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
    """Run what is missing, and print the table of all finished runs of the setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("setting", choices=SETTINGS)
    parser.add_argument("values", nargs="+", type=float)
    parser.add_argument("--data-sets", nargs="+", choices=NAMES, default=list(NAMES[1:]))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=1_200)
    parser.add_argument("--labels", type=int, help="labelled items for each value")
    parser.add_argument("--output", type=Path, default=Path("output/settings"))
    for name in ("photographs", "speech", "mice"):
        parser.add_argument(f"--{name}", type=Path)
    args = parser.parse_args()
    at = Sources(args.photographs, args.speech, args.mice)
    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / "settings.jsonl"
    for seed, name, value in itertools.product(args.seeds, args.data_sets, args.values):
        key = {
            "data": name, "vary": args.setting, "value": value, "seed": seed, "steps": args.steps,
            "labels": args.labels,
        }  # fmt: skip
        if at.has(name) and not select(read(path), **key):
            line = key | run(name, args.setting, value, seed, args.steps, args.labels, at)
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")
    lines = select(read(path), vary=args.setting, steps=args.steps, labels=args.labels)
    print((table_of_beta if args.setting == "beta" else table_of_settings)(lines))


if __name__ == "__main__":
    main()
