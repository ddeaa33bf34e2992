"""Images in arrays, tensors, memmaps or map-style datasets, read in batches."""

import mmap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pythae_gated.inference import Images, as_images

Data: TypeAlias = Any  # Images, or a map-style dataset

_CHECKED_AT_ONCE = 1024  # images


def check_data(data: Data) -> None:
    """Check the type and shape of images, and that images in memory contain no NaN.

    Raises:
        ValueError: If a check fails.
    """
    if not isinstance(data, (Tensor, np.ndarray)):
        if isinstance(data, Sequence) or not hasattr(data, "__getitem__"):
            raise ValueError(
                f"data is a {type(data).__name__}: expected an array, tensor, memmap or dataset"
            )
        if not hasattr(data, "__len__"):
            raise ValueError(f"the dataset {type(data).__name__} has no length: give it __len__")
        if len(data) == 0:
            raise ValueError(f"the dataset {type(data).__name__} is empty")
        return
    if data.ndim < 2 or len(data) == 0:
        raise ValueError(f"data of shape {tuple(data.shape)}: expected (N, *input_dim), N > 0")
    as_images(data[:0])
    is_float = data.is_floating_point() if isinstance(data, Tensor) else data.dtype.kind == "f"
    if is_float and not isinstance(data, np.memmap):
        for start in range(0, len(data), _CHECKED_AT_ONCE):
            images = as_images(data[start : start + _CHECKED_AT_ONCE]).cpu()
            _refuse_nan(images, np.arange(start, start + len(images)))


def gather(data: Data, indices: NDArray[Any]) -> Tensor:  # (n, *input_dim)
    """Read the images at these indices as one float32 tensor, scaled by `as_images`.

    Raises:
        ValueError: If an image that is read from a file or dataset contains NaN or fails to load.
    """
    if isinstance(data, Tensor) and (data.is_cuda or data.dtype == torch.bfloat16):
        return as_images(data[torch.from_numpy(indices).to(data.device)])
    if isinstance(data, (Tensor, np.ndarray)):
        # numpy's take is as fast as torch's on idle cores, and does not wait for busy ones.
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
        raise ValueError(f"item {index} of the data cannot be read: {error}") from error


def _refuse_nan(images: Tensor, indices: NDArray[Any]) -> None:
    bad = torch.isnan(images).flatten(1).any(1)
    if bad.any():
        raise ValueError(f"image {indices[bad.numpy()][0]} contains NaN; fix or drop it")


def reopen_memmap(data: Data) -> Callable[[], Images] | None:
    """How another process opens a memmap again; None for other data and for views of a memmap."""
    if not isinstance(data, np.memmap) or not isinstance(data.base, mmap.mmap):
        return None
    order = "F" if data.flags.f_contiguous and not data.flags.c_contiguous else "C"
    return partial(np.memmap, data.filename, data.dtype, "r", data.offset, data.shape, order)
