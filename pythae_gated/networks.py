"""Encoders and decoders for images and tables, to be passed to any Pythae VAE.

Optional: Pythae's own networks and yours work as well. These three choices made training reliable
on small data: SiLU activations; log-variances that are initialised at -3, because with unit
variance the noise drowns the codes of an untrained encoder; and an output bias that is
initialised with the mean of the data. Decoders have no Sigmoid, so `reconstruction_loss` is "mse".

    mean, beta = mean_and_beta(images)  # of pythae_gated.datasets
    config = GatedBetaVAEConfig(input_dim=(1, 32, 32), latent_dim=16, beta=beta, ...)
    networks = ConvEncoder((1, 32, 32), 16), ConvDecoder((1, 32, 32), 16, mean)
    model = GatedBetaVAE(config, *networks)
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import Tensor, nn

__all__ = ["ConvDecoder", "ConvEncoder", "MLPDecoder", "MLPEncoder"]

_SMALLEST = 4  # pixels a side, below which images are not halved by default
_DEEPEST = 3  # convolutions by default: with more, the signal is too weak and VAEs collapse


class _Encoder(BaseEncoder):
    """Features, means and log-variances."""

    def __init__(self, features: Iterable[nn.Module], n_features: int, latent_dim: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.embedding = nn.Linear(n_features, latent_dim)
        self.log_var = nn.Linear(n_features, latent_dim)
        nn.init.constant_(self.log_var.bias, -3.0)

    def forward(self, x: Tensor) -> ModelOutput:  # (B, *input_dim)
        """`embedding` and `log_covariance`, both (B, L)."""
        hidden = self.features(x)
        return ModelOutput(embedding=self.embedding(hidden), log_covariance=self.log_var(hidden))


class _Decoder(BaseDecoder):
    """Layers and an output bias."""

    def __init__(self, layers: Iterable[nn.Module], input_dim: Sequence[int], mean: Any) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        start = torch.zeros(*input_dim) if mean is None else torch.as_tensor(mean).float().clone()
        if start.shape != tuple(input_dim):
            raise ValueError(f"mean has shape {tuple(start.shape)}: expected {tuple(input_dim)}")
        self.bias = nn.Parameter(start)

    def forward(self, z: Tensor) -> ModelOutput:  # (B, L)
        """`reconstruction` (B, *input_dim)."""
        return ModelOutput(reconstruction=self.layers(z) + self.bias)


class ConvEncoder(_Encoder):
    """Convolutions of stride 2, a hidden layer, means and log-variances.

    Args:
        input_dim: (C, H, W), square or oblong.
        latent_dim: L.
        channels: Channels of each convolution, which halves both sides. Default: 16, 32, 32, as
            long as both sides are even and larger than 4.
        hidden: Units of the hidden layer.

    Raises:
        ValueError: If a side cannot be halved that often.
    """

    def __init__(
        self,
        input_dim: Sequence[int],
        latent_dim: int,
        channels: Sequence[int] | None = None,
        hidden: int = 128,
    ) -> None:
        widths, last = _plan(input_dim, channels)
        layers: list[nn.Module] = []
        for before, after in zip((input_dim[0], *widths), widths, strict=False):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.SiLU()]
        layers += [nn.Flatten(), nn.Linear(math.prod(last), hidden), nn.SiLU()]
        super().__init__(layers, hidden, latent_dim)
        self.input_dim = tuple(input_dim)

    def forward(self, x: Tensor) -> ModelOutput:  # (B, C, H, W), (B, H, W) or flattened
        """As in the base class."""
        return super().forward(x if x.ndim == 4 else x.reshape(len(x), *self.input_dim))


class ConvDecoder(_Decoder):
    """`ConvEncoder` mirrored, for outputs of any range.

    Args:
        input_dim: (C, H, W).
        latent_dim: L.
        mean: The mean image (C, H, W), with which the output bias is initialised, as
            `pythae_gated.datasets.mean_and_beta` computes it. Default: zeros.
        channels: As for the encoder.
        hidden: As for the encoder.

    Raises:
        ValueError: As the encoder, or if `mean` has another shape.
    """

    def __init__(
        self,
        input_dim: Sequence[int],
        latent_dim: int,
        mean: Any = None,
        channels: Sequence[int] | None = None,
        hidden: int = 128,
    ) -> None:
        widths, last = _plan(input_dim, channels)
        layers: list[nn.Module] = [nn.Linear(latent_dim, hidden), nn.SiLU()]
        layers += [nn.Linear(hidden, math.prod(last)), nn.SiLU(), nn.Unflatten(1, last)]
        for before, after in zip(widths[::-1], widths[-2::-1], strict=False):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.SiLU()]
        layers.append(nn.ConvTranspose2d(widths[0], input_dim[0], 4, 2, 1, bias=False))
        super().__init__(layers, input_dim, mean)


class MLPEncoder(_Encoder):
    """Two hidden layers, for tables, spectra and very small images.

    Args:
        input_dim: Shape of an item, such as (D,).
        latent_dim: L.
        hidden: Units of each hidden layer.
    """

    def __init__(self, input_dim: Sequence[int], latent_dim: int, hidden: int = 256) -> None:
        layers = [nn.Flatten(), nn.Linear(math.prod(input_dim), hidden), nn.SiLU()]
        super().__init__([*layers, nn.Linear(hidden, hidden), nn.SiLU()], hidden, latent_dim)


class MLPDecoder(_Decoder):
    """`MLPEncoder` mirrored, for outputs of any range.

    Args:
        input_dim: Shape of an item, such as (D,).
        latent_dim: L.
        mean: The mean item, of shape `input_dim`, with which the output bias is initialised, as
            `pythae_gated.datasets.mean_and_beta` computes it. Default: zeros.
        hidden: Units of each hidden layer.

    Raises:
        ValueError: If `mean` has another shape.
    """

    def __init__(
        self, input_dim: Sequence[int], latent_dim: int, mean: Any = None, hidden: int = 256
    ) -> None:
        layers = [nn.Linear(latent_dim, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()]
        layers.append(nn.Linear(hidden, math.prod(input_dim), bias=False))
        super().__init__([*layers, nn.Unflatten(1, tuple(input_dim))], input_dim, mean)


def _plan(
    input_dim: Sequence[int], channels: Sequence[int] | None
) -> tuple[list[int], tuple[int, ...]]:
    """Channels of each convolution, and the shape (C, H, W) after the last."""
    if len(input_dim) != 3:
        raise ValueError(f"input_dim is {tuple(input_dim)}: expected (C, H, W), or use an MLP")
    sides, n = input_dim[1:], 0
    while n < _DEEPEST and all(s % 2 ** (n + 1) == 0 and s >> n > _SMALLEST for s in sides):
        n += 1
    widths = [16, *[32] * (n - 1)][:n] if channels is None else list(channels)
    if not widths or any(side % 2 ** len(widths) for side in sides):
        raise ValueError(
            f"images of {sides[0]} x {sides[1]} do not suit {max(len(widths), 1)} convolutions of "
            "stride 2: pad or crop them to a multiple of 8, or use MLPEncoder and MLPDecoder"
        )
    return widths, (widths[-1], *(side // 2 ** len(widths) for side in sides))
