"""Gated variants of Pythae's models, and DIP-VAE: each file holds a config and its class."""

from pythae_gated.models.beta_tc_vae import GatedBetaTCVAE, GatedBetaTCVAEConfig
from pythae_gated.models.beta_vae import GatedBetaVAE, GatedBetaVAEConfig
from pythae_gated.models.dip_vae import DIPVAE, DIPVAEConfig, GatedDIPVAE, GatedDIPVAEConfig
from pythae_gated.models.disentangled_beta_vae import (
    GatedDisentangledBetaVAE,
    GatedDisentangledBetaVAEConfig,
)
from pythae_gated.models.info_vae import GatedINFOVAE_MMD, GatedINFOVAE_MMD_Config
from pythae_gated.models.vae import GatedVAE, GatedVAEConfig

__all__ = [
    "DIPVAE",
    "DIPVAEConfig",
    "GatedBetaTCVAE",
    "GatedBetaTCVAEConfig",
    "GatedBetaVAE",
    "GatedBetaVAEConfig",
    "GatedDIPVAE",
    "GatedDIPVAEConfig",
    "GatedDisentangledBetaVAE",
    "GatedDisentangledBetaVAEConfig",
    "GatedINFOVAE_MMD",
    "GatedINFOVAE_MMD_Config",
    "GatedVAE",
    "GatedVAEConfig",
]
