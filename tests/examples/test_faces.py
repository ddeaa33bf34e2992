"""What gating does to rendered faces, trained as examples/quickstart.py trains (`-s` prints)."""

import numpy as np
import pytest
import quickstart
from pythae.models import BetaVAE, BetaVAEConfig

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset
from pythae_gated.datasets import make_faces
from pythae_gated.metrics import evaluate

pytestmark = pytest.mark.slow

AT_LEAST = {"yaw": 0.95, "pitch": 0.95, "smile": 0.9, "mouth": 0.9, "brow": 0.8}


@pytest.fixture(params=[0, 1, 2], ids="seed {}".format)
def seed(request):
    return request.param


def make_data(seed):
    images, factors = make_faces(12_000, image_size=32, seed=seed)
    train, test = (
        (images[rows], {name: values[rows] for name, values in factors.items()})
        for rows in (slice(10_000), slice(10_000, None))
    )
    return train, test


def judge(model, train, test):
    images, factors = train
    fit = images[:5000], {name: values[:5000] for name, values in factors.items()}
    found = evaluate(model, *fit, partitions=quickstart.PARTITIONS, test=test)
    print(f"\n{found}")
    return found


def train_gated(train, factors, tmp_path, seed, partitions, rest):
    images = train[0]
    config = GatedBetaVAEConfig(
        (1, 32, 32), latent_dim=16, beta=quickstart.BETA, partitions=partitions, rest=rest
    )
    networks = quickstart.make_networks(images.astype(np.float32) / 255, seed)
    model = GatedBetaVAE(config, *networks)
    pairs = PairedDataset(images, model.partitions, factors)
    settings = {"epochs": quickstart.EPOCHS, "batch_size": quickstart.BATCH, "seed": seed}
    quickstart.run(model, pairs, tmp_path, **settings)
    return model


def best_share(importance, size):
    """The most of each factor's importance that any `size` dimensions hold."""
    return np.sort(importance, axis=0)[-size:].sum(0)


def test_pose_and_expression_part_where_the_ungated_model_mixes_them(seed, tmp_path):
    train, test = make_data(seed)
    labels = quickstart.label_pose_and_expression(train[1])
    partitions = quickstart.PARTITIONS
    gated = train_gated(train, labels, tmp_path, seed, partitions, ["identity"])
    found = judge(gated, train, test)
    for factor, bound in AT_LEAST.items():
        assert found.share[quickstart.INTENDED[factor]][factor] >= bound, factor

    scaled = train[0].astype(np.float32) / 255
    config = BetaVAEConfig((1, 32, 32), latent_dim=16, beta=quickstart.BETA)
    ungated = BetaVAE(config, *quickstart.make_networks(scaled, seed))
    settings = {"epochs": 2 * quickstart.EPOCHS, "batch_size": 2 * quickstart.BATCH, "seed": seed}
    quickstart.run(ungated, scaled, tmp_path, **settings)
    found = judge(ungated, train, test)
    for i, factor in enumerate(found.factors):
        if factor in AT_LEAST:
            size = partitions[quickstart.INTENDED[factor]]
            print(f"{factor}: at best {best_share(found.importance, size)[i]:.2f} in {size}")
            assert found.share[quickstart.INTENDED[factor]][factor] < AT_LEAST[factor]
    known = found.informativeness
    assert min(known["yaw"], known["pitch"]) >= 0.95
    assert min(known["smile"], known["mouth"], known["brow"]) >= 0.7
    assert known["identity"] >= 0.6


def test_with_pose_alone_labelled_the_rest_holds_none_of_it(tmp_path):
    train, test = make_data(0)
    labels = {"pose": quickstart.label_pose_and_expression(train[1])["pose"]}
    partitions = {"pose": 4, "rest": 12}
    model = train_gated(train, labels, tmp_path, 0, partitions, ["rest"])
    found = evaluate(model, *train, partitions=partitions, test=test)
    print(f"\n{found}")
    assert found.share["rest"]["yaw"] < 0.05
    assert found.share["rest"]["pitch"] < 0.05


def test_a_tenth_of_the_pose_labels_is_enough(tmp_path):
    train, test = make_data(0)
    labels = quickstart.label_pose_and_expression(train[1])
    hidden = np.random.default_rng(0).random(10_000) > 0.1
    labels["pose"][hidden] = np.nan
    model = train_gated(train, labels, tmp_path, 0, quickstart.PARTITIONS, ["identity"])
    found = judge(model, train, test)
    assert found.scores["pose"]["yaw"] >= 0.95
    assert found.scores["pose"]["pitch"] >= 0.95


def test_a_warm_start_separates_pose_in_a_third_of_the_steps(tmp_path):
    train, test = make_data(0)
    scaled = train[0].astype(np.float32) / 255
    config = BetaVAEConfig((1, 32, 32), latent_dim=16, beta=quickstart.BETA)
    ungated = BetaVAE(config, *quickstart.make_networks(scaled, 0))
    quickstart.run(ungated, scaled, tmp_path, epochs=quickstart.EPOCHS, batch_size=128, seed=0)
    partitions = {"pose": 4, "rest": 12}
    before = evaluate(ungated, *train, partitions=partitions, test=test)

    model = GatedBetaVAE.from_parent(ungated, partitions=partitions, rest=["rest"])
    labels = {"pose": quickstart.label_pose_and_expression(train[1])["pose"]}
    pairs = PairedDataset(train[0], model.partitions, labels)
    settings = {"epochs": quickstart.EPOCHS // 3, "batch_size": quickstart.BATCH, "seed": 0}
    quickstart.run(model, pairs, tmp_path, **settings)
    after = evaluate(model, *train, partitions=partitions, test=test)
    print(f"\nBefore\n{before}\nAfter\n{after}")
    for factor in ("yaw", "pitch"):
        assert before.share["pose"][factor] < 0.95
        assert after.share["pose"][factor] >= 0.95
        assert after.scores["pose"][factor] >= 0.95
