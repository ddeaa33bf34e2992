"""Gated variational autoencoders for Pythae: weakly supervised disentanglement.

Importing this package registers its models with Pythae's AutoConfig and AutoModel.
"""

from pythae_gated.datasets import PairedDataset
from pythae_gated.errors import GateError, PairingError, PartitionError
from pythae_gated.gating import GatedConfigMixin, GatedMixin, gate_gradient
from pythae_gated.models.beta_tc_vae import GatedBetaTCVAE, GatedBetaTCVAEConfig
from pythae_gated.models.beta_vae import GatedBetaVAE, GatedBetaVAEConfig
from pythae_gated.models.dip_vae import DIPVAE, DIPVAEConfig, GatedDIPVAE, GatedDIPVAEConfig
from pythae_gated.models.disentangled_beta_vae import (
    GatedDisentangledBetaVAE,
    GatedDisentangledBetaVAEConfig,
)
from pythae_gated.models.info_vae import GatedINFOVAE_MMD, GatedINFOVAE_MMD_Config
from pythae_gated.models.vae import GatedVAE, GatedVAEConfig
from pythae_gated.partitions import Partitions
from pythae_gated.registry import register_model

__version__ = "0.2.0"

__all__ = [
    "DIPVAE",
    "DIPVAEConfig",
    "GateError",
    "GatedBetaTCVAE",
    "GatedBetaTCVAEConfig",
    "GatedBetaVAE",
    "GatedBetaVAEConfig",
    "GatedConfigMixin",
    "GatedDIPVAE",
    "GatedDIPVAEConfig",
    "GatedDisentangledBetaVAE",
    "GatedDisentangledBetaVAEConfig",
    "GatedINFOVAE_MMD",
    "GatedINFOVAE_MMD_Config",
    "GatedMixin",
    "GatedVAE",
    "GatedVAEConfig",
    "PairedDataset",
    "PairingError",
    "PartitionError",
    "Partitions",
    "gate_gradient",
    "register_model",
]

for _config, _model in (
    (DIPVAEConfig, DIPVAE),
    (GatedBetaTCVAEConfig, GatedBetaTCVAE),
    (GatedBetaVAEConfig, GatedBetaVAE),
    (GatedDIPVAEConfig, GatedDIPVAE),
    (GatedDisentangledBetaVAEConfig, GatedDisentangledBetaVAE),
    (GatedINFOVAE_MMD_Config, GatedINFOVAE_MMD),
    (GatedVAEConfig, GatedVAE),
):
    register_model(_config, _model)
