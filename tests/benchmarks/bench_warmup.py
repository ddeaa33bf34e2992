"""Measure the effect of `KLWarmup` on posterior collapse. Prints Markdown.

Run it as `python tests/benchmarks/bench_warmup.py`. Each seed is trained twice from the same
initial weights, without warm-up and with a warm-up over the first third of the epochs. The
networks are those of examples/, at a beta at which some seeds collapse to the mean image; or, with
`--networks relu` and `--beta 0.02`, networks that collapse at any beta: with ReLU instead of SiLU,
and posteriors initialised at a variance of 1. Errors are half the squared error, summed over
pixels, averaged over held-out images, each decoded from a sampled code.
"""

import argparse
import logging
import tempfile
from collections.abc import Sequence

import numpy as np
import torch
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import nn

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset
from pythae_gated.callbacks import KLWarmup
from pythae_gated.datasets import make_faces
from pythae_gated.datasets.images import as_images
from pythae_gated.inference import decode, posterior
from pythae_gated.networks import ConvDecoder, ConvEncoder

PARTITIONS = {"pose": 4, "expression": 6, "identity": 6}
N_TRAIN, N_TEST = 6_000, 1_000


def make_model(images: np.ndarray, networks: str, seed: int, beta: float) -> GatedBetaVAE:
    """The model of examples/quickstart.py, with its networks or with ReLU networks."""
    torch.manual_seed(seed)
    encoder = ConvEncoder((1, 32, 32), 16)
    decoder = ConvDecoder((1, 32, 32), 16, as_images(images).mean(0))
    if networks == "relu":
        encoder.log_var.reset_parameters()
        for layers in (encoder.features, decoder.layers):
            for at, layer in enumerate(layers):
                if isinstance(layer, nn.SiLU):
                    layers[at] = nn.ReLU()
    config = GatedBetaVAEConfig(
        (1, 32, 32), latent_dim=16, beta=beta, partitions=PARTITIONS, rest=["identity"]
    )
    return GatedBetaVAE(config, encoder, decoder)


def make_pairs(
    images: np.ndarray, factors: dict[str, np.ndarray], model: GatedBetaVAE, seed: int | None
) -> PairedDataset:
    """Pairs that share a pose, pairs that share an expression, and self pairs."""
    labels = {
        "pose": np.stack([factors[name] for name in ("yaw", "pitch")], axis=1),
        "expression": np.stack([factors[name] for name in ("smile", "mouth", "brow")], axis=1),
    }
    return PairedDataset(images, model.partitions, labels, seed=seed)


def error(model: GatedBetaVAE, images: np.ndarray) -> float:
    """The reconstruction error, computed as in `evaluate`."""
    mu, log_var = posterior(model, images)
    noise = torch.randn(mu.shape, generator=torch.Generator().manual_seed(0))
    decoded = decode(model, mu + torch.exp(log_var / 2) * noise)
    return half_squared_error(decoded, as_images(images))


def half_squared_error(reconstructions: torch.Tensor, images: torch.Tensor) -> float:
    """Summed over pixels, averaged over images."""
    return float((reconstructions - images).square().flatten(1).sum(1).mean() / 2)


def train(
    networks: str, seed: int, epochs: int, beta: float, callbacks: Sequence[TrainingCallback]
) -> tuple[float, float]:
    """Train one model; return its errors after half of the epochs and at the end."""
    images, factors = make_faces(N_TRAIN + N_TEST, image_size=32, seed=0)
    model = make_model(images[:N_TRAIN], networks, seed, beta)
    datasets = [
        make_pairs(images[rows], {k: v[rows] for k, v in factors.items()}, model, pair_seed)
        for rows, pair_seed in zip((slice(N_TRAIN), slice(N_TRAIN, None)), (None, 0), strict=True)
    ]
    errors: dict[int, float] = {}

    class RecordErrors(TrainingCallback):
        def on_log(self, training_config, logs, **kwargs):
            errors[kwargs["global_step"]] = error(model, images[N_TRAIN:])

    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            folder, num_epochs=epochs, learning_rate=2e-3, seed=seed, no_cuda=True
        )
        BaseTrainer(model, *datasets, config, callbacks=[*callbacks, RecordErrors()]).train()
    return errors[max(1, epochs // 2)], errors[epochs]


def main() -> None:
    """Print one row per seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--beta", type=float, default=0.2)
    parser.add_argument("--networks", choices=["examples", "relu"], default="examples")
    args = parser.parse_args()
    logging.disable(logging.INFO)
    images = as_images(make_faces(N_TRAIN + N_TEST, image_size=32, seed=0)[0])
    mean_image_error = half_squared_error(images[:N_TRAIN].mean(0), images[N_TRAIN:])
    warmup = max(1, round(args.epochs / 3))
    print(
        f"Networks: {args.networks}. {args.epochs} epochs, beta {args.beta}, {warmup} of warm-up."
    )
    print(f"The mean image's error is {mean_image_error:.2f}.\n")
    print("| seed | without: halfway | without: end | with: halfway | with: end |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for seed in range(args.seeds):
        row: list[float] = []
        for callbacks in ([], [KLWarmup(warmup)]):
            row += train(args.networks, seed, args.epochs, args.beta, callbacks)
        print(f"| {seed} | " + " | ".join(f"{each:.2f}" for each in row) + " |", flush=True)


if __name__ == "__main__":
    main()
