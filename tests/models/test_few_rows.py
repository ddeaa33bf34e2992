"""A training on few rows of a table, with batch effects: its loss became NaN in two of three."""

import numpy as np
import pytest
import torch
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset
from pythae_gated.callbacks import GatedSchedule
from pythae_gated.datasets import mean_and_beta
from pythae_gated.networks import MLPDecoder, MLPEncoder


def make_table():
    """Rows of 30 measurements, each batch with a gain and an offset of its own."""
    rows, diagnosis = load_breast_cancer(return_X_y=True)
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 5, len(rows))
    offset = rng.normal(size=(5, 30))
    gain = np.exp(rng.normal(size=(5, 30)) * 0.2)
    rows = scale(scale(rows) * gain[batch] + offset[batch]).astype(np.float32)
    kept = rng.permutation(len(rows))[len(rows) // 5 :]
    return rows[kept], {"diagnosis": diagnosis[kept], "batch": batch[kept]}


@pytest.mark.slow
def test_the_defaults_do_not_diverge(tmp_path):
    rows, factors = make_table()
    torch.manual_seed(0)
    mean, beta = mean_and_beta(rows)
    sizes = {"diagnosis": 4, "batch": 4, "rest": 8}
    config = GatedBetaVAEConfig((30,), 16, beta=beta, partitions=sizes, rest=["rest"])
    model = GatedBetaVAE(config, MLPEncoder((30,), 16), MLPDecoder((30,), 16, mean))
    pairs = PairedDataset(rows, model.partitions, factors)
    training = BaseTrainerConfig(str(tmp_path), num_epochs=505, learning_rate=2e-3)
    TrainingPipeline(model, training)(pairs, callbacks=[GatedSchedule()])
    images = torch.from_numpy(rows)
    error = (model.eval().reconstruct(images) - images).square().sum(1).mean() / 2
    assert error < 2.5  # that of the mean is 15
