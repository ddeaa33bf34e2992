import numpy as np
import pytest
import torch
from pythae.models import AE, AEConfig, BetaVAE, BetaVAEConfig
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PartitionError
from pythae_gated.transformers import PartitionTransformer

SIZES = {"pose": 2, "identity": 3}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return GatedBetaVAE(GatedBetaVAEConfig((1, 4, 4), 5, partitions=SIZES)).train()


@pytest.fixture
def images():
    return np.random.default_rng(0).random((60, 1, 4, 4), dtype=np.float32)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("identity", ["identity"]),
        (["identity", "pose"], ["identity", "pose"]),
        (None, ["pose", "identity"]),
    ],
)
def test_gives_the_means_of_what_is_kept(model, images, keep, kept):
    codes = model.embed_partitions(images)
    transformer = PartitionTransformer(model, keep, batch_size=7).fit(images)
    found = transformer.transform(images)
    expected = np.concatenate([codes[name].numpy() for name in kept], axis=1)
    names = [f"{name}{i}" for name in kept for i in range(SIZES[name])]
    assert transformer.get_feature_names_out().tolist() == names
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert model.training


def test_flattened_and_uint8_images_are_the_same_images(model, images):
    pixels = (images * 255).astype(np.uint8)
    expected = PartitionTransformer(model, "pose").fit_transform(pixels / np.float32(255))
    for same in (pixels, pixels.reshape(60, 16), torch.from_numpy(pixels)):
        found = PartitionTransformer(model, "pose").fit_transform(same)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_classifier_sees_the_chosen_partition_alone(model, images):
    labels = (model.embed_partitions(images)["pose"][:, 0] > 0).numpy()
    labels[:2] = [False, True]  # whatever the codes, there are two classes
    scores = {}
    for name in SIZES:
        pipeline = make_pipeline(PartitionTransformer(model, name), LogisticRegression(C=1e6))
        scores[name] = cross_val_score(pipeline, images, labels, cv=3).mean()
    assert scores["pose"] > scores["identity"]


def test_clones_and_shows_its_settings(model, images):
    transformer = PartitionTransformer(model, "pose", batch_size=9).fit(images)
    again = clone(transformer)
    assert again.get_params()["keep"] == "pose"
    assert again.batch_size == 9
    with pytest.raises(NotFittedError, match="not fitted"):
        again.transform(images)
    np.testing.assert_array_equal(
        again.fit(images).transform(images), transformer.transform(images)
    )


def test_an_ungated_model_takes_partitions(images):
    model = BetaVAE(BetaVAEConfig((1, 4, 4), 5))
    found = PartitionTransformer(model, "pose", SIZES).fit_transform(images)
    assert found.shape == (60, 2)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"keep": "hair"}, PartitionError, "no partition is named 'hair'"),
        ({"keep": ()}, PartitionError, "name at least one of the partitions pose, identity"),
        ({"partitions": {"pose": 3}}, PartitionError, "sum to 3"),
        ({"batch_size": 0}, ValueError, "batch_size=0: expected at least 1"),
    ],
)
def test_bad_arguments(model, images, arguments, error, match):
    with pytest.raises(error, match=match):
        PartitionTransformer(model, **arguments).fit(images)


def test_bad_images(model, images):
    transformer = PartitionTransformer(model).fit(images)
    with pytest.raises(ValueError, match=r"expected \(1, 4, 4\)"):
        transformer.transform(np.zeros((2, 5, 4, 4)))
    images[3, 0, 1, 1] = np.nan
    with pytest.raises(ValueError, match="image 3 contains NaN"):
        transformer.transform(images)


def test_an_autoencoder_is_refused(images):
    with pytest.raises(TypeError, match="AE returns no log_covariance"):
        PartitionTransformer(AE(AEConfig((1, 4, 4), 5))).fit(images)
