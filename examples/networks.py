"""Small convolutional networks for square images, in the way that Pythae asks for them."""

from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import Tensor, nn


class ConvEncoder(BaseEncoder):
    """Convolutions of stride 2 and a hidden layer; gives means and log-variances.

    As many convolutions as channels, down to 4 x 4: three for images of 32 x 32. The posterior
    starts narrow: at a variance of 1, codes that still say little drown in noise, and some seeds
    of a VAE then sit at the mean image for epochs.
    """

    def __init__(self, latent_dim: int, channels: tuple[int, ...] = (16, 32, 32)) -> None:
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
    """The encoder's mirror, plus the mean image, so that training starts at what differs."""

    def __init__(
        self,
        latent_dim: int,
        mean_image: Tensor,  # (1, S, S)
        channels: tuple[int, ...] = (16, 32, 32),
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
