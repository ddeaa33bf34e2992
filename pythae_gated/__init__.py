"""Gated variational autoencoders for Pythae: weakly supervised disentanglement.

Importing this package registers its models with Pythae's AutoConfig and AutoModel.
"""

from pythae_gated.config import GatedConfigMixin
from pythae_gated.datasets import PairedDataset
from pythae_gated.errors import GateError, PairingError, PartitionError
from pythae_gated.gating import GatedMixin, gate_gradient
from pythae_gated.models import GatedBetaVAE, GatedBetaVAEConfig
from pythae_gated.partitions import Partitions
from pythae_gated.registry import register_model

__version__ = "0.1.0"

__all__ = [
    "GateError",
    "GatedBetaVAE",
    "GatedBetaVAEConfig",
    "GatedConfigMixin",
    "GatedMixin",
    "PairedDataset",
    "PairingError",
    "PartitionError",
    "Partitions",
    "gate_gradient",
    "register_model",
]

register_model(GatedBetaVAEConfig, GatedBetaVAE)
