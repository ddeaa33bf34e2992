"""Training and evaluation of one run of the study."""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cmu_faces import one_of_each, save_swaps
from pythae.data.datasets import BaseDataset
from torch.utils.data import Subset
from training import silence, train

from pythae_gated import PairedDataset, Partitions
from pythae_gated.callbacks import GatedSchedule
from pythae_gated.datasets import mean_and_beta
from pythae_gated.inference import posterior
from pythae_gated.metrics import evaluate, partition_scores
from study_parts.data import DataSet, Part, Sources, label, load
from study_parts.models import assign_dimensions, make_model
from study_parts.runs import OPTIONS, Run, Settings

ON_IMAGES = ("ungated", "schedule", "supervised", "lord")  # trained without pairs
PRESENT = ("gated", *OPTIONS, "hsic 20")  # the defaults, and options
DECODES_PAIRS = (*PRESENT, "0.1", "group", "ada")  # two images per row
WITHOUT_PARTITIONS = ("ungated", "schedule", "ada")
SCHEDULED = (*PRESENT, "schedule")


def run_one(run: Run, settings: Settings, sources: Sources, output: Path) -> dict[str, Any]:
    """Train and evaluate; results as JSON types. Swaps of the first seed are saved in `output`."""
    data = load(run.data, sources, settings.n_faces)
    partitions = Partitions(data.sizes, ["rest"])
    training, test, unseen = data.split(run.seed)
    started = time.perf_counter()
    try:
        model = fit(run, settings, data, training)
        diverged = not all(torch.isfinite(each).all() for each in model.parameters())
    except (ArithmeticError, UnboundLocalError):
        diverged = True  # Pythae raises these if a loss is NaN, or if none is below 1e12
    seconds = round(time.perf_counter() - started, 1)
    if diverged:
        return {"seconds": seconds, "diverged": True}
    if run.scheme in WITHOUT_PARTITIONS:
        assign_dimensions(model, training[: settings.n_fit], partitions, data.intended, run.seed)
    if run.part == "main" and run.scheme == "gated" and run.backbone == "beta" and not run.seed:
        draw_swaps(model, data, test, output / f"study_swap_{run.data}.png")
    return {
        "seconds": seconds,
        **evaluate_model(model, run.seed, settings, data, training, test, unseen),
    }


def fit(
    run: Run,
    settings: Settings,
    data: DataSet,
    training: Part,
    *,
    labels: Mapping[str, Any] | None = None,
    make_pairs: Callable[..., PairedDataset] = PairedDataset,
) -> Any:
    """The run's model, trained so that all decode as many images, in total and per step.

    `labels`, by partition, replace those of the run, and `make_pairs` the class of its pairs.
    """
    partitions = Partitions(data.sizes, ["rest"])
    if labels is None:
        labels = label(data, training, np.random.default_rng(run.seed), run.share, run.wrong)
    mean, beta = mean_and_beta(training.images)
    classes = {name: as_classes(values) for name, values in labels.items()}
    model = make_model(
        run.scheme, run.backbone, run.multiple * beta, partitions, mean, classes, seed=run.seed
    )
    rows: Any
    if run.scheme in ON_IMAGES:
        columns = np.concatenate(list(classes.values()), axis=1)
        given = np.arange(len(columns)) if run.scheme == "lord" else columns
        rows = BaseDataset(torch.from_numpy(training.images), torch.from_numpy(given))
    else:
        # As in version 0.1, unless the defaults are studied.
        weights = None if run.scheme in SCHEDULED else {"self": 1.0}
        rows = make_pairs(training.images, partitions, labels, weights=weights)
    batch = settings.images // (2 if run.scheme in DECODES_PAIRS else 1)
    # Epochs of equal length on all data sets, as if those were repeated.
    steps = round(run.steps * settings.steps) // settings.epochs
    epochs = [settings.epochs]
    if run.scheme == "lord":  # its last phase begins after three quarters
        epochs = [settings.epochs * 3 // 4, settings.epochs - settings.epochs * 3 // 4]
    for phase, number in enumerate(epochs):
        model.amortising = phase == 1
        with tempfile.TemporaryDirectory() as folder, silence():
            train(
                model,
                Subset(rows, np.resize(np.arange(len(rows)), steps * batch).tolist()),
                folder,
                epochs=number,
                batch_size=batch,
                learning_rate=settings.learning_rate,
                seed=run.seed,
                callbacks=[GatedSchedule()] if run.scheme in SCHEDULED else [],
            )
    return model


def as_classes(labels: np.ma.MaskedArray) -> np.ndarray:  # (N, F) -> (N, F)
    """Each column's values as classes 0, 1, ..., with -1 for masked values."""
    columns = [np.unique(column.data, return_inverse=True)[1] for column in labels.T]
    return np.where(np.ma.getmaskarray(labels), -1, np.stack(columns, axis=1))


def evaluate_model(
    model: Any,
    seed: int,
    settings: Settings,
    data: DataSet,
    training: Part,
    test: Part,
    unseen: Part | None = None,
) -> dict[str, Any]:
    """Scores on held-out data, from sampled codes and from posterior means, to four digits.

    Of a value that was held out as a whole, factors are predicted from their own partitions.
    """
    fitted = training[: settings.n_fit]
    how: dict[str, Any] = {
        "partitions": Partitions(data.sizes), "intended": data.intended, "seed": seed
    }  # fmt: skip
    sampled = evaluate(
        model, fitted.images, fitted.factors, test=(test.images, test.factors), **how
    )
    fitted_means, test_means = (posterior(model, part.images)[0] for part in (fitted, test))
    of_means = partition_scores(
        fitted_means.numpy(), fitted.factors, how["partitions"],
        test=(test_means.numpy(), test.factors), permutations=1, seed=seed,
    )  # fmt: skip
    means = {
        name: dict(zip(fitted.factors, row, strict=True))
        for name, row in zip(data.sizes, of_means.scores.tolist(), strict=True)
    }
    found: dict[str, Any] = {
        "D": sampled.disentanglement, "C": sampled.completeness,
        "I": sampled.mean_informativeness, "informativeness": sampled.informativeness,
        "leakage": sampled.leakage, "leakage of means": sampled.leakage_of_means,
        "sample": sampled.scores, "mean": means, "chance": sampled.chance,
        "error": sampled.reconstruction_error, "kl": sampled.kl_by_partition,
        "active": sampled.active_units, "intended": data.intended,
    }  # fmt: skip
    if unseen is not None and len(unseen.images):
        known = {each: of for each, of in fitted.factors.items() if each != data.unseen}
        hidden = {each: unseen.factors[each] for each in known}
        how["intended"] = {each: data.intended[each] for each in known}
        scores = evaluate(
            model, fitted.images, known, test=(unseen.images, hidden), **how
        ).scores  # fmt: skip
        found["unseen"] = {each: scores[data.intended[each]][each] for each in known}
    rounded: dict[str, Any] = _rounded(found)
    return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def draw_swaps(model: Any, data: DataSet, test: Part, path: Path) -> None:
    """Ten held-out images, with the first labelled partition of up to six that differ in it."""
    partition, (factor, *_) = next(iter(data.labelled.items()))
    columns = test.images[np.linspace(0, len(test.images) - 1, 10).astype(int)]
    rows = test.images[one_of_each(test.factors[factor])[:6]]
    save_swaps(model, rows, columns, partition, path)
