"""A beta-VAE and a gated beta-VAE on real photographs, the CMU Face Images.

    python examples/cmu_faces.py --data DIR

DIR contains one folder per person, with PGM files <person>_<pose>_<expression>_<eyes>_2.pgm
(64 x 60 pixels): the archive "CMU Face Images" (Tom Mitchell, Carnegie Mellon University, 1999)
of the UCI Machine Learning Repository.

Person and pose are labelled; all else (eyes, expression, lighting) is left to a third, unlabelled
partition. A fifth of the photographs is held out; none of them is a training input or target.
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import BetaVAE, BetaVAEConfig
from torch.utils.data import Dataset, Subset
from training import make_networks, train

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset
from pythae_gated.callbacks import GatedSchedule
from pythae_gated.metrics import Evaluation, evaluate
from pythae_gated.plots import reconstructions, save_png, swap_grid, traversals

PARTITIONS = {"pose": 4, "person": 4, "rest": 4}
FACTORS = ("person", "pose", "expression", "eyes")
BETA = 0.05  # on the half squared error, summed over pixels
STEPS, BATCH = 4_000, 64
LEARNING_RATE = 2e-3
CHANNELS = (24, 48, 48)


def main() -> None:
    """Train and evaluate both models on each split, and print the mean."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the photographs")
    parser.add_argument("--output", type=Path, default=Path("output/cmu_faces"))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS, help="training steps of 64 pairs")
    args = parser.parse_args()
    started = time.perf_counter()

    images, factors = read_photographs(args.data)
    print(f"{len(images)} photographs of {len(set(factors['person']))} people")
    evaluations: dict[str, list[Evaluation]] = {"ungated": [], "gated": []}
    for split in range(args.splits):
        held_out = hold_out(len(images), seed=split)
        for name, runs in evaluations.items():
            print(f"\nSplit {split + 1} of {args.splits}, {name}")
            model = fit(
                name, images, factors, ~held_out, args.output, steps=args.steps, seed=split
            )
            runs.append(evaluate_held_out(model, images, factors, held_out))
            print(runs[-1])
        if split == 0:
            shown = {name: labels[held_out] for name, labels in factors.items()}
            pictures = draw(model, images[held_out], shown, args.output)

    table = as_markdown(evaluations)
    (args.output / "cmu_faces.md").write_text(table)
    lines = [
        json.dumps({"model": name, **run.to_dict()})
        for name, runs in evaluations.items()
        for run in runs
    ]
    (args.output / "cmu_faces.jsonl").write_text("\n".join(lines) + "\n")
    print(f"\nMean of {args.splits} splits\n\n{table}")
    print(f"Done in {(time.perf_counter() - started) / 60:.1f} minutes. Pictures:")
    print("\n".join(f"  {path}" for path in pictures))


