"""A beta-VAE and a gated beta-VAE on rendered faces, with head pose and expression labelled.

Renders faces, trains Pythae's BetaVAE and GatedBetaVAE on the same number of decoded images,
evaluates both, and saves the models, pictures and a report. Requires no download:

    python examples/quickstart.py
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pythae.models import AutoModel, BetaVAE, BetaVAEConfig
from pythae.samplers import GaussianMixtureSampler, GaussianMixtureSamplerConfig
from training import Progress, make_networks, train

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset
from pythae_gated.callbacks import GatedSchedule
from pythae_gated.datasets import make_faces
from pythae_gated.metrics import compare, evaluate
from pythae_gated.plots import save_png, swap_grid, traversals
from pythae_gated.report import save_report

PARTITIONS = {"pose": 4, "expression": 6, "identity": 6}
INTENDED = {
    "yaw": "pose",
    "pitch": "pose",
    "smile": "expression",
    "mouth": "expression",
    "brow": "expression",
    "identity": "identity",
}
BETA = 0.05  # 0.0025 times half the squared error of the mean image
N_TRAIN, N_TEST = 10_000, 2_000
EPOCHS, BATCH = 19, 64  # 2,983 steps; "target" decodes two images per pair
LEARNING_RATE = 2e-3


def main() -> None:
    """Train and evaluate both models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("output/quickstart"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    started = time.perf_counter()

    images, factors = make_faces(N_TRAIN + N_TEST, image_size=32, seed=args.seed)
    train_images, test_images = images[:N_TRAIN], images[N_TRAIN:]
    train_factors = {name: values[:N_TRAIN] for name, values in factors.items()}
    test_factors = {name: values[N_TRAIN:] for name, values in factors.items()}
    scaled = train_images.astype(np.float32) / 255  # Pythae itself does not divide by 255
    mean_image = torch.from_numpy(scaled.mean(0))
    progress = Progress(3 * EPOCHS)
    settings: dict[str, Any] = {"learning_rate": LEARNING_RATE, "seed": args.seed}
    settings["progress"] = progress

    progress.start("BetaVAE, 1 of 2 models")
    networks = make_networks(16, mean_image, seed=args.seed)
    ungated = BetaVAE(BetaVAEConfig((1, 32, 32), latent_dim=16, beta=BETA), *networks)
    ungated_folder = train(
        ungated, scaled, args.output, epochs=2 * EPOCHS, batch_size=2 * BATCH, **settings
    )

    progress.start("GatedBetaVAE, 2 of 2")
    networks = make_networks(16, mean_image, seed=args.seed)
    config = GatedBetaVAEConfig(
        (1, 32, 32), latent_dim=16, beta=BETA, partitions=PARTITIONS, rest=["identity"]
    )
    gated = GatedBetaVAE(config, *networks)
    pairs = PairedDataset(train_images, gated.partitions, label_pose_and_expression(train_factors))
    settings["callbacks"] = [GatedSchedule()]
    gated_folder = train(gated, pairs, args.output, epochs=EPOCHS, batch_size=BATCH, **settings)

    gated = AutoModel.load_from_folder(str(gated_folder))  # as a later script would
    evaluations = {}
    for name, model in {"ungated": ungated, "gated": gated}.items():
        evaluations[name] = evaluate(
            model,
            train_images[:5000],
            {factor: values[:5000] for factor, values in train_factors.items()},
            partitions=PARTITIONS,
            intended=INTENDED,
            test=(test_images, test_factors),
        )
        print(f"\n{name.upper()}\n{evaluations[name]}")
    print(f"\nSIDE BY SIDE\n{compare(evaluations)}")
    pictures = draw(gated, test_images, scaled, args.output)
    report = save_report(
        gated,
        train_images,
        train_factors,
        args.output / "report",
        test=(test_images, test_factors),
        evaluation=evaluations["gated"],
        baseline=ungated,
        baseline_evaluation=evaluations["ungated"],
        overwrite=True,
    )
    minutes = (time.perf_counter() - started) / 60
    print(f"\nDone in {minutes:.1f} minutes.\nModels:\n  {ungated_folder}\n  {gated_folder}")
    print("Pictures of the gated model:")
    print("\n".join(f"  {path}" for path in pictures))
    print(f"Report for a browser:\n  {report}")


def label_pose_and_expression(factors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Labels of the pose and the expression partitions; identity remains unlabelled."""
    return {
        "pose": np.stack([factors["yaw"], factors["pitch"]], axis=1),
        "expression": np.stack([factors["smile"], factors["mouth"], factors["brow"]], axis=1),
    }


def draw(
    model: GatedBetaVAE, test_images: np.ndarray, train_images: np.ndarray, output: Path
) -> list[Path]:
    """Save traversals, swaps, and new faces drawn by one of Pythae's samplers."""
    paths = [
        save_png(
            output / "traversals.png", traversals(model, test_images[0]), groups=model.partitions
        )
    ]
    rows, columns = test_images[:6], test_images[6:14]
    for partition in model.partitions.names:
        grid = swap_grid(model, rows, columns, partition)
        path = output / f"swap_{partition}.png"
        paths.append(save_png(path, grid, rows=rows, columns=columns))
    sampler = GaussianMixtureSampler(model, GaussianMixtureSamplerConfig(n_components=20))
    sampler.fit(train_images)
    new = sampler.sample(num_samples=48, return_gen=True)
    paths.append(save_png(output / "new_faces.png", new.reshape(6, 8, 1, 32, 32)))
    return paths


if __name__ == "__main__":
    main()
