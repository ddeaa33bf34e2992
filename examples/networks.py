"""Small convolutional networks for images of 32 x 32, in the way that Pythae asks for them."""

from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import Tensor, nn


class ConvEncoder(BaseEncoder):
    """Three convolutions of stride 2 and a hidden layer; gives means and log-variances.

    The posterior starts narrow: at a variance of 1, codes that still say little drown in noise,
    and some seeds of a VAE then sit at the mean image for epochs.
    """

    def __init__(self, latent_dim: int, channels: tuple[int, int, int] = (16, 32, 32)) -> None:
        super().__init__()
        a, b, c = channels
        self.features = nn.Sequential(
            nn.Conv2d(1, a, 4, 2, 1), nn.SiLU(),
            nn.Conv2d(a, b, 4, 2, 1), nn.SiLU(),
            nn.Conv2d(b, c, 4, 2, 1), nn.SiLU(),
            nn.Flatten(), nn.Linear(c * 16, 128), nn.SiLU(),
        )  # fmt: skip
        self.embedding = nn.Linear(128, latent_dim)
        self.log_var = nn.Linear(128, latent_dim)
        nn.init.constant_(self.log_var.bias, -3.0)

    def forward(self, x: Tensor) -> ModelOutput:  # (B, 1, 32, 32)
        features = self.features(x)
        return ModelOutput(
            embedding=self.embedding(features), log_covariance=self.log_var(features)
        )


class ConvDecoder(BaseDecoder):
    """The encoder's mirror, plus the mean image, so that training starts at what differs."""

    def __init__(
        self,
        latent_dim: int,
        mean_image: Tensor,  # (1, 32, 32)
        channels: tuple[int, int, int] = (16, 32, 32),
    ) -> None:
        super().__init__()
        a, b, c = channels
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, 128), nn.SiLU(),
            nn.Linear(128, c * 16), nn.SiLU(), nn.Unflatten(1, (c, 4, 4)),
            nn.ConvTranspose2d(c, b, 4, 2, 1), nn.SiLU(),
            nn.ConvTranspose2d(b, a, 4, 2, 1), nn.SiLU(),
            nn.ConvTranspose2d(a, 1, 4, 2, 1, bias=False),
        )  # fmt: skip
        self.bias = nn.Parameter(mean_image.clone())

    def forward(self, z: Tensor) -> ModelOutput:  # (B, L)
        return ModelOutput(reconstruction=self.layers(z) + self.bias)
