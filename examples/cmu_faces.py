"""Person here, head pose there, on real photographs: the CMU Face Images.

    python examples/cmu_faces.py --data DIR

DIR holds a folder for each person with PGM files named <person>_<pose>_<expression>_<eyes>_2.pgm
(64 x 60 pixels): the archive "CMU Face Images" (Tom Mitchell, Carnegie Mellon University, 1999)
of the UCI Machine Learning Repository. Nothing of it is copied but into memory.

Person and pose are labelled, and the rest (eyes, expression, light) is left to a third partition.
A fifth of the photographs is held out: training never sees them, not as targets either.
"""

import argparse
import json
import time
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import torch
from networks import ConvDecoder, ConvEncoder
from pythae.data.datasets import BaseDataset
from pythae.models import BetaVAE, BetaVAEConfig
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from torch.utils.data import Dataset, Subset

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset
from pythae_gated.metrics import Evaluation, evaluate
from pythae_gated.plots import reconstructions, save_png, swap_grid, traversals

PARTITIONS = {"pose": 4, "person": 4, "rest": 4}
FACTORS = ("person", "pose", "expression", "eyes")
BETA = 0.05  # on the half squared error, summed over pixels
STEPS, BATCH = 4_000, 64
CHANNELS = (24, 48, 48)


