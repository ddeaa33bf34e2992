"""An encoder and a decoder of a user's own, as Pythae asks for them."""

import torch
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import nn


class Encoder(BaseEncoder):
    def __init__(self, config):
        super().__init__()
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.Tanh(), nn.Dropout(0.1))
        self.mean = nn.Linear(12, config.latent_dim)
        self.log_var = nn.Linear(12, config.latent_dim)

    def forward(self, x):
        hidden = self.hidden(x)
        return ModelOutput(embedding=self.mean(hidden), log_covariance=self.log_var(hidden))


class Decoder(BaseDecoder):
    def __init__(self, config):
        super().__init__()
        self.out = nn.Linear(config.latent_dim, 16)

    def forward(self, z):
        return ModelOutput(reconstruction=torch.sigmoid(self.out(z)).reshape(-1, 1, 4, 4))
