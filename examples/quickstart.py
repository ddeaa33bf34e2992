"""Head pose here, expression there: a beta-VAE and a gated beta-VAE on rendered faces.

Makes faces, trains Pythae's BetaVAE and our GatedBetaVAE on the same budget (images decoded),
judges both, and leaves pictures and the trained models in a folder. Needs no download:

    python examples/quickstart.py
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from networks import ConvDecoder, ConvEncoder
from pythae.models import AutoModel, BetaVAE, BetaVAEConfig
from pythae.pipelines import TrainingPipeline
from pythae.samplers import GaussianMixtureSampler, GaussianMixtureSamplerConfig
from pythae.trainers import BaseTrainerConfig

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset
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
BETA = 0.02  # on the half squared error, summed over pixels
N_TRAIN, N_TEST = 10_000, 2_000
EPOCHS, BATCH = 19, 64  # 2,983 steps; of a pair, "target" decodes two images


def main() -> None:
    """Train, judge and show both models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("output/quickstart"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    started = time.perf_counter()

    images, factors = make_faces(N_TRAIN + N_TEST, image_size=32, seed=args.seed)
    train, test = images[:N_TRAIN], images[N_TRAIN:]
    train_factors = {name: values[:N_TRAIN] for name, values in factors.items()}
    test_factors = {name: values[N_TRAIN:] for name, values in factors.items()}
    scaled = train.astype(np.float32) / 255  # Pythae itself does not divide by 255

    networks = make_networks(scaled, args.seed)
    ungated = BetaVAE(BetaVAEConfig((1, 32, 32), latent_dim=16, beta=BETA), *networks)
    settings = {"epochs": 2 * EPOCHS, "batch_size": 2 * BATCH, "seed": args.seed}
    ungated_in = run(ungated, scaled, args.output, **settings)

    networks = make_networks(scaled, args.seed)
    config = GatedBetaVAEConfig(
        (1, 32, 32), latent_dim=16, beta=BETA, partitions=PARTITIONS, rest=["identity"]
    )
    gated = GatedBetaVAE(config, *networks)
    pairs = PairedDataset(train, gated.partitions, label_pose_and_expression(train_factors))
    gated_in = run(gated, pairs, args.output, epochs=EPOCHS, batch_size=BATCH, seed=args.seed)

    # Everything below works on a reloaded model as on the one just trained.
    gated = AutoModel.load_from_folder(str(gated_in))
    found = {}
    for name, model in {"ungated": ungated, "gated": gated}.items():
        found[name] = evaluate(
            model,
            train[:5000],
            {factor: values[:5000] for factor, values in train_factors.items()},
            partitions=PARTITIONS,
            intended=INTENDED,
            test=(test, test_factors),
        )
        print(f"\n{name.upper()}\n{found[name]}")
    print(f"\nSIDE BY SIDE\n{compare(found)}")
    pictures = draw(gated, test, scaled, args.output)
    report = save_report(
        gated,
        train,
        train_factors,
        args.output / "report",
        test=(test, test_factors),
        evaluation=found["gated"],
        overwrite=True,
    )
    minutes = (time.perf_counter() - started) / 60
    print(f"\nDone in {minutes:.1f} minutes. The models lie in")
    print(f"  {ungated_in}\n  {gated_in}\nand pictures of the gated one in")
    print("\n".join(f"  {path}" for path in pictures))
    print(f"A page for your browser says which partition holds what:\n  {report}")


def make_networks(images: np.ndarray, seed: int) -> tuple[ConvEncoder, ConvDecoder]:
    """The same networks, with the same weights, for both models."""
    torch.manual_seed(seed)
    return ConvEncoder(16), ConvDecoder(16, torch.from_numpy(images.mean(0)))


def label_pose_and_expression(factors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Labels of two partitions; nothing is said of identity, so it is the rest."""
    return {
        "pose": np.stack([factors["yaw"], factors["pitch"]], axis=1),
        "expression": np.stack([factors["smile"], factors["mouth"], factors["brow"]], axis=1),
    }


def run(
    model: BetaVAE, data: object, output: Path, *, epochs: int, batch_size: int, seed: int
) -> Path:
    """Train with Pythae's pipeline, and say where it put the model."""
    config = BaseTrainerConfig(
        output_dir=str(output),
        num_epochs=epochs,
        learning_rate=2e-3,
        per_device_train_batch_size=batch_size,
        seed=seed,
    )
    pipeline = TrainingPipeline(model, config)
    pipeline(data)
    return Path(pipeline.trainer.training_dir) / "final_model"


def draw(model: GatedBetaVAE, test: np.ndarray, train: np.ndarray, output: Path) -> list[Path]:
    """Save traversals, swaps, and new faces from one of Pythae's samplers."""
    paths = [
        save_png(output / "traversals.png", traversals(model, test[0]), groups=model.partitions)
    ]
    rows, columns = test[:6], test[6:14]
    for partition in model.partitions.names:
        grid = swap_grid(model, rows, columns, partition)
        path = output / f"swap_{partition}.png"
        paths.append(save_png(path, grid, rows=rows, columns=columns))
    sampler = GaussianMixtureSampler(model, GaussianMixtureSamplerConfig(n_components=20))
    sampler.fit(train)
    new = sampler.sample(num_samples=48, return_gen=True)
    paths.append(save_png(output / "new_faces.png", new.reshape(6, 8, 1, 32, 32)))
    return paths


if __name__ == "__main__":
    main()
