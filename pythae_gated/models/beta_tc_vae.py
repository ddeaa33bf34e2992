"""Gated beta-TCVAE."""

import torch
from pydantic.dataclasses import dataclass
from pythae.models import BetaTCVAE, BetaTCVAEConfig
from torch import Tensor

from pythae_gated.config import GatedConfigMixin
from pythae_gated.gating import GatedMixin


@dataclass
class GatedBetaTCVAEConfig(GatedConfigMixin, BetaTCVAEConfig):
    """Config of `GatedBetaTCVAE`: Pythae's `BetaTCVAEConfig` with partitions.

    Parameters:
        input_dim: Shape of one image, (C, H, W) say.
        latent_dim: L, the number of latent dimensions.
        reconstruction_loss: `"mse"` (the half squared error, summed over pixels) or `"bce"`.
        alpha: Weight of the mutual information of image and code.
        beta: Weight of the total correlation.
        gamma: Weight of the KL of each dimension.
        use_mss: Minibatch stratified sampling, else minibatch weighted sampling.
        partitions: Name of each partition -> its size, in order; None: one, `"latent"`.
        rest: The partitions that no factor speaks of.
        closed_partitions: What the decoder sees in closed partitions, `"target"` or `"input"`.
    """


class GatedBetaTCVAE(GatedMixin, BetaTCVAE):
    """Pythae's `BetaTCVAE`, gated (`GatedMixin` says how).

    A batch of one is finite, where Pythae's stratified sampling divides by zero.

    Args:
        model_config: A `GatedBetaTCVAEConfig`.
        encoder: A Pythae `BaseEncoder` of one's own; default: Pythae's perceptron.
        decoder: A Pythae `BaseDecoder` of one's own; default: Pythae's perceptron.

    Raises:
        PartitionError: Where the config is not gated, or its partitions do not fit.

    Reference:
        Chen et al., Isolating Sources of Disentanglement in VAEs, NeurIPS 2018; Vowels, Camgoz
        and Bowden, Gated Variational AutoEncoders, 2019 (arXiv 1911.06443).
    """

    def _log_importance_weight_matrix(self, batch_size: int, dataset_size: int) -> Tensor:
        if batch_size == 1:  # all the weight is on the one row
            return torch.zeros(1, 1)
        weights: Tensor = super()._log_importance_weight_matrix(batch_size, dataset_size)
        return weights