def read_photographs(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """All photographs of a folder, uint8 (N, 1, 32, 32), and the labels in their file names."""
    paths = sorted(folder.glob("*/*_2.pgm"))
    if not paths:
        raise SystemExit(f"no photographs in {folder}: expected <person>/<person>_..._2.pgm")
    images = np.stack([read_photograph(path) for path in paths])
    names = [path.stem.split("_")[:-1] for path in paths]
    for path, name in zip(paths, names, strict=True):
        if len(name) != len(FACTORS):
            raise SystemExit(f"{path}: expected <person>_<pose>_<expression>_<eyes>_2.pgm")
    return images, {
        factor: np.array(labels)
        for factor, labels in zip(FACTORS, zip(*names, strict=True), strict=True)
    }


def read_photograph(path: Path) -> np.ndarray:
    """One photograph of 60 x 64 pixels, halved to 30 x 32 and padded to (1, 32, 32)."""
    try:
        pixels = imageio.imread(path)
        halved = pixels.reshape(30, 2, 32, 2).mean(axis=(1, 3))
    except (OSError, ValueError, SyntaxError) as error:
        raise SystemExit(f"{path} is not an image of 64 x 60 pixels: {error}") from error
    return np.pad(halved.round().astype(np.uint8), ((1, 1), (0, 0)), mode="edge")[None]


def hold_out(n: int, seed: int) -> np.ndarray:
    """A mask (N,), true for a random fifth."""
    mask = np.zeros(n, dtype=bool)
    mask[np.random.default_rng(seed).permutation(n)[: n // 5]] = True
    return mask


def fit(
    name: str,
    images: np.ndarray,
    factors: dict[str, np.ndarray],
    chosen: np.ndarray,
    output: Path,
    *,
    steps: int,
    seed: int,
) -> BetaVAE:
    """Train the named model on the chosen photographs."""
    model, data, batch_size = prepare(name, images, factors, chosen, seed=seed)
    settings = schedule(data, batch_size, steps)
    if name == "gated":
        settings["callbacks"] = [GatedSchedule()]
    train(model, output=output, seed=seed, **settings)
    return model


def prepare(
    name: str,
    images: np.ndarray,
    factors: dict[str, np.ndarray],
    chosen: np.ndarray,
    *,
    seed: int,
    **options: Any,
) -> tuple[BetaVAE, Dataset, int]:
    """The untrained model, "ungated" or "gated", its training data and its batch size.

    Both models decode the same number of images per step. Options are of the gated one's config.
    """
    scaled = torch.from_numpy(images[chosen]).float() / 255
    networks = make_networks(12, scaled.mean(0), CHANNELS, seed=seed)
    if name == "ungated":
        model = BetaVAE(BetaVAEConfig((1, 32, 32), latent_dim=12, beta=BETA), *networks)
        return model, BaseDataset(scaled, torch.ones(len(scaled))), 2 * BATCH
    config = GatedBetaVAEConfig(
        (1, 32, 32), latent_dim=12, beta=BETA, partitions=PARTITIONS, rest=["rest"], **options
    )
    gated = GatedBetaVAE(config, *networks)
    labels = {partition: factors[partition] for partition in ("pose", "person")}
    return gated, PairedDataset(images, gated.partitions, labels).split(chosen), BATCH


def schedule(data: Dataset, batch_size: int, steps: int) -> dict[str, Any]:
    """Arguments of `train` for a number of steps, in epochs of about 200 steps.

    The data are repeated within an epoch: Pythae copies the best model after each one, which is
    slow for epochs of a few steps.
    """
    epochs = max(1, round(steps / 200))
    rows = np.resize(np.arange(len(data)), batch_size * steps // epochs)
    return {
        "data": Subset(data, rows),
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": LEARNING_RATE,
    }


def evaluate_held_out(
    model: BetaVAE, images: np.ndarray, factors: dict[str, np.ndarray], held_out: np.ndarray
) -> Evaluation:
    """Fit forests on codes of the training photographs, and test them on those held out."""
    training, test = (
        (images[mask], {name: labels[mask] for name, labels in factors.items()})
        for mask in (~held_out, held_out)
    )
    intended = {"pose": "pose", "person": "person"}
    return evaluate(model, *training, partitions=PARTITIONS, intended=intended, draws=8, test=test)


def as_markdown(evaluations: dict[str, list[Evaluation]]) -> str:
    """Accuracy of each factor from each partition (in brackets: of the most frequent label)."""
    shown = [factor for factor in FACTORS if factor != "expression"]
    chance = {name: np.mean([run.chance[name] for run in evaluations["gated"]]) for name in shown}
    headings = [f"{factor} ({chance[factor]:.2f})" for factor in shown]
    lines = [
        f"| model: {' / '.join(PARTITIONS)} | {' | '.join(headings)} | held-out error |",
        "| --- | " + " | ".join("---" for _ in (*headings, "error")) + " |",
    ]
    for name, runs in evaluations.items():
        cells = [
            " / ".join(
                f"{np.mean([run.scores[partition][factor] for run in runs]):.2f}"
                for partition in PARTITIONS
            )
            for factor in shown
        ]
        error = np.mean([run.reconstruction_error for run in runs])
        lines.append(f"| {name} | {' | '.join(cells)} | {error:.1f} |")
    return "\n".join(lines) + "\n"


def draw(
    model: BetaVAE, images: np.ndarray, factors: dict[str, np.ndarray], output: Path
) -> list[Path]:
    """Swaps and traversals of held-out photographs; all images shown are decoded ones."""
    swaps = [
        draw_swaps(model, images, factors, partition, output / f"cmu_swap_{partition}.png")
        for partition in ("pose", "person")
    ]
    first = images[one_of_each(factors["person"])[0]]
    walk = traversals(model, first)
    groups = list(PARTITIONS.values())
    return [*swaps, save_png(output / "cmu_traversals.png", walk, groups=groups)]


def draw_swaps(
    model: BetaVAE, images: np.ndarray, factors: dict[str, np.ndarray], partition: str, path: Path
) -> Path:
    """Ten people, with the pose partition of each pose or the person partition of six others."""
    people, poses = (one_of_each(factors[name]) for name in ("person", "pose"))
    columns = images[people[:10]]
    rows = images[poses if partition == "pose" else people[-6:]]
    return save_swaps(model, rows, columns, partition, path, PARTITIONS)


def save_swaps(
    model: BetaVAE,
    rows: np.ndarray,
    columns: np.ndarray,
    partition: str,
    path: Path,
    partitions: Mapping[str, int] | None = None,
) -> Path:
    """Columns with the code of the rows in a partition; all images shown are decoded ones."""
    grid = swap_grid(model, rows, columns, partition, partitions=partitions)
    row_headers, column_headers = (reconstructions(model, each)[1] for each in (rows, columns))
    return save_png(path, grid, rows=row_headers, columns=column_headers)


def one_of_each(labels: np.ndarray) -> np.ndarray:
    """The index of a random image of each label, in random order."""
    order = np.random.default_rng(0).permutation(len(labels))
    return order[np.sort(np.unique(labels[order], return_index=True)[1])]


if __name__ == "__main__":
    main()
