"""Train on a 4 GiB memmap, and print the growth of anonymous memory in MB (Linux).

A test runs it in a process of its own: `python train_memmap.py FOLDER`. The file is sparse: it
takes no space on disk. Every second image is an input, and partners are drawn from all.
"""

import sys
import threading
from pathlib import Path

import numpy as np
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from torch import nn
from torch.utils.data import Subset

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset

SHAPE = (65_536, 1, 256, 256)  # uint8: 4 GiB


class Encoder(BaseEncoder):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(32), nn.Flatten(), nn.Linear(64, 8))

    def forward(self, x):
        mu, log_var = self.layers(x).chunk(2, 1)
        return ModelOutput(embedding=mu, log_covariance=log_var)


class Decoder(BaseDecoder):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 64)

    def forward(self, z):
        small = self.layer(z).reshape(-1, 1, 8, 8)
        enlarged = small.repeat_interleave(32, 2).repeat_interleave(32, 3)  # as nn.Upsample
        return ModelOutput(reconstruction=enlarged)


def anonymous_mb():
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def watch(done, seen):
    while not done.wait(0.05):
        seen.append(anonymous_mb())


def main():
    folder = Path(sys.argv[1])
    config = GatedBetaVAEConfig(SHAPE[1:], 4, partitions={"pose": 2, "rest": 2}, rest=["rest"])
    model = GatedBetaVAE(config, Encoder(), Decoder())
    images = np.memmap(folder / "images.bin", np.uint8, "w+", shape=SHAPE)
    images = np.memmap(folder / "images.bin", np.uint8, "r", shape=SHAPE)
    labels = np.arange(len(images)) % 100

    done, seen = threading.Event(), [anonymous_mb()]
    watcher = threading.Thread(target=watch, args=(done, seen))
    watcher.start()
    pairs = PairedDataset(images, model.partitions, {"pose": labels})
    training = BaseTrainerConfig(str(folder), num_epochs=1, per_device_train_batch_size=64)
    TrainingPipeline(model, training)(Subset(pairs, range(0, len(pairs), 2)))
    done.set()
    watcher.join()
    print(max(seen) - seen[0])


if __name__ == "__main__":
    main()
