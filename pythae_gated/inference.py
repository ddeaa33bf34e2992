"""A trained VAE applied to data: batched, checked, in eval mode and without gradient."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pythae_gated.errors import PartitionError
from pythae_gated.partitions import Partitions

Images: TypeAlias = npt.NDArray[Any] | Tensor


def as_images(data: Images) -> Tensor:
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
    if not isinstance(data, Tensor):
        # torch supports neither read-only memory (of a memmap) nor negative strides.
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
        f"images of dtype {dtype}: expected uint8, from 0 to 255, or a float; convert them, "
        "for instance with .astype('float32')"
    )


def check_finite(images: Tensor, first: int = 0) -> None:
    """Refuse images that contain NaN or infinity.

    Args:
        images: Shape (B, ...).
        first: Index of the first of these images, for the error message.

    Raises:
        ValueError: Naming the first such image.

    Example:
        >>> check_finite(torch.tensor([[0.5], [float("nan")]]), first=100)
        Traceback (most recent call last):
        ValueError: image 101 contains NaN or infinity; fix or drop it
    """
    bad = ~torch.isfinite(images).flatten(1).all(dim=1)
    if bad.any():
        index = first + int(bad.nonzero()[0])
        raise ValueError(f"image {index} contains NaN or infinity; fix or drop it")


def check_images(model: nn.Module, images: Images, name: str = "data") -> None:
    """Refuse images of another shape than (N, *model.input_dim), N > 0.

    Raises:
        ValueError: With both shapes.
    """
    shape, input_dim = tuple(images.shape), getattr(model, "input_dim", None)
    expected = shape[1:] if input_dim is None else tuple(input_dim)  # unknown: custom networks
    if len(shape) < 2 or shape[0] < 1 or shape[1:] != expected:
        size = ", ".join(map(str, expected)) or "*input_dim"
        hint = f"; a single image is {name}[None]" if shape == expected else ""
        raise ValueError(f"{name} has shape {shape}: expected (N, {size}), N > 0{hint}")


@contextmanager
def inference_mode(model: nn.Module) -> Iterator[None]:
    """Run the model in eval mode and without gradient, then restore the mode of each module.

    Example:
        >>> layer = nn.Dropout()
        >>> with inference_mode(layer):
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
    model: nn.Module, data: Images, batch_size: int = 512, *, name: str = "data"
) -> tuple[Tensor, Tensor]:  # (N, L), (N, L)
    """Mean and log-variance of the Gaussian posterior q(z|x) of each image.

    Args:
        model: Any Pythae VAE whose encoder returns `embedding` and `log_covariance`.
        data: Images, shape (N, *input_dim), scaled by `as_images`.
        batch_size: Images encoded at once, in the model's own device and dtype.
        name: Name of the data in error messages.

    Returns:
        Means and log-variances on the CPU, in float32 (float64 for a float64 model).

    Raises:
        TypeError: If the model has no such encoder.
        ValueError: If there is no image, one contains NaN or infinity, or they have another
            shape than the model's.
    """
    encoder = _submodule(model, "encoder")
    check_images(model, data, name)
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: expected at least 1")
    means, log_vars = [], []
    with inference_mode(model):
        for start in range(0, len(data), batch_size):
            images = as_images(data[start : start + batch_size])
            check_finite(images, start)
            output = encoder(to_device_of(model, images))
            _check_output(model, output, len(images))
            means.append(_to_cpu(output["embedding"]))
            log_vars.append(_to_cpu(output["log_covariance"]))
    return torch.cat(means), torch.cat(log_vars)


def decode(
    model: nn.Module,
    z: Tensor,  # (N, L)
    batch_size: int = 512,
) -> Tensor:  # (N, *input_dim)
    """Decode codes, batch by batch, to images on the CPU, in float32 (or float64).

    Raises:
        TypeError: If the model has no decoder.
    """
    decoder = _submodule(model, "decoder")
    with inference_mode(model):
        batches = [to_device_of(model, batch) for batch in torch.split(z, batch_size)]
        return torch.cat([_to_cpu(decoder(batch)["reconstruction"]) for batch in batches])


