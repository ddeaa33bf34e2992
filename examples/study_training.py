"""One run of the study: its data, its model, its training, and what is found of it."""

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cmu_faces
import numpy as np
import study_models
import torch
from networks import ConvDecoder, ConvEncoder
from pythae.data.datasets import BaseDataset
from pythae.models import INFOVAE_MMD, BetaVAE, BetaVAEConfig, INFOVAE_MMD_Config
from pythae.pipelines import TrainingPipeline
from pythae.trainers import AdversarialTrainerConfig, BaseTrainerConfig
from quickstart import INTENDED, PARTITIONS, label_pose_and_expression
from scipy.optimize import linear_sum_assignment

import pythae_gated
from pythae_gated import PairedDataset, Partitions
from pythae_gated.datasets import make_faces
from pythae_gated.metrics import Evaluation, dci, evaluate

LATENT_DIM = sum(PARTITIONS.values())
KL_WEIGHT = 0.02  # of InfoVAE, and of DIP-VAE (as the pixels' noise)
CHANNELS = {32: (16, 32, 32), 64: (16, 16, 32, 32)}
PAIRED = ("target", "group", "ada", "match", *study_models.REMEDIES)  # two images a row
WITHOUT_PARTITIONS = ("ungated", "ada")  # nothing says which dimension is to hold what


@dataclass(frozen=True)
class Settings:
    """What all runs of a study have in common."""

    image_size: int = 32
    n_train: int = 20_000
    n_test: int = 4_000
    n_fit: int = 5_000  # of the training images, to fit the forests on
    epochs: int = 20  # the budget: each training image is decoded so often on average
    batch: int = 128  # images decoded a step
    learning_rate: float = 2e-3
    photograph_steps: int = 4_000


@dataclass(frozen=True)
class Run:
    """One model to train and judge. `part` is the table that it belongs to."""

    part: str
    backbone: str  # "beta", "info" or "dip"
    scheme: str  # "ungated", "input", "target", or a class of study_models
    weight: float  # beta, lbd or both lambdas
    labelled: str = "rest"  # "all", or "rest": identity is not labelled
    share: float = 1.0  # of the training images that are labelled
    wrong: float = 0.0  # of the labels that are another image's
    option: str = ""  # how the training differs
    seed: int = 0  # for photographs: the fold

    def __str__(self) -> str:
        said = [self.part, self.backbone, self.scheme, f"weight {self.weight:g}", self.labelled]
        said += [f"labelled {self.share:.0%}"] * (self.share < 1)
        said += [f"wrong {self.wrong:.0%}"] * (self.wrong > 0)
        return ", ".join([*said, *[self.option] * bool(self.option), f"seed {self.seed}"])


def run_one(run: Run, settings: Settings, photographs: Path | None) -> dict[str, Any]:
    """Train and judge; what is found, in plain types."""
    if run.part == "cost":
        return {"seconds": time_epochs(run, settings)}
    if run.part == "photographs":
        if photographs is None:
            raise ValueError("a run on photographs needs their folder")
        return judge_photographs(run, settings, photographs)
    data = load_faces(settings)
    started = time.perf_counter()
    model = train_faces(run, settings, data)
    seconds = time.perf_counter() - started
    if run.scheme in WITHOUT_PARTITIONS:
        order_in_hindsight(model, data, run.seed)
    found = evaluate(
        model,
        *data.fit,
        partitions=PARTITIONS,
        intended=INTENDED,
        test=data.test,
        seed=run.seed,
    )
    return {"seconds": {"train": round(seconds, 1)}, **shortened(found)}


def shortened(found: Evaluation) -> dict[str, Any]:
    """What the report needs of an evaluation, to four digits."""
    kept = ("disentanglement", "completeness", "informativeness", "alignment", "leakage")
    kept += ("scores", "chance", "metrics", "reconstruction_error", "kl_by_partition")
    whole = found.to_dict()
    return {name: _rounded(whole[name]) for name in kept}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, 4) if isinstance(value, float) else value


@dataclass(frozen=True)
class Faces:
    """Training images (N, 1, S, S) with their factors, those to fit on, and those held out."""

    images: np.ndarray
    factors: dict[str, np.ndarray]
    fit: tuple[np.ndarray, dict[str, np.ndarray]]
    test: tuple[np.ndarray, dict[str, np.ndarray]]


