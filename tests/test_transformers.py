import numpy as np
import pandas as pd
import pytest
import torch
from pythae.models import (
    AE,
    HVAE,
    AEConfig,
    BetaVAE,
    BetaVAEConfig,
    HVAEConfig,
    VAE_LinNF,
    VAE_LinNF_Config,
)
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PartitionError
from pythae_gated.transformers import PartitionTransformer
from tests.support.pixels import make_pixel_vae

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
    transformer = PartitionTransformer(model, keep, batch_size=7, codes="mean").fit(images)
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
        codes = PartitionTransformer(model, name, codes="mean")
        pipeline = make_pipeline(codes, LogisticRegression(C=1e6))
        scores[name] = cross_val_score(pipeline, images, labels, cv=3).mean()
    assert scores["pose"] > scores["identity"]


def test_clones_and_shows_its_settings(model, images):
    transformer = PartitionTransformer(model, "pose", batch_size=9, random_state=5).fit(images)
    again = clone(transformer)
    assert again.get_params()["keep"] == "pose"
    assert (again.batch_size, again.codes, again.random_state) == (9, "sample", 5)
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
        ({"codes": "median"}, ValueError, 'codes=\'median\': expected "sample" or "mean"'),
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


def test_other_columns_than_when_fitted_are_refused(model, images):
    table = pd.DataFrame(images.reshape(len(images), -1)).add_prefix("pixel")
    transformer = PartitionTransformer(model).fit(table)
    assert np.array_equal(transformer.transform(table), transformer.transform(images))
    with pytest.raises(ValueError, match="column 0 is 'pixel15' in place of 'pixel0'"):
        transformer.transform(table[table.columns[::-1]])


@pytest.mark.parametrize(
    ("network", "config"), [(VAE_LinNF, VAE_LinNF_Config), (HVAE, HVAEConfig)]
)
def test_a_posterior_transformed_by_a_flow_is_refused(network, config, images):
    model = network(config(input_dim=(1, 4, 4), latent_dim=5))
    with pytest.raises(TypeError, match=f"{network.__name__} has no Gaussian posterior"):
        PartitionTransformer(model).fit(images)


def test_an_autoencoder_is_refused(images):
    with pytest.raises(TypeError, match="AE returns no log_covariance"):
        PartitionTransformer(AE(AEConfig((1, 4, 4), 5))).fit(images)


class TestSamples:
    """The posterior's means are the four pixels, its standard deviation is 1."""

    SIZES = {"pose": 1, "rest": 3}  # noqa: RUF012

    @pytest.fixture
    def hidden(self):
        """600 images sorted by label, which they show in the fifth digit only."""
        labels = np.repeat([0, 1, 2], 200)
        images = np.random.default_rng(0).random((600, 1, 2, 2), dtype=np.float32) * 1e-6
        return images + np.float32(1e-5) * labels[:, None, None, None].astype(np.float32), labels

    def transform(self, images, **arguments):
        return PartitionTransformer(make_pixel_vae(), None, **arguments).fit_transform(images)

    def test_are_of_the_posterior(self):
        images = np.zeros((5000, 1, 2, 2), dtype=np.float32)
        images[:, 0, 0] = 3, -2
        codes = self.transform(images)
        assert codes.shape == (5000, 4)
        np.testing.assert_allclose(codes.mean(axis=0), [3, -2, 0, 0], atol=0.06)
        np.testing.assert_allclose(np.cov(codes.T), np.eye(4), atol=0.08)

    def test_are_the_same_for_the_same_images_and_seed(self, hidden):
        images, _ = hidden
        first = self.transform(images)
        state = torch.get_rng_state()
        assert (self.transform(images) == first).all()
        assert (torch.get_rng_state() == state).all()
        assert np.abs(self.transform(images, random_state=1) - first).mean() > 0.9
        unseeded = [self.transform(images, random_state=None) for _ in range(2)]
        assert np.abs(unseeded[0] - unseeded[1]).mean() > 0.9

    def test_hide_what_a_classifier_reads_from_means(self, hidden):
        images, labels = hidden
        model, forest = make_pixel_vae(), RandomForestClassifier(50, random_state=0)
        scores = {}
        for codes in ("sample", "mean"):
            transformer = PartitionTransformer(model, "rest", self.SIZES, codes=codes)
            pipeline = make_pipeline(transformer, forest)
            scores[codes] = cross_val_score(pipeline, images, labels, cv=3).mean()
        assert scores["mean"] == 1
        assert scores["sample"] < 0.42  # chance is 1/3, of 600

    def test_rows_of_two_sets_do_not_share_their_noise(self, hidden):
        """With equal noise, the nearest neighbour of each image would be the one of its label."""
        images, labels = hidden
        pipeline = make_pipeline(
            PartitionTransformer(make_pixel_vae(), "rest", self.SIZES), KNeighborsClassifier(1)
        )
        pipeline.fit(images[::2], labels[::2])
        assert pipeline.score(images[1::2], labels[1::2]) < 0.45

    def test_of_single_images_differ(self, hidden):
        images, _ = hidden
        assert np.ptp([self.transform(image[None])[0, 0] for image in images[:20]]) > 1