def swap(
    model: nn.Module,
    a: Images,  # (N, *input_dim)
    b: Images,  # (N, *input_dim) or (1, *input_dim)
    partition: str | Iterable[str],
    partitions: Partitions | Mapping[str, int] | None = None,
) -> Tensor:  # (N, *input_dim)
    """Reconstruct `a` with the posterior means of `b` in one or several partitions.

    Raises:
        PartitionError: If the partition does not exist.
        ValueError: If `b` has neither as many images as `a` nor one, or as `posterior` does.
    """
    if len(b) not in (1, len(a)):
        raise ValueError(f"a has {len(a)} images and b {len(b)}: expected as many, or one")
    kept, given = posterior(model, a, name="a")[0], posterior(model, b, name="b")[0]
    resolved = resolve_partitions(model, partitions, kept.shape[1])
    return decode(model, resolved.exchange(kept, given, partition))


def generate(
    model: nn.Module,
    x: Images,  # (N, *input_dim)
    vary: str | Iterable[str],
    n: int = 8,
    partitions: Partitions | Mapping[str, int] | None = None,
    *,
    source: Images | None = None,  # (S, *input_dim)
    generator: torch.Generator | None = None,
) -> Tensor:  # (N, n, *input_dim)
    """Variations of each image: the codes of some partitions are resampled, the others kept.

    The arguments are those of `GatedMixin.generate`, and `partitions` for an ungated model.
    """
    if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
        raise ValueError(f"n={n!r}: expected an int, at least 1 variation per image")
    if generator is not None and generator.device.type != "cpu":
        raise ValueError(
            f"the generator is on {generator.device}: samples are drawn on the CPU; pass a "
            "torch.Generator()"
        )
    kept = posterior(model, x, name="x")[0]
    resolved = resolve_partitions(model, partitions, kept.shape[1])
    names = resolved.resolve(vary)
    shape = (len(kept), n)
    if source is None:
        drawn = torch.randn((*shape, kept.shape[1]), generator=generator)
    else:
        check_images(model, source, "source")
        chosen = torch.randint(len(source), shape, generator=generator)
        rows, at = torch.unique(chosen, return_inverse=True)  # encode only what was drawn
        drawn = posterior(model, source[rows.numpy()], name="source")[0][at]
    z = resolved.exchange(kept[:, None].expand_as(drawn), drawn, names)  # (N, n, L)
    return decode(model, z.flatten(0, 1)).unflatten(0, shape)


def resolve_partitions(
    model: nn.Module, partitions: Partitions | Mapping[str, int] | None, latent_dim: int
) -> Partitions:
    """The given partitions, else the model's own, else a single one named `"latent"`.

    Raises:
        PartitionError: If they do not sum to the latent dimension.
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


def to_device_of(model: nn.Module, x: Tensor) -> Tensor:
    """The tensor in the device and dtype of the model's parameters."""
    return x.to(next(model.parameters(), torch.empty(0)))


def _to_cpu(x: Tensor) -> Tensor:
    return x.to("cpu", torch.promote_types(x.dtype, torch.float32))


def _submodule(model: nn.Module, name: str) -> Any:
    submodule = getattr(model, name, None)
    if submodule is None:
        raise TypeError(f"{type(model).__name__} has no {name}: expected a Pythae VAE")
    return submodule


def _check_output(model: nn.Module, output: Any, n_images: int) -> None:
    for key in ("embedding", "log_covariance"):
        if key not in output:
            raise TypeError(
                f"the encoder of {type(model).__name__} returns no {key}: expected a VAE with a "
                "Gaussian posterior"
            )
    shape = tuple(output["embedding"].shape)
    if len(shape) != 2 or shape[0] != n_images:
        raise ValueError(f"the embedding has shape {shape}: expected ({n_images}, L)")
