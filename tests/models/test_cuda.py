"""Smoke tests on a GPU: a training step of each model, also under AMP, and evaluation."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pythae_gated import PairedDataset, Partitions
from pythae_gated.metrics import evaluate
from tests.support.models import MODELS, make

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

IMAGES = np.random.default_rng(0).random((32, 1, 4, 4), dtype=np.float32)
PARTITIONS = Partitions({"pose": 2, "expression": 1, "identity": 3}, rest=["identity"])


def to_cuda(batch):
    return {k: v.cuda() if isinstance(v, torch.Tensor) else v for k, v in batch.items()}


@pytest.mark.parametrize("closed", ["target", "input"])
@pytest.mark.parametrize("amp", [False, True], ids=["float32", "amp"])
@pytest.mark.parametrize("name", MODELS)
def test_a_step_gates_exactly(name, amp, closed):
    model = make(name, closed_partitions=closed, rest=["identity"]).cuda()
    pairs = PairedDataset(
        IMAGES, model.partitions, {"pose": np.arange(32) % 2}, weights={"self": 0}, seed=0
    )
    batch = to_cuda(next(iter(DataLoader(pairs, batch_size=16))))
    model(batch, dataset_size=32)  # the first call may allocate and synchronise
    if name in ("GatedVAE", "GatedBetaVAE", "GatedDIPVAE"):  # the other parents synchronise
        torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", enabled=amp):
            loss = model(batch, dataset_size=32).loss
        loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert loss.isfinite()
    for head in (model.encoder.embedding, model.encoder.log_var):
        assert (head.weight.grad[2:] == 0).all()
        assert (head.weight.grad[:2] != 0).any()


def test_a_model_on_the_gpu_is_evaluated_as_on_the_cpu():
    model = make("GatedBetaVAE")
    factors = {"light": IMAGES.mean((1, 2, 3))}
    on_cpu = evaluate(model, IMAGES, factors, codes="mean")
    on_gpu = evaluate(model.cuda(), IMAGES, factors, codes="mean")
    np.testing.assert_allclose(on_gpu.kl, on_cpu.kl, rtol=1e-4)
    assert on_gpu.reconstruction_error == pytest.approx(on_cpu.reconstruction_error, rel=1e-4)