@lru_cache(maxsize=1)
def load_faces(settings: Settings) -> Faces:
    """The faces of the study: the same for all runs, whatever their seed."""
    n = settings.n_train
    images, factors = make_faces(n + settings.n_test, image_size=settings.image_size)

    def cut(start: int, stop: int | None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        rows = slice(start, stop)
        return images[rows], {name: values[rows] for name, values in factors.items()}

    return Faces(*cut(0, n), fit=cut(0, settings.n_fit), test=cut(n, None))


def label(run: Run, factors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Labels of each partition, as the run has them: (N, F), NaN where unknown."""
    labels = label_pose_and_expression(factors)
    if run.labelled == "all":
        labels["identity"] = factors["identity"][:, None].astype(float)
    rng = np.random.default_rng(run.seed)
    for values in labels.values():
        # Of a wrong label all columns are another image's.
        wrong = np.flatnonzero(rng.random(len(values)) < run.wrong)
        values[wrong] = values[rng.permutation(wrong)]
        values[rng.random(len(values)) >= run.share] = np.nan
    return labels


def train_faces(run: Run, settings: Settings, data: Faces) -> torch.nn.Module:
    """Train on the budget: as many images decoded in all, and in each step, for all models."""
    rest = () if run.labelled == "all" else ("identity",)
    partitions = Partitions(PARTITIONS, rest)
    if run.option == "warm start":
        half = replace(settings, epochs=settings.epochs // 2)
        parent = train_faces(replace(run, scheme="ungated", option=""), half, data)
        model = pythae_gated.GatedBetaVAE.from_parent(parent, partitions=PARTITIONS, rest=rest)
        settings = half
    else:
        model = make_model(run, partitions, data)
    epochs = settings.epochs * (2 if run.option == "twice the steps" else 1)
    per_row = 2 if run.scheme in PAIRED else 1
    fit(
        model,
        training_data(run, partitions, data),
        epochs=epochs // per_row,
        batch_size=settings.batch // per_row,
        learning_rate=settings.learning_rate,
        seed=run.seed,
    )
    return model


def make_model(run: Run, partitions: Partitions, data: Faces) -> torch.nn.Module:
    """The run's model, untrained: the same networks, with the same weights, for all schemes."""
    channels = CHANNELS[data.images.shape[-1]]
    mean_image = torch.from_numpy(data.images.mean(0, dtype=np.float32) / 255)
    torch.manual_seed(run.seed)
    networks = ConvEncoder(LATENT_DIM, channels), ConvDecoder(LATENT_DIM, mean_image, channels)
    settings: dict[str, Any] = {"input_dim": data.images.shape[1:], "latent_dim": LATENT_DIM}
    settings |= {
        "beta": {"beta": run.weight},
        "info": {"alpha": 1 - KL_WEIGHT, "lbd": run.weight},
        "dip": {"lambda_od": run.weight, "lambda_d": run.weight},
    }[run.backbone]
    if run.scheme == "ungated":
        model, config = {
            "beta": (BetaVAE, BetaVAEConfig),
            "info": (INFOVAE_MMD, INFOVAE_MMD_Config),
            "dip": (study_models.FacesDIPVAE, pythae_gated.DIPVAEConfig),
        }[run.backbone]
        return model(config(**settings), *networks)
    if run.scheme in ("input", "target", *study_models.REMEDIES):
        model, config = {
            "beta": (pythae_gated.GatedBetaVAE, pythae_gated.GatedBetaVAEConfig),
            "info": (pythae_gated.GatedINFOVAE_MMD, pythae_gated.GatedINFOVAE_MMD_Config),
            "dip": (study_models.GatedFacesDIPVAE, pythae_gated.GatedDIPVAEConfig),
        }[run.backbone]
        model = study_models.REMEDIES.get(run.scheme, model)
        closed = "input" if run.scheme == "input" else "target"
        settings |= {"partitions": partitions.sizes, "rest": list(partitions.rest)}
        return model(config(**settings, closed_partitions=closed), *networks)
    config = BetaVAEConfig(**settings)
    if run.scheme == "supervised":
        counts = {name: len(np.unique(data.factors[name])) for name in INTENDED}
        told = [name for name in INTENDED if INTENDED[name] not in partitions.rest]
        heads = {name: (INTENDED[name], counts[name]) for name in told}
        return study_models.SupervisedBetaVAE(config, *networks, partitions, heads)
    if run.scheme == "match":
        judge = study_models.PairDiscriminator(len(partitions.names), channels)
        return study_models.MatchPairing(config, *networks, judge, partitions)
    return {"group": study_models.GroupVAE, "ada": study_models.AdaGVAE}[run.scheme](
        config, *networks, partitions
    )


def training_data(run: Run, partitions: Partitions, data: Faces) -> Any:
    """Images alone for the ungated, images and labels for the supervised, pairs for others."""
    labels = label(run, data.factors)
    if run.scheme in ("ungated", "supervised"):
        images = torch.from_numpy(data.images).float() / 255
        columns = np.concatenate(list(labels.values()), axis=1)
        return BaseDataset(images, torch.from_numpy(as_classes(columns)))
    weights = {"self": 3.0} if run.option == "three times the self pairs" else None
    return PairedDataset(data.images, partitions, labels, weights=weights)


def as_classes(columns: np.ndarray) -> np.ndarray:
    """Each column's values as 0, 1, ..., and -1 where it is unknown."""
    classes = np.full(columns.shape, -1, dtype=np.int64)
    for column, known in zip(columns.T, classes.T, strict=True):
        at = ~np.isnan(column)
        known[at] = np.unique(column[at], return_inverse=True)[1]
    return classes


def fit(
    model: Any, data: Any, *, epochs: int, batch_size: int, learning_rate: float, seed: int
) -> None:
    """Train with Pythae's pipeline, in silence, and keep nothing but the model in memory."""
    with tempfile.TemporaryDirectory() as folder, silence():
        common = {"output_dir": folder, "num_epochs": epochs, "seed": seed}
        common["per_device_train_batch_size"] = batch_size
        if isinstance(model, study_models.MatchPairing):
            betas = {"betas": (0.5, 0.999)}
            config = AdversarialTrainerConfig(
                **common,
                autoencoder_learning_rate=learning_rate / 2,
                discriminator_learning_rate=learning_rate / 2,
                autoencoder_optimizer_params=betas,
                discriminator_optimizer_params=betas,
            )
        else:
            config = BaseTrainerConfig(**common, learning_rate=learning_rate)
        TrainingPipeline(model, config)(data)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Pythae's log and progress bars are not shown: the study has its own."""
    logging.disable(logging.INFO)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            yield
    finally:
        logging.disable(logging.NOTSET)


def order_in_hindsight(model: Any, data: Faces, seed: int) -> None:
    """Let a model without partitions look its best: each dimension goes where it says most.

    Dimensions are assigned to partitions so that the importance that lies where it was meant to
    is largest (of codes of training images), and the network's units are put in that order.
    """
    images, factors = data.fit
    generator = torch.Generator().manual_seed(seed)
    model.eval()
    with torch.no_grad():
        parts = torch.from_numpy(images).float().div(255).split(1_000)
        encoded = [model.encoder(part) for part in parts]
        mu, log_var = (
            torch.cat([output[key] for output in encoded])
            for key in ("embedding", "log_covariance")
        )
        noise = torch.randn(mu.shape, generator=generator)
        found = dci((mu + torch.exp(log_var / 2) * noise).numpy(), factors, seed=seed)
        owners = [name for name, size in PARTITIONS.items() for _ in range(size)]
        meant = np.array([[INTENDED[factor] == owner for factor in factors] for owner in owners])
        _, order = linear_sum_assignment(meant @ found.importance.T, maximize=True)
        for layer in (model.encoder.embedding, model.encoder.log_var):
            layer.weight.copy_(layer.weight[order])
            layer.bias.copy_(layer.bias[order])
        first = model.decoder.layers[0]
        first.weight.copy_(first.weight[:, order])


def judge_photographs(run: Run, settings: Settings, folder: Path) -> dict[str, Any]:
    """Train on four folds of the photographs and judge on the fifth, as cmu_faces.py does."""
    images, factors = cmu_faces.read_photographs(folder)
    order = np.random.default_rng(0).permutation(len(images))
    held_out = np.zeros(len(images), dtype=bool)
    held_out[order[run.seed :: 5]] = True
    started = time.perf_counter()
    name = "ungated" if run.scheme == "ungated" else "gated"
    model, data, batch_size = cmu_faces.prepare(name, images, factors, ~held_out, seed=run.seed)
    if run.scheme == "group":
        config = BetaVAEConfig((1, 32, 32), latent_dim=12, beta=run.weight)
        parts = model.encoder, model.decoder, model.partitions
        model = study_models.GroupVAE(config, *parts)
    with tempfile.TemporaryDirectory() as output, silence():
        cmu_faces.fit(
            model,
            data,
            Path(output),
            batch_size=batch_size,
            steps=settings.photograph_steps,
            seed=run.seed,
        )
    seconds = time.perf_counter() - started
    found = cmu_faces.judge(model, images, factors, held_out)
    return {"seconds": {"train": round(seconds, 1)}, **shortened(found)}


def time_epochs(run: Run, settings: Settings) -> dict[str, list[float]]:
    """Seconds of an epoch's worth of images decoded, each scheme in turn, three times."""
    data = load_faces(settings)
    partitions = Partitions(PARTITIONS, ("identity",))
    schemes = {"ungated": 1, "input": 1, "target": 2, "target, twice the images": 1}
    seconds: dict[str, list[float]] = {name: [] for name in schemes}
    for _ in range(4):
        for name, per_row in schemes.items():
            each = replace(run, scheme=name.split(",")[0])
            model = make_model(each, partitions, data)
            dataset = training_data(each, partitions, data)
            rows = torch.utils.data.Subset(dataset, range(len(dataset) // per_row))
            started = time.perf_counter()
            fit(
                model,
                rows,
                epochs=1,
                batch_size=settings.batch // per_row,
                learning_rate=settings.learning_rate,
                seed=run.seed,
            )
            seconds[name].append(round(time.perf_counter() - started, 3))
    return {name: each[1:] for name, each in seconds.items()}  # the first warms up
