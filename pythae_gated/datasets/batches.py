"""Batches that are collated as they are fetched, and still sequences of rows, as torch asks."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from pythae.data.datasets import DatasetOutput
from torch import Tensor
from torch.utils.data._utils.collate import default_collate_fn_map


class Row(DatasetOutput):
    """One pair. A class of its own, so that Pythae's rows collate as they always did."""


class Batch(Sequence[Row]):
    """A batch that is already collated, and still a sequence of rows."""

    def __init__(self, columns: dict[str, Tensor]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns["data"])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Batch({key: column[index] for key, column in self.columns.items()})
        position = range(len(self))[index]
        return Row(**{key: column[position] for key, column in self.columns.items()})

    def __iter__(self) -> Iterator[Row]:
        return (self[index] for index in range(len(self)))


def _collate(batch: Sequence[Row], *, collate_fn_map: Any = None) -> dict[str, Tensor]:
    if isinstance(batch, Batch):
        return batch.columns
    return {key: torch.stack([row[key] for row in batch]) for key in batch[0]}


default_collate_fn_map[Row] = _collate
