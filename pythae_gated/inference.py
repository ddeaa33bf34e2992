"""A trained VAE applied to data: batched, checked, in eval mode and without gradient."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import torch
from pythae.models import HVAE, RHVAE, VAE_IAF, PoincareVAE, VAE_LinNF
from torch import Tensor, nn

from pythae_gated.datasets.frames import check_columns
from pythae_gated.datasets.images import Images, open_images
from pythae_gated.errors import GateError, PartitionError
from pythae_gated.partitions import Partitions


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
        data: Images of any kind that `open_images` reads, in a shape that `fit_shape` accepts.
        batch_size: Images encoded at once, in the model's own device and dtype.
        name: Name of the data in error messages.

    Returns:
        Means and log-variances on the CPU, in float32 (float64 for a float64 model).

    Raises:
        TypeError: If the model has no such encoder, or transforms its samples by a flow.
        ValueError: If there is no image, one contains NaN or infinity, or they have another
            shape than the model's, or codes are not finite.
    """
    if isinstance(model, (VAE_IAF, VAE_LinNF, HVAE, RHVAE, PoincareVAE)):
        raise TypeError(f"{type(model).__name__} has no Gaussian posterior: it transforms samples")
    encoder, reader = _submodule(model, "encoder"), open_images(data)
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: expected at least 1")
    means, log_vars = [], []
    with inference_mode(model):
        for start in range(0, len(reader), batch_size):
            images = reader.read(range(start, min(start + batch_size, len(reader))))
            images = fit_shape(images, getattr(model, "input_dim", None), name)
            output = encoder(to_device_of(model, images))
            _check_output(model, output, len(images))
            means.append(_to_cpu(output["embedding"]))
            log_vars.append(_to_cpu(output["log_covariance"]))
    found = torch.cat(means), torch.cat(log_vars)
    if not all(each.isfinite().all() for each in found):
        raise ValueError(f"codes of {name} are not finite: is it scaled as the training data was?")
    return found


def sample_posterior(
    encoded: Sequence[Tensor],  # (N, L), (N, L)
    generator: torch.Generator | None = None,
) -> Tensor:  # (N, L)
    """One sample of each posterior, mu + exp(log_var / 2) eps with eps ~ N(0, I).

    Args:
        encoded: Means and log-variances on the CPU, as from `posterior`.
        generator: A generator on the CPU; None is torch's global one.
    """
    means, log_vars = encoded
    return means + torch.exp(log_vars / 2) * torch.randn(means.shape, generator=generator)


def decode(model: nn.Module, z: Tensor, batch_size: int = 512) -> Tensor:  # (..., *input_dim)
    """Decode codes (..., L), batch by batch, to images on the CPU, in float32 (or float64).

    Raises:
        TypeError: If the model has no decoder.
    """
    decoder = _submodule(model, "decoder")
    with inference_mode(model):
        batches = [to_device_of(model, each) for each in torch.split(z.flatten(0, -2), batch_size)]
        images = torch.cat([_to_cpu(decoder(batch)["reconstruction"]) for batch in batches])
    shape = getattr(model, "input_dim", None) or images.shape[1:]
    if images.shape[1:].numel() == math.prod(shape):  # else the output has another size
        images = images.reshape(-1, *shape)
    return images.reshape(*z.shape[:-1], *images.shape[1:])


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
    check_columns(getattr(a, "columns", None), b)
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
        check_columns(getattr(x, "columns", None), source)
        reader = open_images(source)
        chosen = torch.randint(len(reader), shape, generator=generator)
        rows, at = torch.unique(chosen, return_inverse=True)  # encode only what was drawn
        drawn = posterior(model, reader.subset(rows.numpy()), name="source")[0][at]
    z = resolved.exchange(kept[:, None].expand_as(drawn), drawn, names)  # (N, n, L)
    return decode(model, z)


def resolve_partitions(
    model: nn.Module, partitions: Partitions | Mapping[str, int] | None, latent_dim: int
) -> Partitions:
    """The given partitions, else the model's own, else a single one named `"latent"`.

    Raises:
        PartitionError: If they do not sum to the latent dimension, or the model has one of the
            same name in other dimensions.
    """
    own = getattr(model, "partitions", None)
    own = own if isinstance(own, Partitions) else None
    if partitions is None:
        partitions = own or {"latent": latent_dim}
    if not isinstance(partitions, Partitions):
        partitions = Partitions(partitions)
    partitions.check_latent_dim(latent_dim, "the model has")
    for name, dimensions in own.slices.items() if own else ():
        if partitions.slices.get(name, dimensions) != dimensions:
            raise PartitionError(f"{name!r} has other dimensions in the model, which has {own}")
    return partitions


def fit_shape(
    images: Tensor,  # (N, ...)
    input_dim: Sequence[int] | None,
    name: str = "data",
) -> Tensor:  # (N, *input_dim)
    """Images in the shape of a model's input; None if that is unknown, as of a custom network.

    They may be flattened, or have dimensions of size 1 more or fewer. No values are read, so host
    and device are not synchronised.

    Raises:
        GateError: If the shape is another one.

    Example:
        >>> fit_shape(torch.zeros(5, 28, 28), (1, 28, 28)).shape
        torch.Size([5, 1, 28, 28])
    """
    shape = tuple(images.shape[1:])
    expected = shape if input_dim is None else tuple(input_dim)
    sizes, wanted = ([size for size in each if size != 1] for each in (shape, expected))
    is_flat = len(sizes) <= 1 or len(wanted) <= 1
    if sizes == wanted or (is_flat and math.prod(sizes) == math.prod(wanted)):
        return images.reshape(len(images), *expected)
    hint = ""
    if (len(images), *shape) == expected:
        hint = f"; a single image is {name}[None]"
    elif (*shape[-1:], *shape[:-1]) == expected:
        hint = f"; channels come first: {name}.transpose{(0, len(shape), *range(1, len(shape)))}"
    raise GateError(f"{name} has images of shape {shape}: expected {expected}{hint}")


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
