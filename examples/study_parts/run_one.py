"""Training and evaluation of one run of the study."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cmu_faces
import numpy as np
import torch
from quickstart import INTENDED, PARTITIONS
from training import silence, train

from pythae_gated import GatedBetaVAE, Partitions
from pythae_gated.callbacks import KLWarmup
from pythae_gated.metrics import Evaluation, evaluate
from study_parts.competitors import GroupVAE
from study_parts.faces import Faces, load_faces, training_data
from study_parts.models import assign_dimensions, make_model
from study_parts.remedies import REMEDIES
from study_parts.runs import FIRST_SCHEME, PHOTOGRAPH_LEARNING_RATE, Run, Settings

DECODES_PAIRS = ("target", "group", "ada", "match", *REMEDIES)  # two images per row
WITHOUT_PARTITIONS = ("ungated", "ada")


def run_one(
    run: Run, settings: Settings, photographs: Path | None, output: Path
) -> dict[str, Any]:
    """Train and evaluate; results as JSON types. Pictures of photographs go to `output`."""
    if run.part == "cost":
        return {"seconds": time_epochs(run, settings)}
    if run.part.startswith("photograph"):
        if photographs is None:
            raise ValueError("a run on photographs needs their folder: pass --photographs")
        return run_photographs(run, settings, photographs, output)
    data = load_faces(settings)
    started = time.perf_counter()
    try:
        model = train_faces(run, settings, data)
        diverged = not all(torch.isfinite(each).all() for each in model.parameters())
    except (ArithmeticError, UnboundLocalError):
        diverged = True  # Pythae raises these if a loss is NaN, or if none is below 1e12
    seconds = {"train": round(time.perf_counter() - started, 1)}
    if diverged:
        return {"seconds": seconds, "diverged": True}
    if run.scheme in WITHOUT_PARTITIONS:
        assign_dimensions(model, data, run.seed)
    evaluation = evaluate(
        model,
        *data.fit,
        partitions=PARTITIONS,
        intended=INTENDED,
        test=data.test,
        seed=run.seed,
    )
    return {"seconds": seconds, **summary(evaluation)}


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """The fields of an evaluation that are kept, to four digits."""
    kept = ("disentanglement", "completeness", "informativeness", "alignment", "leakage")
    kept += ("scores", "chance", "metrics", "reconstruction_error", "kl_by_partition")
    fields = evaluation.to_dict()
    return {name: _rounded(fields[name]) for name in kept}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def train_faces(run: Run, settings: Settings, data: Faces) -> torch.nn.Module:
    """Train so that all models decode the same number of images, in total and per step."""
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
    per_row = 2 if run.scheme in DECODES_PAIRS else 1
    dataset = training_data(run, partitions, data)
    warm_up: dict[str, Any] = {}
    if run.option == "warm-up of beta":
        # With evaluation at the full beta, Pythae does not keep one of the first epochs.
        warm_up["callbacks"] = [KLWarmup(max(1, epochs // per_row // 3))]
        warm_up["eval_data"] = dataset.split(range(len(dataset) // 20), seed=0)
    train_silently(
        model,
        dataset,
        epochs=epochs // per_row,
        batch_size=settings.batch // per_row,
        # Match pairing has no KL: the grid selects its learning rate.
        learning_rate=run.weight / 100 if run.scheme == "match" else settings.learning_rate,
        seed=run.seed,
        **warm_up,
    )
    return model


def train_silently(model: Any, data: Any, **settings: Any) -> None:
    """Train without output or saved files."""
    with tempfile.TemporaryDirectory() as folder, silence():
        train(model, data, folder, **settings)


def run_photographs(run: Run, settings: Settings, folder: Path, output: Path) -> dict[str, Any]:
    """Train on four folds of the photographs and evaluate on the fifth, as cmu_faces.py does.

    For the first fold, pose swaps of held-out people are saved.
    """
    images, factors = cmu_faces.read_photographs(folder)
    order = np.random.default_rng(0).permutation(len(images))
    held_out = np.zeros(len(images), dtype=bool)
    held_out[order[run.seed :: 5]] = True
    started = time.perf_counter()
    name = "ungated" if run.scheme == "ungated" else "gated"
    model, data, batch_size = cmu_faces.prepare(
        name, images, factors, ~held_out, seed=run.seed, **FIRST_SCHEME
    )
    if run.scheme == "group":
        model = GroupVAE(model.model_config, model.encoder, model.decoder, model.partitions)
    elif run.scheme in REMEDIES:
        model = REMEDIES[run.scheme](model.model_config, model.encoder, model.decoder)
    schedule = cmu_faces.schedule(data, batch_size, settings.photograph_steps)
    schedule["learning_rate"] = PHOTOGRAPH_LEARNING_RATE
    train_silently(model, **schedule, seed=run.seed)
    seconds = time.perf_counter() - started
    if run.part == "photographs" and run.seed == 0:
        shown = {name: labels[held_out] for name, labels in factors.items()}
        path = output / f"study_swap_{run.scheme}.png"
        cmu_faces.draw_swaps(model, images[held_out], shown, "pose", path)
    evaluation = cmu_faces.evaluate_held_out(model, images, factors, held_out)
    return {"seconds": {"train": round(seconds, 1)}, **summary(evaluation)}


def time_epochs(run: Run, settings: Settings) -> dict[str, list[float]]:
    """Seconds per epoch of decoded images, each scheme in turn, three times."""
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
            train_silently(
                model,
                rows,
                epochs=1,
                batch_size=settings.batch // per_row,
                learning_rate=settings.learning_rate,
                seed=run.seed,
            )
            seconds[name].append(round(time.perf_counter() - started, 3))
    return {name: each[1:] for name, each in seconds.items()}  # the first round is a warm-up
