"""Small networks for square images and for tables, with the interface that Pythae requires."""

import torch
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import Tensor, nn

CHANNELS = (16, 32, 32)  # for images of 32 x 32


class ConvEncoder(BaseEncoder):
    """Convolutions of stride 2 down to 4 x 4, then a hidden layer, means and log-variances.

    One convolution per channel width: three for images of 32 x 32. The log-variances are
    initialised at -3: with unit variance, the noise drowns the codes of an untrained encoder, and
    some seeds collapse to the mean image for epochs.
    """

    def __init__(self, latent_dim: int, channels: tuple[int, ...] = CHANNELS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((1, *channels), channels, strict=False):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.SiLU()]
        hidden = [nn.Flatten(), nn.Linear(channels[-1] * 16, 128), nn.SiLU()]
        self.features = nn.Sequential(*layers, *hidden)
        self.embedding = nn.Linear(128, latent_dim)
        self.log_var = nn.Linear(128, latent_dim)
        nn.init.constant_(self.log_var.bias, -3.0)

    def forward(self, x: Tensor) -> ModelOutput:  # (B, 1, S, S)
        features = self.features(x)
        return ModelOutput(
            embedding=self.embedding(features), log_covariance=self.log_var(features)
        )


class ConvDecoder(BaseDecoder):
    """The encoder mirrored; its output bias is initialised with the mean image."""

    def __init__(
        self,
        latent_dim: int,
        mean_image: Tensor,  # (1, S, S)
        channels: tuple[int, ...] = CHANNELS,
    ) -> None:
        super().__init__()
        first, *widths = channels[::-1]
        layers = [nn.Linear(latent_dim, 128), nn.SiLU(), nn.Linear(128, first * 16), nn.SiLU()]
        layers.append(nn.Unflatten(1, (first, 4, 4)))
        for before, after in zip((first, *widths), widths, strict=False):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.SiLU()]
        layers.append(nn.ConvTranspose2d(channels[0], 1, 4, 2, 1, bias=False))
        self.layers = nn.Sequential(*layers)
        self.bias = nn.Parameter(mean_image.clone())

    def forward(self, z: Tensor) -> ModelOutput:  # (B, L)
        return ModelOutput(reconstruction=self.layers(z) + self.bias)


class MLPEncoder(BaseEncoder):
    """Two hidden layers for tables and small images; log-variances initialised at -3."""

    def __init__(self, latent_dim: int, input_size: int, hidden: int = 256) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Flatten(),
            nn.Linear(input_size, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.embedding = nn.Linear(hidden, latent_dim)
        self.log_var = nn.Linear(hidden, latent_dim)
        nn.init.constant_(self.log_var.bias, -3.0)

    def forward(self, x: Tensor) -> ModelOutput:  # (B, *input_dim)
        features = self.features(x)
        return ModelOutput(
            embedding=self.embedding(features), log_covariance=self.log_var(features)
        )


class MLPDecoder(BaseDecoder):
    """The encoder mirrored, without a Sigmoid; its output bias is initialised with the mean."""

    def __init__(self, latent_dim: int, mean: Tensor, hidden: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, mean.numel(), bias=False),
            nn.Unflatten(1, mean.shape),
        )
        self.bias = nn.Parameter(mean.clone())

    def forward(self, z: Tensor) -> ModelOutput:  # (B, L)
        return ModelOutput(reconstruction=self.layers(z) + self.bias)


def make_networks(
    latent_dim: int,
    mean_image: Tensor,  # (1, S, S)
    channels: tuple[int, ...] = CHANNELS,
    *,
    seed: int,
) -> tuple[ConvEncoder, ConvDecoder]:
    """An encoder and a decoder; the same seed gives the same initial weights."""
    torch.manual_seed(seed)
    return ConvEncoder(latent_dim, channels), ConvDecoder(latent_dim, mean_image, channels)
