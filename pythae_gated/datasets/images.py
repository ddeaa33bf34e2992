"""Images of any kind (arrays, memmaps, lists, datasets), read in batches."""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from pythae_gated.datasets.frames import from_pandas

Images: TypeAlias = Any  # of any kind that `open_images` reads

_MOST_IMAGES, _MOST_VALUES = 1024, 2**24  # to read at once
BETA_RULE = 0.005  # of half the squared error of the mean


def as_images(data: NDArray[Any] | Tensor) -> Tensor:
    """Images as a float32 tensor: the one scaling rule of this library.

    uint8 is divided by 255; floats of any width become float32 and keep their values. (Convert
    images of zeros and ones stored as uint8, as in dSprites, to float first.)

    Args:
        data: Images of any shape. A float32 tensor is returned as it is; a writeable float32
            array shares its memory.

    Raises:
        ValueError: If the data is neither uint8 nor float.

    Example:
        >>> as_images(np.array([0, 51, 255], dtype=np.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """
    is_float = data.is_floating_point() if isinstance(data, Tensor) else data.dtype.kind == "f"
    if not is_float and data.dtype not in (np.uint8, torch.uint8):
        raise ValueError(
            f"images of dtype {data.dtype}: expected uint8, from 0 to 255, or a float; convert "
            "them with .astype('float32'), and divide them by their largest possible value"
        )
    if not isinstance(data, Tensor):
        # torch supports neither read-only memory (of a memmap) nor negative strides, nor floats
        # of every width and byte order.
        dtype = np.float32 if is_float else np.uint8
        data = torch.from_numpy(np.require(data, dtype, ["C", "W"]))
    images = data.to(torch.float32)
    return images if is_float else images.div_(255)


def open_images(data: Any, image_key: Any = None) -> "ImageReader":
    """A reader of images of any kind, whose length is N.

    Args:
        data: Images (N, *input_dim), an array, tensor, memmap or HDF5 dataset; a data frame of
            numbers; a list of arrays, tensors or PIL images; a map-style dataset whose item i is
            an image, (image, ...) or {"data": image}; a `PairedDataset`; or a `Subset` of one of
            these. PIL images become (C, H, W). Worker processes open a memmap by its file name,
            unless it is of mode "c" or a part that is not contiguous: those are sent whole.
        image_key: The key or position of the image in an item of a dataset, if it is another.

    Raises:
        ValueError: If the data is of another type, empty or masked, or images in memory are not
            finite.

    Example:
        >>> reader = open_images([np.full((1, 2, 2), 51 * i, dtype=np.uint8) for i in range(6)])
        >>> len(reader), reader.read([5, 1]).flatten(1).mean(1)
        (6, tensor([1.0000, 0.2000]))
    """
    for reader in (data, getattr(data, "images", None)):  # itself, or that of a PairedDataset
        if isinstance(reader, ImageReader):
            return reader
    if isinstance(data, Subset) and type(data).__getitem__ is Subset.__getitem__:
        return open_images(data.dataset, image_key).subset(np.asarray(data.indices))
    if type(data) is TensorDataset and image_key is None:
        data = data.tensors[0]
    return ImageReader(data, image_key)


def read_all(data: Images) -> Tensor:  # (N, *input_dim)
    """All images as one float32 tensor on the CPU; see `open_images`."""
    reader = open_images(data)
    return reader.read(range(len(reader))).cpu()


