"""One run of the study: its training, and what is found of it."""

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cmu_faces
import numpy as np
import torch
from pythae.pipelines import TrainingPipeline
from pythae.trainers import AdversarialTrainerConfig, BaseTrainerConfig
from quickstart import INTENDED, PARTITIONS

from pythae_gated import GatedBetaVAE, Partitions
from pythae_gated.callbacks import KLWarmup
from pythae_gated.metrics import Evaluation, evaluate
from study_parts.competitors import GroupVAE, MatchPairing
from study_parts.faces import Faces, load_faces, training_data
from study_parts.models import make_model, order_in_hindsight
from study_parts.remedies import REMEDIES
from study_parts.runs import Run, Settings

PAIRED = ("target", "group", "ada", "match", *REMEDIES)  # two images a row
WITHOUT_PARTITIONS = ("ungated", "ada")  # nothing says which dimension is to hold what


def run_one(
    run: Run, settings: Settings, photographs: Path | None, output: Path
) -> dict[str, Any]:
    """Train and judge; what is found, in plain types. Pictures of photographs go to `output`."""
    if run.part == "cost":
        return {"seconds": time_epochs(run, settings)}
    if run.part.startswith("photograph"):
        if photographs is None:
            raise ValueError("a run on photographs needs their folder")
        return judge_photographs(run, settings, photographs, output)
    data = load_faces(settings)
    started = time.perf_counter()
    try:
        model = train_faces(run, settings, data)
        diverged = not all(torch.isfinite(each).all() for each in model.parameters())
    except (ArithmeticError, UnboundLocalError):
        diverged = True  # Pythae's errors where a loss is NaN, and where none is below its 1e12
    seconds = {"train": round(time.perf_counter() - started, 1)}
    if diverged:
        return {"seconds": seconds, "diverged": True}
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
    return {"seconds": seconds, **shortened(found)}


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


def train_faces(run: Run, settings: Settings, data: Faces) -> torch.nn.Module:
    """Train on the budget: as many images decoded in all, and in each step, for all models."""
    rest = () if run.labelled == "all" else ("identity",)
    partitions = Partitions(PARTITIONS, rest)
    if run.option == "warm start":
        half = replace(settings, epochs=settings.epochs // 2)
        parent = train_faces(replace(run, scheme="ungated", option=""), half, data)
        model = GatedBetaVAE.from_parent(
            parent, partitions=PARTITIONS, rest=rest, closed_partitions=run.scheme
        )
        settings = half
    else:
        model = make_model(run, partitions, data)
    epochs = settings.epochs * (2 if run.option == "twice the steps" else 1)
    per_row = 2 if run.scheme in PAIRED else 1
    train = training_data(run, partitions, data)
    warm_up = {}
    if run.option == "warm-up of beta":
        # Judged at the full beta after each epoch, or Pythae would keep one of the first.
        warm_up["callbacks"] = [KLWarmup(max(1, epochs // per_row // 3))]
        warm_up["eval_data"] = train.split(range(len(train) // 20), seed=0)
    fit(
        model,
        train,
        epochs=epochs // per_row,
        batch_size=settings.batch // per_row,
        # Adversarial training hangs on its rate; the KL's weight it has not.
        learning_rate=run.weight / 100 if run.scheme == "match" else settings.learning_rate,
        seed=run.seed,
        **warm_up,
    )
    return model


def fit(
    model: Any,
    data: Any,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    eval_data: Any = None,
    callbacks: Any = None,
) -> None:
    """Train with Pythae's pipeline, in silence, and keep nothing but the model in memory."""
    with tempfile.TemporaryDirectory() as folder, silence():
        common = {"output_dir": folder, "num_epochs": epochs, "seed": seed}
        common["per_device_train_batch_size"] = batch_size
        if isinstance(model, MatchPairing):
            betas = {"betas": (0.5, 0.999)}
            config = AdversarialTrainerConfig(
                **common,
                autoencoder_learning_rate=learning_rate,
                discriminator_learning_rate=learning_rate,
                autoencoder_optimizer_params=betas,
                discriminator_optimizer_params=betas,
            )
        else:
            config = BaseTrainerConfig(**common, learning_rate=learning_rate)
        TrainingPipeline(model, config)(data, eval_data, callbacks=callbacks)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Pythae's log and progress bars are not shown: the study has its own."""
    logging.disable(logging.INFO)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            yield
    finally:
        logging.disable(logging.NOTSET)


def judge_photographs(run: Run, settings: Settings, folder: Path, output: Path) -> dict[str, Any]:
    """Train on four folds of the photographs and judge on the fifth, as cmu_faces.py does.

    Of the first fold's held-out people, swaps of the pose are drawn.
    """
    images, factors = cmu_faces.read_photographs(folder)
    order = np.random.default_rng(0).permutation(len(images))
    held_out = np.zeros(len(images), dtype=bool)
    held_out[order[run.seed :: 5]] = True
    started = time.perf_counter()
    name = "ungated" if run.scheme == "ungated" else "gated"
    model, data, batch_size = cmu_faces.prepare(name, images, factors, ~held_out, seed=run.seed)
    if run.scheme == "group":
        model = GroupVAE(model.model_config, model.encoder, model.decoder, model.partitions)
    elif run.scheme in REMEDIES:
        model = REMEDIES[run.scheme](model.model_config, model.encoder, model.decoder)
    with tempfile.TemporaryDirectory() as training, silence():
        cmu_faces.fit(
            model,
            data,
            Path(training),
            batch_size=batch_size,
            steps=settings.photograph_steps,
            seed=run.seed,
        )
    seconds = time.perf_counter() - started
    if run.part == "photographs" and run.seed == 0:
        shown = {name: labels[held_out] for name, labels in factors.items()}
        path = output / f"study_swap_{run.scheme}.png"
        cmu_faces.draw_swaps(model, images[held_out], shown, "pose", path)
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
