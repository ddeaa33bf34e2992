"""Images into a model and out of it again, for any Pythae VAE, gated or not."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pythae_gated.errors import PartitionError
from pythae_gated.partitions import Partitions

Images: TypeAlias = npt.NDArray[Any] | Tensor


def as_images(data: Images) -> Tensor:
    """Images as a float32 tensor: the one rule of scaling in this library.

    uint8 is divided by 255, so that 255 becomes 1; every other width of float becomes float32
    and keeps its values. (Images of zeros and ones stored as uint8, as dSprites has them, are
    to be turned into floats by the caller.)

    Args:
        data: Images of any shape. A float32 tensor is returned as it is, and so is the memory
            of a writeable float32 array.

    Raises:
        ValueError: Where the data is neither uint8 nor float.

    Example:
        >>> as_images(np.array([0, 51, 255], dtype=np.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """
    if not isinstance(data, Tensor):
        # torch takes neither read-only memory (a memmap's) nor negative strides: copied if so.
        array = np.require(data, requirements=["C", "W"])
        if array.dtype != np.uint8 and array.dtype.kind != "f":
            raise ValueError(_not_images(array.dtype))
        data = torch.from_numpy(array)
    if data.dtype == torch.uint8:
        return data.to(torch.float32).div_(255)
    if not data.is_floating_point():
        raise ValueError(_not_images(data.dtype))
    return data.to(torch.float32)


def _not_images(dtype: object) -> str:
    return (
        f"images of dtype {dtype}: expected uint8, from 0 to 255, or a float; "
        "convert them first, with .astype('float32'), say"
    )


def check_finite(images: Tensor, first: int = 0) -> None:
    """Refuse images that hold NaN or infinity.

    Args:
        images: Shape (B, ...).
        first: The index of the first image among all of them, for the error's text.

    Raises:
        ValueError: Naming the first such image.

    Example:
        >>> check_finite(torch.tensor([[0.5], [float("nan")]]), first=100)
        Traceback (most recent call last):
        ValueError: image 101 holds NaN or infinity
    """
    bad = ~torch.isfinite(images).flatten(1).all(dim=1)
    if bad.any():
        raise ValueError(f"image {first + int(bad.nonzero()[0])} holds NaN or infinity")


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Run the model in eval mode and without gradient; each module's mode is restored.

    Example:
        >>> layer = nn.Dropout()
        >>> with inference(layer):
        ...     layer.training
        False
        >>> layer.training
        True
    """
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in training.items():
            module.training = mode


def posterior(
    model: nn.Module, data: Images, batch_size: int = 512
) -> tuple[Tensor, Tensor]:  # (N, L), (N, L)
    """Mean and log variance of the Gaussian posterior q(z|x) of each image.

    Computed batch by batch in the model's own device and dtype, in eval mode; given back as
    float32 on the CPU.

    Args:
        model: Any Pythae VAE whose encoder returns `embedding` and `log_covariance`.
        data: Images, shape (N, *input_dim), scaled by `as_images`.
        batch_size: Images encoded at once.

    Raises:
        TypeError: Where the model has no such encoder.
        ValueError: Where there is no image, one holds NaN, or their shape is not the model's.
    """
    encoder = _part(model, "encoder")
    if len(data) == 0 or batch_size < 1:
        raise ValueError(f"{len(data)} images in batches of {batch_size}: at least 1 of each")
    means, log_vars = [], []
    with inference(model):
        for start in range(0, len(data), batch_size):
            images = as_images(data[start : start + batch_size])
            check_finite(images, start)
            output = encoder(like_model(model, images))
            _check_output(model, output, images)
            means.append(output["embedding"].float().cpu())
            log_vars.append(output["log_covariance"].float().cpu())
    return torch.cat(means), torch.cat(log_vars)


def decode(
    model: nn.Module,
    z: Tensor,  # (N, L)
    batch_size: int = 512,
) -> Tensor:  # (N, *input_dim)
    """What the model's decoder makes of these codes: float32 on the CPU, in eval mode.

    Raises:
        TypeError: Where the model has no decoder.
    """
    decoder = _part(model, "decoder")
    with inference(model):
        batches = [like_model(model, batch) for batch in torch.split(z, batch_size)]
        return torch.cat([decoder(batch)["reconstruction"].float().cpu() for batch in batches])


def resolve_partitions(
    model: nn.Module, partitions: Partitions | Mapping[str, int] | None, latent_dim: int
) -> Partitions:
    """The partitions that the caller names, else the model's own, else one called `"latent"`.

    Raises:
        PartitionError: Where they do not sum to the latent dimension.
    """
    if partitions is None:
        own = getattr(model, "partitions", None)
        partitions = own if isinstance(own, Partitions) else {"latent": latent_dim}
    if not isinstance(partitions, Partitions):
        partitions = Partitions(partitions)
    if partitions.latent_dim != latent_dim:
        raise PartitionError(
            f"the partitions {partitions.sizes} sum to {partitions.latent_dim}; the model has "
            f"{latent_dim} latent dimensions"
        )
    return partitions


def _part(model: nn.Module, name: str) -> Any:
    part = getattr(model, name, None)
    if part is None:
        raise TypeError(f"{type(model).__name__} has no {name}: expected a Pythae VAE")
    return part


def like_model(model: nn.Module, x: Tensor) -> Tensor:
    """The tensor on the device and in the dtype of the model's parameters."""
    return x.to(next(model.parameters(), torch.empty(0)))


def _check_output(model: nn.Module, output: Any, images: Tensor) -> None:
    missing = [key for key in ("embedding", "log_covariance") if key not in output]
    if missing:
        raise TypeError(
            f"the encoder of {type(model).__name__} returns no {missing[0]}: expected a VAE "
            "with a Gaussian posterior"
        )
    shape = output["embedding"].shape
    # Pythae's own MLP flattens whatever it is given, so images of a wrong size give extra rows.
    if len(shape) != 2 or shape[0] != len(images):
        raise ValueError(
            f"images of shape {tuple(images.shape)} gave an embedding of shape {tuple(shape)}; "
            f"expected ({len(images)}, L). The model's images have shape "
            f"{getattr(model, 'input_dim', None)}"
        )
