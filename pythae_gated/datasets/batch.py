"""Batches of pairs: collated as they are read, and augmented."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from pythae.data.datasets import DatasetOutput
from torch import Tensor
from torch.utils.data import default_collate
from torch.utils.data._utils.collate import default_collate_fn_map

from pythae_gated.errors import PairingError
from pythae_gated.partitions import Partitions


class Row(DatasetOutput):
    """One pair, of a class of its own so that Pythae's rows collate as before."""


class Batch(Sequence[Row]):
    """A batch of pairs that is already collated, and still a sequence of rows."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns["data"])

    def __getitem__(self, index: Any) -> Any:
        position = range(len(self))[index]
        if isinstance(position, range):
            return [self[i] for i in position]
        columns = self.columns.items()
        return Row({key: c[position] if isinstance(c, Tensor) else c for key, c in columns})


def _collate(batch: Sequence[Row], *, collate_fn_map: Any = None) -> dict[str, Any]:
    if isinstance(batch, Batch):
        return batch.columns
    if any(row.keys() != batch[0].keys() for row in batch):
        raise PairingError("a batch mixes datasets with and without labels=: give it to all")
    return {key: default_collate([row[key] for row in batch]) for key in batch[0]}


def _collate_partitions(batch: Sequence[Partitions], *, collate_fn_map: Any = None) -> Partitions:
    if any(partitions != batch[0] for partitions in batch):
        raise PairingError("a batch mixes datasets of different partitions: use the same ones")
    return batch[0]


default_collate_fn_map.update({Row: _collate, Partitions: _collate_partitions})


def augment(
    images: Tensor, transform: Callable[[Tensor], Tensor], seeds: Iterable[int] | None = None
) -> Tensor:  # (n, *input_dim) -> (n, ...)
    """Transform a batch; with seeds, each image with torch's global generator seeded.

    Raises:
        PairingError: If the transform returns anything but a tensor of as many images.
    """
    if seeds is None:
        results = [transform(images)]
    else:
        results = []
        with torch.random.fork_rng(devices=[]):
            for image, seed in zip(images[:, None], seeds, strict=True):
                torch.default_generator.manual_seed(seed)
                results.append(transform(image))
    are_tensors = all(isinstance(result, Tensor) for result in results)
    if not are_tensors or sum(map(len, results)) != len(images):
        raise PairingError(
            f"transform returned a {type(results[0]).__name__} of shape "
            f"{getattr(results[0], 'shape', None)} for images of shape {tuple(images.shape)}: "
            "expected a tensor of as many images"
        )
    return torch.cat(results)
