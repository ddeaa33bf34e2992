"""Rendered faces, trained as in examples/quickstart.py (`-s` prints the figures)."""

import numpy as np
import pytest
import quickstart
import torch
from pythae.models import BetaVAE, BetaVAEConfig
from training import make_networks, train

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset
from pythae_gated.callbacks import GatedSchedule
from pythae_gated.datasets import make_faces
from pythae_gated.metrics import evaluate

MIN_SHARE = {"yaw": 0.95, "pitch": 0.95, "smile": 0.9, "mouth": 0.9, "brow": 0.8}
MAX_LEAKAGE = 0.2
SEEDS = [
    pytest.param(0, marks=pytest.mark.slow),
    pytest.param(1, marks=pytest.mark.nightly),
    pytest.param(2, marks=pytest.mark.nightly),
]


def make_data(seed):
    images, factors = make_faces(12_000, image_size=32, seed=seed)
    return tuple(
        (images[rows], {name: values[rows] for name, values in factors.items()})
        for rows in (slice(10_000), slice(10_000, None))
    )


def fit(model, data, tmp_path, seed, epochs=quickstart.EPOCHS, images_per_row=2):
    """Train with the quickstart's budget of decoded images, or for the given epochs of it."""
    factor = 2 // images_per_row
    gated = isinstance(model, GatedBetaVAE)
    train(
        model,
        data,
        tmp_path,
        epochs=factor * epochs,
        batch_size=factor * quickstart.BATCH,
        learning_rate=quickstart.LEARNING_RATE,
        seed=seed,
        callbacks=[GatedSchedule()] if gated else [],
    )
    return model


def fit_ungated(images, tmp_path, seed, epochs=quickstart.EPOCHS):
    scaled = images.astype(np.float32) / 255
    config = BetaVAEConfig((1, 32, 32), latent_dim=16, beta=quickstart.BETA)
    model = BetaVAE(config, *make_networks(16, torch.from_numpy(scaled.mean(0)), seed=seed))
    return fit(model, scaled, tmp_path, seed, epochs, images_per_row=1)


def fit_gated(images, labels, tmp_path, seed, partitions, rest):
    config = GatedBetaVAEConfig(
        (1, 32, 32), latent_dim=16, beta=quickstart.BETA, partitions=partitions, rest=rest
    )
    mean_image = torch.from_numpy((images.astype(np.float32) / 255).mean(0))
    model = GatedBetaVAE(config, *make_networks(16, mean_image, seed=seed))
    return fit(model, PairedDataset(images, model.partitions, labels), tmp_path, seed)


def evaluate_on(model, training, test, partitions=quickstart.PARTITIONS):
    images, factors = training
    subset = images[:5000], {name: values[:5000] for name, values in factors.items()}
    intended = {factor: quickstart.INTENDED[factor] for factor in MIN_SHARE}
    intended = {factor: name for factor, name in intended.items() if name in partitions}
    evaluation = evaluate(model, *subset, partitions=partitions, intended=intended, test=test)
    print(f"\n{evaluation}")
    return evaluation


@pytest.mark.parametrize("seed", SEEDS)
def test_gating_separates_pose_and_expression(seed, tmp_path):
    training, test = make_data(seed)
    labels = quickstart.label_pose_and_expression(training[1])
    partitions = quickstart.PARTITIONS
    model = fit_gated(training[0], labels, tmp_path, seed, partitions, ["identity"])
    evaluation = evaluate_on(model, training, test)
    for factor, bound in MIN_SHARE.items():
        assert evaluation.share[quickstart.INTENDED[factor]][factor] >= bound, factor
        assert evaluation.leakage[factor] <= MAX_LEAKAGE, factor


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_without_gating_pose_and_expression_are_mixed(seed, tmp_path):
    training, test = make_data(seed)
    evaluation = evaluate_on(fit_ungated(training[0], tmp_path, seed), training, test)
    shares = []
    for i, factor in enumerate(evaluation.factors):
        if factor in MIN_SHARE:
            partition = quickstart.INTENDED[factor]
            size = quickstart.PARTITIONS[partition]
            best = np.sort(evaluation.importance, axis=0)[-size:].sum(0)[i]
            print(f"{factor}: at most {best:.2f} in any {size} dimensions")
            shares.append(evaluation.share[partition][factor])
    assert np.mean(shares) < 0.6  # a single factor may be in its partition by chance
    scores = evaluation.informativeness
    assert min(scores["yaw"], scores["pitch"]) >= 0.95
    assert min(scores["smile"], scores["mouth"], scores["brow"]) >= 0.7
    assert scores["identity"] >= 0.6


@pytest.mark.nightly
def test_the_rest_has_no_share_of_the_only_labelled_factor(tmp_path):
    training, test = make_data(0)
    labels = {"pose": quickstart.label_pose_and_expression(training[1])["pose"]}
    partitions = {"pose": 4, "rest": 12}
    model = fit_gated(training[0], labels, tmp_path, 0, partitions, ["rest"])
    evaluation = evaluate_on(model, training, test, partitions)
    assert evaluation.share["rest"]["yaw"] < 0.05
    assert evaluation.share["rest"]["pitch"] < 0.05


@pytest.mark.nightly
def test_a_tenth_of_the_pose_labels_suffices(tmp_path):
    training, test = make_data(0)
    labels = quickstart.label_pose_and_expression(training[1])
    labels["pose"][np.random.default_rng(0).random(10_000) > 0.1] = np.nan
    model = fit_gated(training[0], labels, tmp_path, 0, quickstart.PARTITIONS, ["identity"])
    evaluation = evaluate_on(model, training, test)
    assert evaluation.scores["pose"]["yaw"] >= 0.95
    assert evaluation.scores["pose"]["pitch"] >= 0.95


@pytest.mark.nightly
def test_a_warm_start_separates_pose_in_a_third_of_the_steps(tmp_path):
    training, test = make_data(0)
    epochs = quickstart.EPOCHS
    ungated = fit_ungated(training[0], tmp_path, 0, epochs // 2)
    partitions = {"pose": 4, "rest": 12}
    before = evaluate_on(ungated, training, test, partitions)

    model = GatedBetaVAE.from_parent(ungated, partitions=partitions, rest=["rest"])
    labels = {"pose": quickstart.label_pose_and_expression(training[1])["pose"]}
    pairs = PairedDataset(training[0], model.partitions, labels)
    after = evaluate_on(fit(model, pairs, tmp_path, 0, epochs // 3), training, test, partitions)
    for factor in ("yaw", "pitch"):
        assert before.share["pose"][factor] < 0.95
        assert after.share["pose"][factor] >= 0.95
        assert after.scores["pose"][factor] >= 0.95
