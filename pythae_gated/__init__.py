"""Gated variational autoencoders for Pythae: weakly supervised disentanglement.

Importing this package registers its models with Pythae's AutoConfig and AutoModel.
"""

from pythae_gated.datasets import PairedDataset
from pythae_gated.errors import GateError, PairingError, PartitionError
from pythae_gated.gating import GatedConfigMixin, GatedMixin, gate_gradient
from pythae_gated.models import (
    DIPVAE,
    DIPVAEConfig,
    GatedBetaTCVAE,
    GatedBetaTCVAEConfig,
    GatedBetaVAE,
    GatedBetaVAEConfig,
    GatedDIPVAE,
    GatedDIPVAEConfig,
    GatedDisentangledBetaVAE,
    GatedDisentangledBetaVAEConfig,
    GatedINFOVAE_MMD,
    GatedINFOVAE_MMD_Config,
    GatedVAE,
    GatedVAEConfig,
)
from pythae_gated.partitions import Partitions
from pythae_gated.registry import register_model

__version__ = "0.1.0"

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
