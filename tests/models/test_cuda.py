"""On a GPU: steps and trainings of each model, also under AMP, and evaluation."""

import numpy as np
import pytest
import torch
from pythae.models import AutoModel
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch.utils.data import DataLoader

from pythae_gated import PairedDataset
from pythae_gated.callbacks import EvaluationCallback, GatedSchedule
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
    options = {"closed_partitions": closed, "rest": ["identity"]}
    options["robust_pairs"] = closed == "target"
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
        assert (head.weight.grad[2:3] == 0).all()  # other terms train the rest
        assert (head.weight.grad[:2] != 0).any()


def test_a_model_on_the_gpu_is_evaluated_as_on_the_cpu():
    model = make("GatedBetaVAE")
    factors = {"light": IMAGES.mean((1, 2, 3))}
    on_cpu = evaluate(model, IMAGES, factors, codes="mean")
    on_gpu = evaluate(model.cuda(), IMAGES, factors, codes="mean")
    np.testing.assert_allclose(on_gpu.kl, on_cpu.kl, rtol=1e-4)
    assert on_gpu.reconstruction_error == pytest.approx(on_cpu.reconstruction_error, rel=1e-4)


@pytest.mark.parametrize("amp", [False, True], ids=["float32", "amp"])
@pytest.mark.parametrize("name", MODELS)
def test_a_training_on_the_gpu(name, amp, tmp_path):
    model = make(name, rest=["identity"], robust_pairs=True)
    factors = {"pose": np.arange(200) % 2, "expression": np.arange(200) % 3}
    pairs = PairedDataset(IMAGES, model.partitions, factors, seed=0)
    held_out = pairs.split(range(150, 200), seed=0)
    config = BaseTrainerConfig(
        str(tmp_path), num_epochs=4, per_device_train_batch_size=50, amp=amp, seed=0
    )
    watch = EvaluationCallback(IMAGES, factors, every=2)
    before = model.encoder.embedding.weight.detach().clone()
    trainer = BaseTrainer(
        model, pairs.split(range(150)), held_out, config, callbacks=[GatedSchedule(), watch]
    )
    trainer.train()
    trained = trainer.model
    assert trained.encoder.embedding.weight.is_cuda
    assert not torch.equal(trained.encoder.embedding.weight.cpu(), before)
    assert (trained.regularizer_scale, trained.decoder_only) == (1.0, False)
    loaded = AutoModel.load_from_folder(f"{trainer.training_dir}/final_model")
    here, there = loaded.embed_partitions(IMAGES), trained.embed_partitions(IMAGES)
    for partition, codes in here.items():
        torch.testing.assert_close(codes, there[partition].cpu(), rtol=1e-4, atol=1e-4)
