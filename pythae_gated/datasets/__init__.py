"""Datasets: pairs for gated models, and rendered faces to try them on."""

from pythae_gated.datasets.faces import make_faces
from pythae_gated.datasets.paired import PairedDataset

__all__ = ["PairedDataset", "make_faces"]
