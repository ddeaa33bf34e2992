"""Smoke tests on a GPU: a training step of each model, also under AMP, and evaluation."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pythae_gated import PairedDataset
from pythae_gated.metrics import evaluate
from tests.support.models import MODELS, make

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

IMAGES = np.random.default_rng(0).random((200, 1, 4, 4), dtype=np.float32)


def to_cuda(batch):
    return {k: v.cuda() if isinstance(v, torch.Tensor) else v for k, v in batch.items()}


@pytest.mark.parametrize("closed", ["target", "input"])
@pytest.mark.parametrize("amp", [False, True], ids=["float32", "amp"])
@pytest.mark.parametrize("name", MODELS)
def test_a_step_gates_exactly(name, amp, closed):
    options = {"closed_partitions": closed, "rest": ["identity"], "robust_pairs": True}
    model = make(name, **options).cuda()
    labels = {"pose": np.arange(200) % 2, "expression": np.arange(200) % 3}
    weights = {"expression": 0, "self": 0}  # pairs that share the pose only
    pairs = PairedDataset(IMAGES, model.partitions, labels, weights=weights, seed=0)
    batch = to_cuda(next(iter(DataLoader(pairs, batch_size=16))))
    model(batch, dataset_size=200)  # the first call may allocate and synchronise
    if name in ("GatedVAE", "GatedBetaVAE", "GatedDIPVAE"):  # the other parents synchronise
        torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", enabled=amp):
            loss = model(batch, dataset_size=200).loss
        loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert loss.isfinite()
    for head in (model.encoder.embedding, model.encoder.log_var):
        assert (head.weight.grad[2:3] == 0).all()  # swap consistency trains the rest
        assert (head.weight.grad[:2] != 0).any()


def test_a_model_on_the_gpu_is_evaluated_as_on_the_cpu():
    model = make("GatedBetaVAE")
    factors = {"light": IMAGES.mean((1, 2, 3))}
    on_cpu = evaluate(model, IMAGES, factors, codes="mean")
    on_gpu = evaluate(model.cuda(), IMAGES, factors, codes="mean")
    np.testing.assert_allclose(on_gpu.kl, on_cpu.kl, rtol=1e-4)
    assert on_gpu.reconstruction_error == pytest.approx(on_cpu.reconstruction_error, rel=1e-4)