def main() -> None:
    """Train and judge both models on each split, and print the mean."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the photographs")
    parser.add_argument("--output", type=Path, default=Path("output/cmu_faces"))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of 64 pairs")
    args = parser.parse_args()
    started = time.perf_counter()

    images, factors = read_photographs(args.data)
    print(f"{len(images)} photographs of {len(set(factors['person']))} people")
    found: dict[str, list[Evaluation]] = {"ungated": [], "gated": []}
    for split in range(args.splits):
        held_out = hold_out(len(images), seed=split)
        for name, runs in found.items():
            print(f"\nSplit {split + 1} of {args.splits}, {name}")
            model = train(
                name, images, factors, ~held_out, args.output, steps=args.steps, seed=split
            )
            runs.append(judge(model, images, factors, held_out))
            print(runs[-1])
        if split == 0:
            shown = {name: labels[held_out] for name, labels in factors.items()}
            pictures = draw(model, images[held_out], shown, args.output)

    table = as_markdown(found)
    (args.output / "cmu_faces.md").write_text(table)
    lines = [
        json.dumps({"model": name, **run.to_dict()})
        for name, runs in found.items()
        for run in runs
    ]
    (args.output / "cmu_faces.jsonl").write_text("\n".join(lines) + "\n")
    print(f"\nMean of {args.splits} splits\n\n{table}")
    print(f"Done in {(time.perf_counter() - started) / 60:.1f} minutes. Pictures lie in")
    print("\n".join(f"  {path}" for path in pictures))


def read_photographs(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """All photographs of a folder, (N, 1, 32, 32) of uint8, and the labels in their names."""
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
        raise SystemExit(f"{path} is no photograph of 64 x 60 pixels: {error}") from error
    return np.pad(halved.round().astype(np.uint8), ((1, 1), (0, 0)), mode="edge")[None]


def hold_out(n: int, seed: int) -> np.ndarray:
    """A mask (N,) that is true for a random fifth."""
    mask = np.zeros(n, dtype=bool)
    mask[np.random.default_rng(seed).permutation(n)[: n // 5]] = True
    return mask


def train(
    name: str,
    images: np.ndarray,
    factors: dict[str, np.ndarray],
    chosen: np.ndarray,
    output: Path,
    *,
    steps: int,
    seed: int,
) -> BetaVAE:
    """Train on the chosen photographs: as many steps and images decoded for both models."""
    model, data, batch_size = prepare(name, images, factors, chosen, seed=seed)
    fit(model, data, output, batch_size=batch_size, steps=steps, seed=seed)
    return model


def prepare(
    name: str, images: np.ndarray, factors: dict[str, np.ndarray], chosen: np.ndarray, *, seed: int
) -> tuple[BetaVAE, Dataset, int]:
    """The model of that name, untrained, with what it is trained on and the batch size."""
    scaled = torch.from_numpy(images[chosen]).float() / 255
    torch.manual_seed(seed)
    networks = ConvEncoder(12, CHANNELS), ConvDecoder(12, scaled.mean(0), CHANNELS)
    if name == "ungated":
        model = BetaVAE(BetaVAEConfig((1, 32, 32), latent_dim=12, beta=BETA), *networks)
        # Of a pair, "target" decodes two images.
        return model, BaseDataset(scaled, torch.ones(len(scaled))), 2 * BATCH
    config = GatedBetaVAEConfig(
        (1, 32, 32), latent_dim=12, beta=BETA, partitions=PARTITIONS, rest=["rest"]
    )
    gated = GatedBetaVAE(config, *networks)
    labels = {partition: factors[partition] for partition in ("pose", "person")}
    return gated, PairedDataset(images, gated.partitions, labels).split(chosen), BATCH


def fit(
    model: BetaVAE, data: Dataset, output: Path, *, batch_size: int, steps: int, seed: int
) -> None:
    """Train with Pythae's pipeline for so many steps."""
    # Epochs of about 200 steps, for Pythae copies the best model after each.
    epochs = max(1, round(steps / 200))
    rows = np.resize(np.arange(len(data)), batch_size * steps // epochs)
    config = BaseTrainerConfig(
        output_dir=str(output),
        num_epochs=epochs,
        learning_rate=1e-3,
        per_device_train_batch_size=batch_size,
        seed=seed,
    )
    TrainingPipeline(model, config)(Subset(data, rows))


def judge(
    model: BetaVAE, images: np.ndarray, factors: dict[str, np.ndarray], held_out: np.ndarray
) -> Evaluation:
    """Forests fitted on codes of the training photographs, tested on those held out."""
    fit, test = (
        (images[mask], {name: labels[mask] for name, labels in factors.items()})
        for mask in (~held_out, held_out)
    )
    intended = {"pose": "pose", "person": "person"}
    return evaluate(model, *fit, partitions=PARTITIONS, intended=intended, draws=8, test=test)


def as_markdown(found: dict[str, list[Evaluation]]) -> str:
    """Accuracy of each factor from each partition alone (and of the commonest label)."""
    shown = [factor for factor in FACTORS if factor != "expression"]
    chance = {name: np.mean([run.chance[name] for run in found["gated"]]) for name in shown}
    heads = [f"{factor} ({chance[factor]:.2f})" for factor in shown]
    lines = [
        f"| model: {' / '.join(PARTITIONS)} | {' | '.join(heads)} | held-out error |",
        "| --- | " + " | ".join("---" for _ in (*heads, "error")) + " |",
    ]
    for name, runs in found.items():
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
    """Swaps and traversals of held-out photographs: what the model makes, not the photographs."""
    swaps = [
        draw_swaps(model, images, factors, partition, output / f"cmu_swap_{partition}.png")
        for partition in ("pose", "person")
    ]
    first = images[one_of_each(factors["person"])[0]]
    walk = traversals(model, first, partitions=PARTITIONS)
    groups = list(PARTITIONS.values())
    return [*swaps, save_png(output / "cmu_traversals.png", walk, groups=groups)]


def draw_swaps(
    model: BetaVAE, images: np.ndarray, factors: dict[str, np.ndarray], partition: str, path: Path
) -> Path:
    """Ten people, with the pose partition of each pose or the person partition of six others."""
    people, poses = (one_of_each(factors[name]) for name in ("person", "pose"))
    columns, given = images[people[:10]], images[poses if partition == "pose" else people[-6:]]
    grid = swap_grid(model, given, columns, partition, partitions=PARTITIONS)
    rows, above = (reconstructions(model, each)[1] for each in (given, columns))
    return save_png(path, grid, rows=rows, columns=above)


def one_of_each(labels: np.ndarray) -> np.ndarray:
    """The index of a random item of each label, in random order."""
    order = np.random.default_rng(0).permutation(len(labels))
    return order[np.sort(np.unique(labels[order], return_index=True)[1])]


if __name__ == "__main__":
    main()
