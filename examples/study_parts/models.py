"""The untrained model of each run."""

from typing import Any

import numpy as np
import torch
from pythae.models import INFOVAE_MMD, BetaVAE, BetaVAEConfig, INFOVAE_MMD_Config
from quickstart import INTENDED, PARTITIONS
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from training import make_networks

import pythae_gated
from pythae_gated import DIPVAE, GatedDIPVAE, Partitions
from pythae_gated.inference import posterior, sample_posterior
from pythae_gated.metrics import dci
from study_parts import competitors
from study_parts.faces import Faces
from study_parts.remedies import REMEDIES
from study_parts.runs import FIRST_SCHEME, Run

LATENT_DIM = sum(PARTITIONS.values())
MMD_LAMBDA = 0.3
DIP_LAMBDA = 5.0  # both of them

CHANNELS = {32: (16, 32, 32), 64: (16, 16, 32, 32)}  # by image size


class _PixelNoise:
    """A reconstruction error divided by the variance of the pixel noise.

    DIP-VAE's KL has a fixed weight of 1; a noise variance of 0.1 corresponds to a beta of 0.1.
    """

    noise_variance = 1.0

    def loss_function(self, recon_x: Tensor, x: Tensor, *args: Any) -> Any:
        unit = self.noise_variance**0.5
        return super().loss_function(recon_x / unit, x / unit, *args)  # type: ignore[misc]


class FacesDIPVAE(_PixelNoise, DIPVAE):
    """DIP-VAE with a pixel noise variance."""


class GatedFacesDIPVAE(_PixelNoise, GatedDIPVAE):
    """Gated DIP-VAE with a pixel noise variance."""


BACKBONES: dict[str, dict[str, Any]] = {
    "beta": {
        "ungated": (BetaVAE, BetaVAEConfig),
        "gated": (pythae_gated.GatedBetaVAE, pythae_gated.GatedBetaVAEConfig),
    },
    "info": {
        "ungated": (INFOVAE_MMD, INFOVAE_MMD_Config),
        "gated": (pythae_gated.GatedINFOVAE_MMD, pythae_gated.GatedINFOVAE_MMD_Config),
    },
    "dip": {
        "ungated": (FacesDIPVAE, pythae_gated.DIPVAEConfig),
        "gated": (GatedFacesDIPVAE, pythae_gated.GatedDIPVAEConfig),
    },
}


def make_model(run: Run, partitions: Partitions, data: Faces) -> torch.nn.Module:
    """The run's model, with the same networks and initial weights for all schemes."""
    channels = CHANNELS[data.images.shape[-1]]
    mean_image = torch.from_numpy(data.images.mean(0, dtype=np.float32) / 255)
    networks = make_networks(LATENT_DIM, mean_image, channels, seed=run.seed)
    settings: dict[str, Any] = {"input_dim": data.images.shape[1:], "latent_dim": LATENT_DIM}
    if run.scheme in ("group", "ada", "match", "supervised"):
        config = BetaVAEConfig(**settings, beta=run.weight)
        return _competitor(run.scheme, config, networks, partitions, data)
    settings |= {
        "beta": {"beta": run.weight},
        "info": {
            "alpha": 1 - run.weight,
            "lbd": 1.0 if run.option == "lambda 1" else MMD_LAMBDA,
        },
        "dip": {"lambda_od": DIP_LAMBDA, "lambda_d": DIP_LAMBDA},
    }[run.backbone]
    if run.scheme == "ungated":
        model_class, config_class = BACKBONES[run.backbone]["ungated"]
    else:
        model_class, config_class = BACKBONES[run.backbone]["gated"]
        model_class = REMEDIES.get(run.scheme, model_class)
        settings |= {"partitions": partitions.sizes, "rest": list(partitions.rest)}
        settings |= FIRST_SCHEME
        settings["closed_partitions"] = "input" if run.scheme == "input" else "target"
    model = model_class(config_class(**settings), *networks)
    if run.backbone == "dip":
        model.noise_variance = run.weight
    if run.option == "ten times the weight":
        model.weight *= 10
    return model  # type: ignore[no-any-return]


def _competitor(
    scheme: str, config: Any, networks: Any, partitions: Partitions, data: Faces
) -> torch.nn.Module:
    if scheme == "supervised":
        heads = {
            factor: (partition, len(np.unique(data.factors[factor])))
            for factor, partition in INTENDED.items()
            if partition not in partitions.rest
        }
        return competitors.SupervisedBetaVAE(config, *networks, partitions, heads)
    if scheme == "match":
        channels = CHANNELS[data.images.shape[-1]]
        discriminator = competitors.PairDiscriminator(
            len(partitions.names), data.images.shape[1:], channels
        )
        return competitors.MatchPairing(config, *networks, discriminator, partitions)
    model = {"group": competitors.GroupVAE, "ada": competitors.AdaGVAE}[scheme]
    return model(config, *networks, partitions)


def assign_dimensions(model: Any, data: Faces, seed: int) -> None:
    """Permute the latent dimensions of a model without partitions for the best alignment.

    Dimensions are assigned to partitions so that the share of importance in the intended
    partitions is maximal (on codes of training images); the networks' units are permuted.
    """
    images, factors = data.fit
    encoded = posterior(model, images, batch_size=1_000)
    codes = sample_posterior(encoded, torch.Generator().manual_seed(seed))
    importance = dci(codes.numpy(), factors, seed=seed).importance
    places = [name for name, size in PARTITIONS.items() for _ in range(size)]
    intended = np.array([[INTENDED[factor] == place for factor in factors] for place in places])
    _, order = linear_sum_assignment(intended @ importance.T, maximize=True)
    with torch.no_grad():
        for layer in (model.encoder.embedding, model.encoder.log_var):
            layer.weight.copy_(layer.weight[order])
            layer.bias.copy_(layer.bias[order])
        first = model.decoder.layers[0]
        first.weight.copy_(first.weight[:, order])
