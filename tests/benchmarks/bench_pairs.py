"""Benchmark the index of pairs and their loading. Prints Markdown.

Run it as `python tests/benchmarks/bench_pairs.py`. Loading and epochs are ratios to Pythae's
own `BaseDataset` and `BetaVAE`, timed alternately in the same run; the median is printed.
"""

import logging
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import BetaVAE, BetaVAEConfig
from pythae.trainers import BaseTrainer, BaseTrainerConfig

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset, Partitions
from pythae_gated.datasets.labels import encode_labels, read_labels
from pythae_gated.datasets.partners import Candidates, Edges, Groups, Neighbours

N_IMAGES, SIZES = 20_000, {"pose": 4, "rest": 6}


def high_water_mark() -> int:
    """The peak memory of this process since it was last reset, in bytes (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def measure(name: str, make: Callable[[], Candidates], n: int, draws: int) -> None:
    """Print seconds to build, bytes per label, and partners drawn per second."""
    Path("/proc/self/clear_refs").write_text("5")
    before = high_water_mark()
    start = time.perf_counter()
    candidates = make()
    built = time.perf_counter() - start
    peak = (high_water_mark() - before) / n
    resident = len(pickle.dumps(candidates)) / n
    items = candidates.sample(draws, np.random.default_rng(0))
    start = time.perf_counter()
    candidates.partners(items, np.random.default_rng(1))
    rate = draws / (time.perf_counter() - start)
    print(f"| {name} | {built:.1f} | {resident:.0f} | {peak:.0f} | {rate:,.0f} |", flush=True)


def group(labels: np.ndarray) -> Groups:
    """The candidates by equal label."""
    return Groups(encode_labels(*read_labels(labels, "pose")))


def bench_index() -> None:
    """The index of many labels."""
    rng = np.random.default_rng(0)
    print("| index | seconds | bytes per label | at the peak | partners per second |")
    print("| --- | --- | --- | --- | --- |")
    n = 10_000_000
    labels = rng.integers(0, 100_000, n)
    measure("10 M labels", lambda: group(labels), n, 1_000_000)
    strings = np.array([f"speaker {i}" for i in range(1000)])[rng.integers(0, 1000, n // 10)]
    measure("1 M strings", lambda: group(strings), n // 10, 1_000_000)
    edges = rng.integers(0, n, (n, 2))
    edges = edges[edges[:, 0] != edges[:, 1]]
    measure("10 M edges", lambda: Edges(edges, n), n, 1_000_000)
    for columns, tolerance in ((1, 0.01), (2, 1.0), (3, 5.0)):
        values = rng.uniform(-90, 90, (1_000_000, columns))
        name = f"1 M labels within {tolerance} of {' x '.join(['180'] * columns)}"
        measure(name, lambda v=values, t=tolerance: Neighbours(v, t), 10**6, 100_000)


def make_trainer(gated: bool, batch_size: int, folder: str) -> BaseTrainer:
    """Pythae's trainer with the default networks, on pairs or on its own dataset."""
    torch.manual_seed(0)
    images = torch.rand(N_IMAGES, 1, 28, 28)
    if gated:
        config = GatedBetaVAEConfig(
            (1, 28, 28), 10, partitions=SIZES, rest=["rest"], closed_partitions="input"
        )
        model, labels = GatedBetaVAE(config), {"pose": np.arange(N_IMAGES) % 10}
        data = PairedDataset(images, Partitions(SIZES, ["rest"]), labels)
    else:
        model = BetaVAE(BetaVAEConfig((1, 28, 28), 10))
        data = BaseDataset(images, torch.ones(N_IMAGES))
    config = BaseTrainerConfig(folder, per_device_train_batch_size=batch_size, no_cuda=True)
    trainer = BaseTrainer(model, data, training_config=config)
    trainer.prepare_training()
    trainer.callback_handler.callbacks = []
    return trainer


def bench_trainer() -> None:
    """Loading, and whole epochs, in Pythae's trainer."""
    print(
        "\n| batch | loading a pair / an image | an epoch, gated / ungated |\n| --- | --- | --- |"
    )
    for batch_size in (64, 512):
        with tempfile.TemporaryDirectory() as folder:
            trainers = [make_trainer(gated, batch_size, folder) for gated in (True, False)]
            loading, epochs = [], []
            for _ in range(15):
                times = [seconds(lambda t=t: run_through(t.train_loader)) for t in trainers]
                loading.append(times[0] / times[1])
                times = [seconds(lambda t=t: t.train_step(1)) for t in trainers]
                epochs.append(times[0] / times[1])
        row = statistics.median(loading[1:]), statistics.median(epochs[1:])
        print(f"| {batch_size} | {row[0]:.2f} | {row[1]:.2f} |", flush=True)


def run_through(loader: Iterable[object]) -> None:
    """Iterate over a loader without keeping its batches."""
    for _ in loader:
        pass


def seconds(work: Callable[[], object]) -> float:
    """The run time of a function."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    logging.disable(logging.INFO)
    bench_index()
    bench_trainer()