def mean_and_beta(data: Images) -> tuple[Tensor, float]:
    """The mean of the data, for decoders, and the beta of a beta-VAE to start with.

    beta is 0.005 times half the squared error of the mean, which is the reconstruction error of a
    collapsed VAE. It suits `reconstruction_loss="mse"`; where it was measured, and where it fails,
    stands in the README ("Settings").

    Args:
        data: Images (N, *input_dim) of any kind that `open_images` takes. Of more than 10,000, as
            many at equal distances are read.

    Returns:
        The mean (*input_dim) and beta.

    Example:
        >>> mean_and_beta(np.array([[0.0, 4.0], [2.0, 0.0]]))
        (tensor([1., 2.]), 0.0125)
    """
    reader = open_images(data)
    chosen = np.linspace(0, len(reader) - 1, min(len(reader), 10_000)).round().astype(int)
    mean, square = torch.zeros(1), torch.zeros(1)
    for chunk in np.array_split(chosen, -(-len(chosen) // reader.read_at_once)):
        images = reader.read(chunk).cpu().double()
        mean = mean + images.sum(0) / len(chosen)
        square = square + images.square().sum() / len(chosen)
    return mean.float(), BETA_RULE * 0.5 * float(square - mean.square().sum())


class ImageReader:
    """Images in one array or map-style dataset; see `open_images`.

    Attributes:
        index: Of a data frame, the names of its rows; else None.
        columns: Of a data frame, the names of its columns; else None.
        read_at_once: Images to read at once where all are read.
    """

    index: Any = None
    columns: Any = None

    def __init__(self, data: Any, image_key: Any = None) -> None:
        if hasattr(data, "iloc"):
            self.index, self.columns = data.index, getattr(data, "columns", None)
            data = from_pandas(data)
        _check_type(data, image_key is not None)
        self.data, self._key = data, image_key
        self._items: NDArray[Any] = np.arange(len(data))
        self._is_finite = False
        in_memory = isinstance(data, (Tensor, np.ndarray)) and not isinstance(data, np.memmap)
        first = self.read([0])
        self.read_at_once = step = min(_MOST_IMAGES, -(-_MOST_VALUES // first.numel()))
        n = len(self) if in_memory else 0
        chunks = (range(n)[i : i + step] for i in range(0, n, step))
        highest = max(map(float, (first.max(), *(self.read(chunk).max() for chunk in chunks))))
        self._is_finite = in_memory or getattr(data, "dtype", None) == np.uint8
        if highest == as_images(np.array(1, dtype=np.uint8)):
            warnings.warn(
                "the images are zeros and ones in uint8, which become 0 and 1/255: convert them "
                "with .astype('float32')",
                stacklevel=4,
            )

    def __len__(self) -> int:
        return len(self._items)

    def subset(self, indices: NDArray[Any]) -> "ImageReader":
        """A reader of the images at these indices, in their order."""
        part = object.__new__(ImageReader)
        vars(part).update(vars(self), _items=self._items[indices])
        part.index = None if self.index is None else self.index[indices]
        return part

    def read(self, indices: Sequence[int] | NDArray[Any]) -> Tensor:  # (n, *input_dim)
        """Read images as one float32 tensor, scaled by `as_images`.

        Raises:
            ValueError: If an image cannot be read, or contains NaN or infinity.
        """
        items, data = self._items[np.asarray(indices)], self.data
        if isinstance(data, Tensor) and (data.is_cuda or data.dtype == torch.bfloat16):
            images = as_images(data.detach()[torch.from_numpy(items).to(data.device)])
        elif isinstance(data, (Tensor, np.ndarray)):
            # numpy's take is as fast as torch's on idle cores, and does not wait for busy ones.
            array = data.detach().numpy() if isinstance(data, Tensor) else np.asarray(data)
            images = as_images(array.take(items, axis=0))
        else:
            distinct, place = np.unique(items, return_inverse=True)  # a self pair is read once
            try:
                images = torch.stack([self._read_item(i) for i in distinct.tolist()])[place]
            except RuntimeError as error:
                raise ValueError(f"the images differ in shape, so resize them: {error}") from error
        if not self._is_finite and not (finite := images.isfinite().flatten(1).all(1)).all():
            bad = items[~finite.cpu().numpy()][0]
            raise ValueError(f"image {bad} contains NaN or infinity; fix or drop it")
        return images

    def _read_item(self, index: int) -> Tensor:
        try:
            item, key = self.data[index], self._key
            if isinstance(item, Mapping):
                key = "data" if key is None else key
                if key not in item:
                    raise KeyError(f"no {key!r} in {list(item)}; name the image by image_key=")
                item = item[key]
            elif isinstance(item, (tuple, list)):
                item = item[0 if key is None else key]
            return as_images(_as_pixels(item))
        except Exception as error:
            raise ValueError(f"item {index} of the data cannot be read: {error}") from error

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "data": _reopen(self.data) or self.data}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if isinstance(self.data, partial):
            self.data = self.data()


def _check_type(data: Any, has_key: bool) -> None:
    name = type(data).__name__
    for method, kind in {"toarray": "sparse ", "to_dense": "sparse ", "to_pandas": ""}.items():
        has_method = hasattr(data, method) and getattr(data, "layout", None) != torch.strided
        if has_method and not has_key:  # with a key, a dataset that could be a table, too
            raise ValueError(f"data is a {kind}{name}: give data.{method}()")
    needed = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if isinstance(data, (str, bytes, Mapping)) or not needed:
        raise ValueError(
            f"data is a {name}: expected an array, tensor, memmap, list of images, or dataset "
            "with __getitem__ and __len__"
        )
    shape = tuple(getattr(data, "shape", (len(data), 1)))
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"data is a {name} of shape {shape}: expected (N, *input_dim), N > 0")
    if np.ma.is_masked(data):
        raise ValueError("data has masked pixels: replace them, as in data.filled(0)")


def _as_pixels(image: Any) -> Any:
    """An array or tensor; PIL images as (C, H, W)."""
    if hasattr(image, "getbands"):
        array = np.asarray(image.convert({"1": "L", "P": "RGB"}.get(image.mode, image.mode)))
        return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    if not getattr(image, "ndim", 0) or np.ma.is_masked(image):
        raise TypeError(
            f"{type(image).__name__} is not an array, tensor or PIL image without missing pixels; "
            "of an item of several parts, name the image by image_key="
        )
    return image.detach() if isinstance(image, Tensor) else np.asarray(image)


def _reopen(data: Any) -> partial[Any] | None:
    """How another process opens an HDF5 dataset or a contiguous (part of a) memmap again."""
    if type(data).__module__.startswith("h5py."):
        return partial(_open_hdf5, type(data.file), data.file.filename, data.name)
    root = data
    while isinstance(root, np.ndarray) and isinstance(root.base, np.ndarray):
        root = root.base
    is_part = isinstance(root, np.memmap) and data.flags.forc  # contiguous, in either order
    if not is_part or root.filename is None or root.mode == "c":
        return None  # changes in memory only are sent as they are
    order = "C" if data.flags.c_contiguous else "F"
    offset = root.offset + data.ctypes.data - root.ctypes.data
    return partial(np.memmap, root.filename, data.dtype, "r", offset, data.shape, order)


def _open_hdf5(file: Any, path: str, name: str) -> Any:
    return file(path)[name]
