"""The untrained model of each run."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pythae.models import INFOVAE_MMD, BetaVAE, BetaVAEConfig, INFOVAE_MMD_Config
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from training import make_networks

import pythae_gated
from pythae_gated import DIPVAE, GatedDIPVAE, Partitions
from pythae_gated.inference import posterior, sample_posterior
from pythae_gated.metrics import dci
from study_parts.competitors import LORD, AdaGVAE, GroupVAE, SupervisedBetaVAE
from study_parts.data import Part
from study_parts.readings import READINGS

MMD_LAMBDA = 0.3
DIP_LAMBDA = 5.0  # both of them

# Config fields of the gated schemes. "swap" is the swap consistency of all labelled partitions.
NOT_ROBUST: dict[str, Any] = {"robust_pairs": False}
RATIO_10: dict[str, Any] = {**NOT_ROBUST, "kl_ratio": 10.0}
ZERO_REST: dict[str, Any] = {**RATIO_10, "closed_rest": "zero", "swap": 1.0}
SCHEMES: dict[str, dict[str, Any]] = {
    "gated": {},
    "not robust": NOT_ROBUST,
    "zero rest": ZERO_REST,
    "equal kl": {**ZERO_REST, "kl_ratio": 1.0},
    "no hsic": {**ZERO_REST, "swap": 2.0, "rest_hsic": 0.0},
    "hsic 20": {**ZERO_REST, "rest_hsic": 20.0},
    "ratio 10": RATIO_10,
    "more swap": {**RATIO_10, "swap": 1.0},
    "less swap": {**RATIO_10, "swap": 0.5},
    "0.1": {
        **NOT_ROBUST,
        "agreement": 0.0,
        "labelled_kl": 1.0,
        "kl_ratio": 1.0,
        "swap_consistency": 0.0,
        "rest_hsic": 0.0,
    },
    **{name: {"closed_partitions": "input"} for name in ("input", *READINGS)},
}


class _PixelNoise:
    """A reconstruction error divided by the variance of the pixel noise.

    DIP-VAE's KL has a fixed weight of 1; a noise variance of 0.1 corresponds to a beta of 0.1.
    """

    noise_variance = 1.0

    def loss_function(self, recon_x: Tensor, x: Tensor, *args: Any) -> Any:
        unit = self.noise_variance**0.5
        return super().loss_function(recon_x / unit, x / unit, *args)  # type: ignore[misc]


class NoisyDIPVAE(_PixelNoise, DIPVAE):
    """DIP-VAE with a pixel noise variance."""


class GatedNoisyDIPVAE(_PixelNoise, GatedDIPVAE):
    """Gated DIP-VAE with a pixel noise variance."""

    kl_weight = 1.0


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
        "ungated": (NoisyDIPVAE, pythae_gated.DIPVAEConfig),
        "gated": (GatedNoisyDIPVAE, pythae_gated.GatedDIPVAEConfig),
    },
}


def make_model(
    scheme: str,
    backbone: str,
    beta: float,
    partitions: Partitions,
    mean: Tensor,  # (*input_dim)
    classes: Mapping[str, np.ndarray],  # labelled partition -> (N,) or (N, F), -1 unknown
    *,
    seed: int,
) -> Any:
    """The model of a scheme, with the same networks and initial weights for all schemes."""
    latent_dim = partitions.latent_dim
    networks = make_networks(latent_dim, mean, seed=seed)
    settings: dict[str, Any] = {"input_dim": tuple(mean.shape), "latent_dim": latent_dim}
    if scheme in ("group", "ada", "supervised", "lord"):
        config = BetaVAEConfig(**settings, beta=beta)
        if scheme == "supervised":
            heads = {
                f"{name} {column}": (name, int(values.max()) + 1)
                for name, columns in classes.items()
                for column, values in enumerate(columns.T)
            }
            return SupervisedBetaVAE(config, *networks, partitions, heads)
        if scheme == "lord":
            whole = {
                name: torch.from_numpy(np.unique(columns, axis=0, return_inverse=True)[1])
                for name, columns in classes.items()
            }
            return LORD(config, *networks, partitions, whole)
        return {"group": GroupVAE, "ada": AdaGVAE}[scheme](config, *networks, partitions)
    settings |= {
        "beta": {"beta": beta},
        "info": {"alpha": 1 - beta, "lbd": MMD_LAMBDA},
        "dip": {"lambda_od": DIP_LAMBDA, "lambda_d": DIP_LAMBDA},
    }[backbone]
    # `GatedSchedule` is for gated models, and one partition is the whole of the latent space.
    gated = scheme in (*SCHEMES, "schedule")
    model_class, config_class = BACKBONES[backbone]["gated" if gated else "ungated"]
    if scheme in SCHEMES:
        model_class = READINGS.get(scheme, model_class)
        settings |= {"partitions": dict(partitions.sizes), "rest": list(partitions.rest)}
        settings |= SCHEMES[scheme]
        if swap := settings.pop("swap", 0):
            settings["swap_consistency"] = swap / len(partitions.labelled)
    model = model_class(config_class(**settings), *networks)
    if backbone == "dip":
        model.noise_variance = beta
    return model


def assign_dimensions(
    model: Any, part: Part, partitions: Partitions, intended: Mapping[str, str], seed: int
) -> None:
    """Permute the latent dimensions of a model without partitions for the best alignment.

    Dimensions are assigned to partitions so that the share of importance in the intended
    partitions is maximal (on codes of training images); the networks' units are permuted.
    """
    encoded = posterior(model, part.images, batch_size=1_000)
    codes = sample_posterior(encoded, torch.Generator().manual_seed(seed))
    importance = dci(codes.numpy(), {each: part.factors[each] for each in intended}, seed=seed)
    places = [name for name, size in partitions.sizes.items() for _ in range(size)]
    wanted = np.array([[home == place for home in intended.values()] for place in places])
    _, order = linear_sum_assignment(wanted @ importance.importance.T, maximize=True)
    with torch.no_grad():
        for layer in (model.encoder.embedding, model.encoder.log_var):
            layer.weight.copy_(layer.weight[order])
            layer.bias.copy_(layer.bias[order])
        first = model.decoder.layers[0]
        first.weight.copy_(first.weight[:, order])
