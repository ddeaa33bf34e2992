"""Networks and training with Pythae's pipeline, the same for all examples."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from pythae.models import BaseAE
from pythae.pipelines import TrainingPipeline
from pythae.trainers import AdversarialTrainerConfig, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor
from tqdm import tqdm

from pythae_gated.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder


def make_networks(
    latent_dim: int,
    mean: Tensor,  # (C, H, W) or (D,)
    channels: Sequence[int] | None = None,
    *,
    seed: int,
) -> tuple[Any, Any]:
    """An encoder and a decoder; the same seed gives the same initial weights."""
    torch.manual_seed(seed)
    shape = tuple(mean.shape)
    if len(shape) == 1:
        return MLPEncoder(shape, latent_dim), MLPDecoder(shape, latent_dim, mean)
    return ConvEncoder(shape, latent_dim, channels), ConvDecoder(shape, latent_dim, mean, channels)


class Progress(TrainingCallback):
    """One progress bar over all epochs of several trainings, instead of Pythae's log.

    Args:
        epochs: Their number in all trainings.
    """

    def __init__(self, epochs: int) -> None:
        self._bar = tqdm(total=epochs, unit="epoch")

    def start(self, name: str) -> None:
        """Show which model is being trained."""
        self._bar.set_description(name)

    def on_epoch_end(self, training_config: Any, **kwargs: Any) -> None:
        """Advance the bar, which ends with the last epoch."""
        self._bar.update()
        if self._bar.n == self._bar.total:
            self._bar.close()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Hide Pythae's log and progress bars."""
    logging.disable(logging.INFO)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            yield
    finally:
        logging.disable(logging.NOTSET)


def train(
    model: BaseAE,
    data: Any,
    output: Path | str,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    eval_data: Any = None,
    callbacks: Sequence[TrainingCallback] = (),
    progress: Progress | None = None,
) -> Path:
    """Train a model in place, by Adam.

    A model with a discriminator is trained by Pythae's adversarial trainer. `progress` replaces
    the output of Pythae.

    Returns:
        The folder of the saved model, for `AutoModel.load_from_folder`.
    """
    settings: dict[str, Any] = {
        "output_dir": str(output),
        "num_epochs": epochs,
        "per_device_train_batch_size": batch_size,
        "seed": seed,
    }
    if hasattr(model, "discriminator"):
        for network in ("autoencoder", "discriminator"):
            settings[f"{network}_learning_rate"] = learning_rate
            settings[f"{network}_optimizer_params"] = {"betas": (0.5, 0.999)}
        config = AdversarialTrainerConfig(**settings)
    else:
        config = BaseTrainerConfig(**settings, learning_rate=learning_rate)
    pipeline = TrainingPipeline(model, config)
    shown = [] if progress is None else [progress]
    with contextlib.nullcontext() if progress is None else silence():
        pipeline(data, eval_data, callbacks=[*callbacks, *shown])
    return Path(pipeline.trainer.training_dir) / "final_model"
