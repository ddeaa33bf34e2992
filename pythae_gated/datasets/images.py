"""Where a dataset's images come from: arrays, tensors, memmaps, or a dataset read item by item."""

import mmap
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from pythae_gated.datasets.partners import Indices
from pythae_gated.errors import PairingError
from pythae_gated.inference import Images, as_images

Data: TypeAlias = Any  # Images, or whatever has a length and gives item i for data[i]

_CHECKED_AT_ONCE = 1024  # images


def check_data(data: Data) -> None:
    """Refuse data that cannot be images, and NaN where the images lie in memory.

    Raises:
        PairingError: Naming what is wrong.
    """
    if not isinstance(data, (Tensor, np.ndarray)):
        if isinstance(data, Sequence) or not hasattr(data, "__getitem__"):
            raise PairingError(
                f"data is a {type(data).__name__}: expected an array, tensor, memmap or dataset"
            )
        if not hasattr(data, "__len__"):
            raise PairingError(f"the dataset {type(data).__name__} has no length: give it __len__")
        if len(data) == 0:
            raise PairingError(f"the dataset {type(data).__name__} is empty")
        return
    if data.ndim < 2 or len(data) == 0:
        raise PairingError(f"data of shape {tuple(data.shape)}: expected (N, *input_dim), N > 0")
    try:
        as_images(data[:0])
    except ValueError as error:
        raise PairingError(str(error)) from None
    is_float = data.is_floating_point() if isinstance(data, Tensor) else data.dtype.kind == "f"
    if is_float and not isinstance(data, np.memmap):
        for start in range(0, len(data), _CHECKED_AT_ONCE):
            images = as_images(data[start : start + _CHECKED_AT_ONCE]).cpu()
            _refuse_nan(images, np.arange(start, start + len(images)))


def gather(data: Data, indices: Indices) -> Tensor:  # (n, *input_dim)
    """The images at these indices as one float32 tensor, scaled by `as_images`.

    Raises:
        PairingError: Where an image that was not in memory before holds NaN or cannot be read.
    """
    if isinstance(data, Tensor) and (data.is_cuda or data.dtype == torch.bfloat16):
        return as_images(data[torch.from_numpy(indices).to(data.device)])
    if isinstance(data, (Tensor, np.ndarray)):
        # numpy's take is as fast as torch's on an idle machine, and does not wait for busy cores.
        images = as_images(np.asarray(data).take(indices, axis=0))
        if isinstance(data, np.memmap):
            _refuse_nan(images, indices)
        return images
    images = torch.stack([_read(data, int(index)) for index in indices])
    _refuse_nan(images, indices)
    return images


def _read(data: Data, index: int) -> Tensor:
    try:
        item = data[index]
        if isinstance(item, Mapping):
            item = item["data"]
        elif isinstance(item, (tuple, list)):
            item = item[0]
        return as_images(item if isinstance(item, Tensor) else np.asarray(item))
    except Exception as error:
        raise PairingError(f"item {index} of the data cannot be read: {error}") from error


def _refuse_nan(images: Tensor, indices: Indices) -> None:
    bad = torch.isnan(images).flatten(1).any(1)
    if bad.any():
        raise PairingError(f"image {indices[bad.numpy()][0]} holds NaN; mend it or leave it out")


class MemmapFile:
    """A memmap as what it takes to open it again: worker processes get this, not the bytes."""

    def __init__(self, data: Any) -> None:
        order = "F" if data.flags.f_contiguous and not data.flags.c_contiguous else "C"
        self._arguments: Any = (data.filename, data.dtype, "r", data.offset, data.shape, order)

    @staticmethod
    def describes(data: Data) -> bool:
        """Whether the data is a whole memmap, and not a view of part of one."""
        return isinstance(data, np.memmap) and isinstance(data.base, mmap.mmap)

    def open(self) -> Images:
        """The memmap again, to be read."""
        images: Images = np.memmap(*self._arguments)
        return images
