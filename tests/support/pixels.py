"""A VAE whose four latent dimensions are the first four values of its input."""

import torch
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import nn


class PixelEncoder(BaseEncoder):
    def __init__(self, log_var):
        super().__init__()
        self.log_var = log_var
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        assert not torch.is_grad_enabled()
        assert not self.training
        mu = x.flatten(1)[:, :4] * self.scale
        return ModelOutput(embedding=mu, log_covariance=torch.full_like(mu, self.log_var))


class PixelDecoder(BaseDecoder):
    """Decodes four values, or images of 2 x 2 pixels with equal channels."""

    def __init__(self, input_dim):
        super().__init__()
        self.input_dim = input_dim

    def forward(self, z):
        assert not torch.is_grad_enabled()
        assert not self.training
        dimensions = len(self.input_dim)
        x = z if dimensions == 1 else z.reshape(-1, *(1, 2, 2)[-dimensions:])
        return ModelOutput(reconstruction=x.expand(-1, *self.input_dim))


def make_pixel_vae(
    model=VAE, config=VAEConfig, *, input_dim=None, channels=1, log_var=0.0, **fields
):
    input_dim = input_dim or (channels, 2, 2)
    return model(
        config(input_dim=input_dim, latent_dim=4, **fields),
        encoder=PixelEncoder(log_var),
        decoder=PixelDecoder(input_dim),
    )
