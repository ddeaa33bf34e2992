"""Gated training on several processes, as in Pythae's own distributed examples.

    torchrun --nproc-per-node 2 examples/distributed_faces.py

Each process draws pairs from its share of the faces; torch's DistributedDataParallel averages the
gradients. Runs on GPUs (nccl) and CPUs (gloo). Loss terms over a batch (MMD, the DIP covariance,
total correlation) are computed on each process's own batch.
"""

import argparse
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import quickstart
import torch
import torch.distributed as dist
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.base_trainer import base_trainer
from torch.nn.parallel import DistributedDataParallel
from training import make_networks

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset
from pythae_gated.callbacks import GatedSchedule
from pythae_gated.datasets import make_faces
from pythae_gated.metrics import evaluate


class Trainer(BaseTrainer):
    """Pythae's trainer, made to run on CPUs too and to reshuffle the data in each epoch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        def wrap(model: torch.nn.Module, device_ids: list[int]) -> DistributedDataParallel:
            on_cpu = next(model.parameters()).device.type == "cpu"
            return DistributedDataParallel(model, None if on_cpu else device_ids)

        with mock.patch.object(base_trainer, "DDP", wrap):
            super().__init__(*args, **kwargs)

    def train_step(self, epoch: int) -> float:
        if self.distributed:
            self.train_loader.sampler.set_epoch(epoch)
        return super().train_step(epoch)


def main() -> None:
    """Train on all processes that torchrun started, and evaluate on the first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("output/distributed"))
    parser.add_argument("--faces", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    dist.init_process_group("nccl" if on_gpu else "gloo")
    rank, world_size = dist.get_rank(), dist.get_world_size()

    images, factors = make_faces(args.faces, image_size=32)
    scaled = images.astype(np.float32) / 255
    config = GatedBetaVAEConfig(
        (1, 32, 32),
        latent_dim=16,
        beta=quickstart.BETA,
        partitions=quickstart.PARTITIONS,
        rest=["identity"],
    )
    model = GatedBetaVAE(config, *make_networks(16, torch.from_numpy(scaled.mean(0)), seed=0))
    pairs = PairedDataset(images, model.partitions, quickstart.label_pose_and_expression(factors))
    training = BaseTrainerConfig(
        output_dir=str(args.output),
        num_epochs=args.epochs,
        learning_rate=quickstart.LEARNING_RATE,
        per_device_train_batch_size=quickstart.BATCH // world_size,
        no_cuda=not on_gpu,
        world_size=world_size,
        rank=rank,
        dist_backend="nccl" if on_gpu else "gloo",
    )
    Trainer(model, pairs, training_config=training, callbacks=[GatedSchedule()]).train()
    if rank == 0:
        subset = {name: values[:5000] for name, values in factors.items()}
        print(evaluate(model, images[:5000], subset, intended=quickstart.INTENDED))


if __name__ == "__main__":
    main()
