"""Pythae's own ways of training and sampling, each run with a gated model."""

import json
import os

import numpy as np
import pytest
import torch
from pythae.data.datasets import collate_dataset_output
from pythae.models import AutoModel
from pythae.pipelines import GenerationPipeline, TrainingPipeline
from pythae.samplers import (
    GaussianMixtureSamplerConfig,
    HypersphereUniformSamplerConfig,
    IAFSamplerConfig,
    MAFSamplerConfig,
    NormalSamplerConfig,
    TwoStageVAESamplerConfig,
)
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch.utils.data import DataLoader

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset

N = 48
POSE = np.arange(N) % 4


@pytest.fixture
def images():
    images = np.random.default_rng(0).random((N, 1, 4, 4), dtype=np.float32)
    images[:, 0, 0, 0] = 1.0  # Pythae's samplers want a maximum of at least 1
    return images


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = GatedBetaVAEConfig(
        input_dim=(1, 4, 4), latent_dim=5, partitions={"pose": 2, "rest": 3}, rest=["rest"]
    )
    return GatedBetaVAE(config)


def pair(images, model, **kwargs):
    return PairedDataset(images, model.partitions, {"pose": POSE}, **kwargs)


@pytest.mark.parametrize("kind", ["array", "tensor", "pairs"])
def test_the_training_pipeline_takes(kind, images, model, tmp_path):
    data = {
        "array": images,
        "tensor": torch.from_numpy(images),
        "pairs": pair(images, model),
    }[kind]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    pipeline = TrainingPipeline(model, BaseTrainerConfig(str(tmp_path), num_epochs=2))
    pipeline(data, data)
    after = AutoModel.load_from_folder(f"{pipeline.trainer.training_dir}/final_model").state_dict()
    assert all(not torch.equal(before[key], after[key]) for key in before)


def test_the_trainer_with_everything(images, model, tmp_path):
    seen = []

    class Watch(TrainingCallback):
        def on_prediction_step(self, training_config, **kwargs):
            seen.append(("predict", kwargs["reconstructions"].shape, kwargs["true_data"]))

        def on_log(self, training_config, logs, **kwargs):
            seen.append(("log", sorted(logs)))

    config = BaseTrainerConfig(
        str(tmp_path),
        num_epochs=4,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=16,
        train_dataloader_num_workers=2,
        eval_dataloader_num_workers=2,
        steps_saving=2,
        steps_predict=2,
        scheduler_cls="ReduceLROnPlateau",
        scheduler_params={"patience": 1},
        optimizer_cls="AdamW",
        optimizer_params={"weight_decay": 0.01},
        no_cuda=True,
    )
    dataset = pair(images, model)
    trainer = BaseTrainer(
        model,
        dataset.split(range(32)),
        dataset.split(range(32, N), seed=0),
        config,
        callbacks=[Watch()],
    )
    trainer.train(log_output_dir=str(tmp_path / "logs"))
    predictions = [entry for entry in seen if entry[0] == "predict"]
    assert [shape for _, shape, _ in predictions] == [torch.Size([10, 1, 4, 4])] * 2
    assert ("log", ["eval_epoch_loss", "train_epoch_loss"]) in seen
    for name in ("checkpoint_epoch_2", "checkpoint_epoch_4", "final_model"):
        folder = os.path.join(trainer.training_dir, name)
        assert type(AutoModel.load_from_folder(folder)) is GatedBetaVAE
    with open(os.path.join(folder, "model_config.json")) as file:
        assert json.load(file)["rest"] == ["rest"]


@pytest.mark.parametrize(
    "sampler_config",
    [
        NormalSamplerConfig(),
        GaussianMixtureSamplerConfig(n_components=2),
        TwoStageVAESamplerConfig(),
        IAFSamplerConfig(),
        MAFSamplerConfig(),
        HypersphereUniformSamplerConfig(),
    ],
    ids=lambda config: config.name,
)
def test_the_generation_pipeline_samples_with(sampler_config, images, model, tmp_path):
    training = BaseTrainerConfig(str(tmp_path), num_epochs=2)
    pipeline = GenerationPipeline(model, sampler_config)
    new = pipeline(num_samples=6, train_data=images, eval_data=images, training_config=training)
    assert new.shape == (6, 1, 4, 4)
    assert new.isfinite().all()


def test_a_sampler_fitted_on_pairs_fits_the_codes_of_the_data(images, model):
    with torch.no_grad():  # a posterior so narrow that a sample is its mean
        model.encoder.log_var.weight.zero_()
        model.encoder.log_var.bias.fill_(-60)
    pairs = pair(images, model, seed=0)
    # PyPI's samplers take arrays alone; this is what those of the main branch do with a dataset.
    loader = DataLoader(pairs, batch_size=10, collate_fn=collate_dataset_output)
    model.eval()
    with torch.no_grad():
        codes = torch.cat([model(inputs).z for inputs in loader])
    assert torch.allclose(codes, torch.cat(list(model.embed_partitions(images).values()), 1))
