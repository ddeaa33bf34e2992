"""Gated variants of Pythae's models: one file a model, its config and its class side by side."""

from pythae_gated.models.beta_vae import GatedBetaVAE, GatedBetaVAEConfig

__all__ = ["GatedBetaVAE", "GatedBetaVAEConfig"]
