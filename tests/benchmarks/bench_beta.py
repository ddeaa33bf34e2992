"""Check the rule for beta of the README on up to five data sets. Prints Markdown.

    beta = 0.005 * half the squared error of the mean image

For each data set, multiple of the rule and seed, a GatedBetaVAE is trained for as many steps and
evaluated on held-out data: the score of each labelled factor from its own partition and from the
rest (accuracy or R2; a row "constant" has the scores of a constant predictor), active units and
the reconstruction error. The multiple "1/rule" is beta = 1, Pythae's default. Finished runs are
appended to a file and not repeated:

    python tests/benchmarks/bench_beta.py --photographs DIR --speech FILE --mice FILE

FILE of speech: npz with images (N, 1, 32, 32) uint8, f_digit, f_speaker. FILE of mice: npz with
images (N, D) float32, f_genotype, f_behavior and f_mouse, by which the data is split.
"""

import argparse
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
from networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from training import train

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset
from pythae_gated.datasets import make_faces
from pythae_gated.metrics import evaluate

RULE, BATCH, LEARNING_RATE = 0.005, 64, 2e-3


def faces(_: argparse.Namespace) -> tuple[Any, ...]:
    """Images, factors, partition -> labelled factors, sizes of the partitions, groups."""
    images, factors = make_faces(10_000, image_size=32)
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


DATA = {each.__name__: each for each in (faces, photographs, digits, speech, mice)}


def run(name: str, multiple: float, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Train and evaluate one model."""
    images, factors, labelled, sizes, groups = DATA[name](args)
    rng = np.random.default_rng(seed)
    groups = np.arange(len(images)) if groups is None else groups
    names = np.unique(groups)
    held_out = np.isin(groups, rng.choice(names, len(names) // 5, replace=False))
    train_images, test_images = images[~held_out], images[held_out]
    mean = train_images.mean(0)
    mean_error = 0.5 * float(np.square(train_images - mean).sum() / len(train_images))
    beta = RULE * mean_error * multiple if multiple else 1.0

    torch.manual_seed(seed)
    latent_dim, start = sum(sizes.values()), torch.from_numpy(mean)
    if images.shape[1:] == (1, 32, 32):
        networks = ConvEncoder(latent_dim), ConvDecoder(latent_dim, start)
    else:
        networks = MLPEncoder(latent_dim, start.numel()), MLPDecoder(latent_dim, start)
    config = GatedBetaVAEConfig(
        images.shape[1:], latent_dim, beta=beta, partitions=sizes, rest=["rest"]
    )
    model = GatedBetaVAE(config, *networks)
    labels = {
        partition: np.stack([factors[factor][~held_out] for factor in chosen], axis=1)
        for partition, chosen in labelled.items()
    }
    pairs = PairedDataset(train_images, model.partitions, labels)
    epochs = math.ceil(args.steps / math.ceil(len(pairs) / BATCH))
    settings = {"epochs": epochs, "batch_size": BATCH, "learning_rate": LEARNING_RATE}
    train(model, pairs, args.output / "models", seed=seed, **settings)

    intended = {factor: partition for partition, them in labelled.items() for factor in them}
    found = evaluate(
        model,
        train_images[:5_000],
        {factor: factors[factor][~held_out][:5_000] for factor in intended},
        intended=intended,
        test=(test_images, {factor: factors[factor][held_out] for factor in intended}),
        seed=seed,
    )
    return {
        "data": name, "multiple": multiple, "seed": seed, "steps": args.steps, "beta": beta,
        "mean_error": mean_error, "error": found.reconstruction_error,
        "active": found.active_units, "dimensions": latent_dim,
        "own": {f: found.scores[p][f] for f, p in intended.items()},
        "rest": {f: found.scores["rest"][f] for f in intended},
        "chance": {f: found.chance[f] for f in intended},
    }  # fmt: skip


def table(lines: list[dict[str, Any]]) -> str:
    """Mean, and range of own scores, over the seeds of each setting."""
    rows = [
        "| data (half squared error of the mean) | beta | multiple of the rule "
        "| own partition | rest | constant | active units | error |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    settings = dict.fromkeys((line["data"], line["multiple"]) for line in lines)
    for name, multiple in sorted(settings, key=lambda s: (list(DATA).index(s[0]), s[1] or 9e9)):
        runs = [line for line in lines if (line["data"], line["multiple"]) == (name, multiple)]
        factors = list(runs[0]["own"])

        def show(key: str, runs: Any = runs, factors: Any = factors) -> str:
            values = {f: [run[key][f] for run in runs] for f in factors}
            worst = {f: f" ({min(v):.2f})" if key == "own" else "" for f, v in values.items()}
            return ", ".join(f"{f} {np.mean(v):.2f}{worst[f]}" for f, v in values.items())

        mean_error, beta, error, active = (
            np.mean([run[key] for run in runs])
            for key in ("mean_error", "beta", "error", "active")
        )
        rows.append(
            f"| {name} ({mean_error:.1f}) | {beta:.3g} | {multiple or '1/rule'} | {show('own')} "
            f"| {show('rest')} | {show('chance')} | {active:.0f} of {runs[0]['dimensions']} "
            f"| {error:.2f} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Run what is missing, and print the table of all finished runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--multiples", nargs="+", type=float, default=[0.2, 1, 5, 0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1_200)
    parser.add_argument("--output", type=Path, default=Path("output/beta"))
    for name in ("photographs", "speech", "mice"):
        parser.add_argument(f"--{name}", type=Path)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / "beta.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(line["data"], line["multiple"], line["seed"], line["steps"]) for line in lines}
    for seed in range(args.seeds):
        for name in args.data_sets:
            if name in ("photographs", "speech", "mice") and getattr(args, name) is None:
                continue
            for multiple in args.multiples:
                if (name, multiple, seed, args.steps) not in done:
                    lines.append(run(name, multiple, seed, args))
                    with path.open("a") as file:
                        file.write(json.dumps(lines[-1]) + "\n")
    print(table([line for line in lines if line["steps"] == args.steps]))


if __name__ == "__main__":
    main()
