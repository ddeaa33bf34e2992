"""Gated variants of Pythae's models, and DIP-VAE: one file per model, its config and its class."""
