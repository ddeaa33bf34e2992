"""Measure the memory that a file of 2 GiB needs in training, evaluation and report (Linux).

    python -m tests.benchmarks.bench_memory

Prints the growth of anonymous memory (not that of the file's pages, which the system may drop),
for a memmap and for an HDF5 dataset.
"""

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset
from pythae_gated.metrics import evaluate
from pythae_gated.report import save_report
from tests.support.train_memmap import Decoder, Encoder, anonymous_mb, watch

SHAPE = (32_768, 1, 256, 256)  # uint8
CHUNK = 1024


@contextlib.contextmanager
def measured(name: str) -> Iterator[None]:
    """Print the growth of memory within the context."""
    done, seen = threading.Event(), [anonymous_mb()]
    watcher = threading.Thread(target=watch, args=(done, seen))
    watcher.start()
    yield
    done.set()
    watcher.join()
    print(f"| {name} | {max(seen) - seen[0]:.0f} |", flush=True)


def main() -> None:
    """Write the files, and measure."""
    rng = np.random.default_rng(0)
    factors = {name: rng.integers(4, size=SHAPE[0]) for name in ("place", "light")}
    config = GatedBetaVAEConfig(SHAPE[1:], 4, partitions={"place": 2, "rest": 2}, rest=["rest"])
    model = GatedBetaVAE(config, Encoder(), Decoder())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        memmap = np.memmap(folder / "images.bin", np.uint8, "w+", shape=SHAPE)
        with h5py.File(folder / "images.h5", "w") as file:
            dataset = file.create_dataset("images", SHAPE, np.uint8, chunks=(1, *SHAPE[1:]))
            for start in range(0, len(memmap), CHUNK):
                images = np.zeros((CHUNK, *SHAPE[1:]), np.uint8)
                for image, place, light in zip(
                    images,
                    *(each[start : start + CHUNK] for each in factors.values()),
                    strict=True,
                ):
                    image[:, place * 64 : place * 64 + 64] = 60 * light + 60
                memmap[start : start + CHUNK] = dataset[start : start + CHUNK] = images
        memmap.flush()
        memmap = np.memmap(folder / "images.bin", np.uint8, "r", shape=SHAPE)
        print("| 2 GiB of images | MB |\n| --- | --- |")
        with h5py.File(folder / "images.h5") as file:
            for kind, data in {"memmap": memmap, "HDF5": file["images"]}.items():
                with measured(f"{kind}: one epoch of training"):
                    pairs = PairedDataset(data, model.partitions, {"place": factors["place"]})
                    training = BaseTrainerConfig(
                        name, num_epochs=1, per_device_train_batch_size=64, learning_rate=1e-3
                    )
                    TrainingPipeline(model, training)(pairs)
                with measured(f"{kind}: `evaluate`"):
                    found = evaluate(model, data, factors)
                with measured(f"{kind}: `save_report`"):
                    save_report(model, data, factors, folder / f"report_{kind}", evaluation=found)


if __name__ == "__main__":
    main()
