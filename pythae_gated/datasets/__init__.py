"""Datasets: pairs for gated models, the beta to start with, and rendered faces to try them on."""

from pythae_gated.datasets.faces import make_faces
from pythae_gated.datasets.images import mean_and_beta
from pythae_gated.datasets.paired import PairedDataset

__all__ = ["PairedDataset", "make_faces", "mean_and_beta"]
