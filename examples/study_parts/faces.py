"""The faces of the study and their labels in training."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from quickstart import label_pose_and_expression

from pythae_gated import PairedDataset, Partitions
from pythae_gated.datasets import make_faces
from study_parts.runs import Run, Settings


@dataclass(frozen=True)
class Faces:
    """Training images (N, 1, S, S) and factors; a subset to fit forests on; a test set."""

    images: np.ndarray
    factors: dict[str, np.ndarray]
    fit: tuple[np.ndarray, dict[str, np.ndarray]]
    test: tuple[np.ndarray, dict[str, np.ndarray]]


@lru_cache(maxsize=1)
def load_faces(settings: Settings) -> Faces:
    """The faces of the study, the same for all runs and seeds."""
    n = settings.n_train
    images, factors = make_faces(n + settings.n_test, image_size=settings.image_size)

    def cut(start: int, stop: int | None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        rows = slice(start, stop)
        return images[rows], {name: values[rows] for name, values in factors.items()}

    return Faces(*cut(0, n), fit=cut(0, settings.n_fit), test=cut(n, None))


def label(run: Run, factors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Labels of each partition for the run, (N, F), NaN where unknown."""
    labels = label_pose_and_expression(factors)
    if run.labelled == "all":
        labels["identity"] = factors["identity"][:, None].astype(float)
    rng = np.random.default_rng(run.seed)
    for values in labels.values():
        # All columns of a wrong label come from the same other image.
        wrong = np.flatnonzero(rng.random(len(values)) < run.wrong)
        values[wrong] = values[rng.permutation(wrong)]
        values[rng.random(len(values)) >= run.share] = np.nan
    return labels


def training_data(run: Run, partitions: Partitions, data: Faces) -> Any:
    """Images and labels for the ungated and the supervised model, pairs for all others."""
    labels = label(run, data.factors)
    if run.scheme in ("ungated", "supervised"):
        images = torch.from_numpy(data.images).float() / 255
        columns = np.concatenate(list(labels.values()), axis=1)
        return BaseDataset(images, torch.from_numpy(as_classes(columns)))
    weights = {"three times the self pairs": {"self": 3.0}, "no self pairs": {"self": 0.0}}
    return PairedDataset(data.images, partitions, labels, weights=weights.get(run.option))


def as_classes(columns: np.ndarray) -> np.ndarray:
    """Each column's values as classes 0, 1, ..., with -1 for unknown values."""
    classes = np.full(columns.shape, -1, dtype=np.int64)
    for column, known in zip(columns.T, classes.T, strict=True):
        at = ~np.isnan(column)
        known[at] = np.unique(column[at], return_inverse=True)[1]
    return classes
