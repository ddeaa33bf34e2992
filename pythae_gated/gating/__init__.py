"""The method: the gate, the config and the model that use it, and which parents it fits."""

from pythae_gated.gating.config import GatedConfigMixin
from pythae_gated.gating.gate import gate_gradient
from pythae_gated.gating.mixin import GatedMixin

__all__ = ["GatedConfigMixin", "GatedMixin", "gate_gradient"]
