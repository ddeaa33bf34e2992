"""An ungated and a gated beta-VAE on one data set, evaluated side by side.

Both have the same networks, the beta of `mean_and_beta`, and as many images per step.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import BetaVAE, BetaVAEConfig
from torch.utils.data import Subset
from training import Progress, make_networks, train

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset
from pythae_gated.callbacks import GatedSchedule
from pythae_gated.datasets import mean_and_beta
from pythae_gated.metrics import Evaluation, compare, evaluate
from pythae_gated.report import save_report

BATCH, LEARNING_RATE, EPOCHS = 64, 2e-3, 20

Factors = Mapping[str, np.ndarray]


def parse(description: str, *, steps: int, name: str, needs_data: bool = True) -> Any:
    """The arguments of a script."""
    parser = argparse.ArgumentParser(description=description)
    if needs_data:
        parser.add_argument("--data", type=Path, required=True, help="npz file of the data")
    parser.add_argument("--output", type=Path, default=Path("output") / name)
    parser.add_argument("--steps", type=int, default=steps, help="training steps of 64 pairs")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def train_both(
    images: np.ndarray,  # (N, *input_dim) float32
    labels: Factors,
    partitions: Mapping[str, int],  # those without labels are the rest
    args: Any,
) -> tuple[BetaVAE, GatedBetaVAE]:
    """Train Pythae's BetaVAE, and GatedBetaVAE on pairs that share a label of a partition."""
    latent_dim = sum(partitions.values())
    mean, beta = mean_and_beta(images)
    settings: dict[str, Any] = {
        "input_dim": tuple(mean.shape), "latent_dim": latent_dim, "beta": beta
    }  # fmt: skip
    rest = [name for name in partitions if name not in labels]
    config = GatedBetaVAEConfig(**settings, partitions=dict(partitions), rest=rest)
    gated = GatedBetaVAE(config, *make_networks(latent_dim, mean, seed=args.seed))
    pairs = PairedDataset(images, gated.partitions, labels)
    print(pairs.summary())

    networks = make_networks(latent_dim, mean, seed=args.seed)
    ungated = BetaVAE(BetaVAEConfig(**settings), *networks)
    plain = BaseDataset(torch.from_numpy(images), torch.zeros(len(images)))
    models: tuple[tuple[str, BetaVAE, Any, int, list[Any]], ...] = (
        ("ungated", ungated, plain, 2 * BATCH, []),
        ("gated", gated, pairs, BATCH, [GatedSchedule()]),
    )
    progress = Progress(2 * EPOCHS)
    for name, model, data, batch, callbacks in models:
        progress.start(f"{name} model, {args.steps} steps of {batch} images or pairs")
        rows = np.resize(np.arange(len(images)), args.steps // EPOCHS * batch)
        train(
            model,
            Subset(data, rows.tolist()),
            args.output,
            epochs=EPOCHS,
            batch_size=batch,
            learning_rate=LEARNING_RATE,
            seed=args.seed,
            callbacks=callbacks,
            progress=progress,
        )
    return ungated, gated


def evaluate_both(
    models: tuple[BetaVAE, GatedBetaVAE],
    fitted: tuple[np.ndarray, Factors],
    test: tuple[np.ndarray, Factors],
    intended: Mapping[str, str],
    args: Any,
) -> dict[str, Evaluation]:
    """Print the evaluations on held-out data, and write a report of the gated model."""
    _, gated = models
    found = {
        name: evaluate(
            model,
            *fitted,
            partitions=gated.partitions,
            intended=intended,
            test=test,
            seed=args.seed,
        )
        for name, model in zip(("ungated", "gated"), models, strict=True)
    }
    for name, evaluation in found.items():
        print(f"\n{name.upper()}\n{evaluation}")
    print(f"\nSIDE BY SIDE\n{compare(found)}")
    report = save_report(
        gated,
        *fitted,
        args.output / "report",
        test=test,
        evaluation=found["gated"],
        overwrite=True,
    )
    print(f"\nReport for a browser: {report}")
    return found
