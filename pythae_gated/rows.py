"""Inputs and targets as one batch of 2B rows: joined, halved, and cut to the inputs again."""

from typing import Any

import torch
from torch import Tensor


def joined(data: Tensor, target: Tensor) -> Tensor:
    """Data and target as 2B rows: no copy where they lie so already, as fetched pairs do."""
    if (
        data.is_contiguous()
        and target.is_contiguous()
        and target.data_ptr() == data.data_ptr() + data.nbytes
        and target.untyped_storage().data_ptr() == data.untyped_storage().data_ptr()
        and not (data.requires_grad or target.requires_grad)
    ):
        return data.as_strided((2 * len(data), *data.shape[1:]), data.stride())
    return torch.cat([data, target])


def halves(value: Any, rows: int) -> tuple[Any, ...]:
    """The first and the second half of a tensor of that many rows; anything else as it is."""
    if isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == rows:
        return value.chunk(2)
    return value, value


def cut_to_inputs(output: Any, rows: int) -> None:
    """Keep of an output of 2B rows the inputs' B: their codes, and what is made from them."""
    for key, value in list(output.items()):
        if isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == 2 * rows:
            output[key] = value[rows:] if key == "recon_x" else value[:rows]
