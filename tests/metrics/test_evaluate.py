import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from pythae.models import AE, VAE, AEConfig, BetaVAE, BetaVAEConfig, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import nn

from pythae_gated.datasets.images import open_images
from pythae_gated.errors import PartitionError
from pythae_gated.metrics import (
    Evaluation,
    compare,
    evaluate,
    factor_vae_score,
    mig,
    modularity,
    sap,
)
from pythae_gated.partitions import Partitions
from pythae_gated.report.predictions import read_verdicts
from tests.support.pixels import make_pixel_vae
from tests.support.quick_metrics import use_quick_metrics

SIZES = {"pose": 2, "person": 2}
LOG_VAR = -4.0


class PixelEncoder(BaseEncoder):
    """The posterior's mean is the image's four pixels, so each code is known beforehand."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.dropout = nn.Dropout(0.9)
        self.batches = []

    def forward(self, x):
        assert not torch.is_grad_enabled()
        self.batches.append(x)
        mu = self.dropout(x.flatten(1)) * self.scale
        return ModelOutput(embedding=mu, log_covariance=torch.full_like(mu, LOG_VAR))


class PixelDecoder(BaseDecoder):
    def forward(self, z):
        return ModelOutput(reconstruction=z.reshape(-1, 1, 2, 2))


@pytest.fixture(autouse=True)
def quick_metrics(request, monkeypatch):
    if request.cls not in (TestWhatIsFound, TestSplitting, TestOtherMetrics):
        use_quick_metrics(monkeypatch)


@pytest.fixture
def model():
    config = VAEConfig(input_dim=(1, 2, 2), latent_dim=4)
    return VAE(config, encoder=PixelEncoder(), decoder=PixelDecoder())


@pytest.fixture
def data():
    """Images whose first pixel is the yaw and whose last is the person."""
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(800, 1, 2, 2)).astype(np.float32)
    person = rng.integers(0, 4, 800)
    images[:, 0, 1, 1] = person
    return images, {"yaw": images[:, 0, 0, 0].copy(), "person": person}


class TestWhatIsFound:
    def test_each_factor_where_it_lies(self, model, data):
        found = evaluate(model, *data, partitions=SIZES, intended={"yaw": "pose"})
        assert found.share["pose"]["yaw"] > 0.9
        assert found.share["person"]["person"] > 0.97
        assert found.scores["pose"]["yaw"] > 0.6
        assert found.scores["person"]["yaw"] < 0.05
        assert found.scores["person"]["person"] > 0.99
        assert found.chance["yaw"] == 0
        assert 0.25 <= found.chance["person"] < 0.35
        assert found.alignment == {"yaw": found.share["pose"]["yaw"]}
        assert found.discrete == ("person",)
        assert found.importance.shape == (4, 2)
        assert (found.fitted_images, found.tested_images) == (600, 200)

    def test_means_predict_better_than_samples(self, model, data):
        sampled, means = evaluate(model, *data), evaluate(model, *data, codes="mean", draws=3)
        assert means.informativeness["yaw"] > 0.99 > sampled.informativeness["yaw"]
        assert means.draws == 1

    def test_reconstruction_error_is_half_the_summed_squares_of_a_sample(self, model, data):
        """The decoder is the identity, so the error is the noise: half of 4 variances."""
        for codes in ("sample", "mean"):
            error = evaluate(model, *data, codes=codes).reconstruction_error
            assert error == pytest.approx(0.5 * 4 * np.exp(LOG_VAR), rel=0.15)

    def test_reconstruction_error_is_pythaes_own(self, data):
        torch.manual_seed(0)
        vae = VAE(VAEConfig(input_dim=(1, 2, 2), latent_dim=2))
        images, factors = data
        vae.encoder.log_var.weight.data.zero_()
        vae.encoder.log_var.bias.data.fill_(-60)  # almost no noise
        found = evaluate(vae, images, factors, test=(images, factors))
        loss = vae({"data": torch.tensor(images)}).recon_loss
        assert found.reconstruction_error == pytest.approx(loss.item(), rel=1e-5)

    def test_kl_is_pythaes_own_on_held_out_images(self, data):
        vae = BetaVAE(BetaVAEConfig(input_dim=(1, 2, 2), latent_dim=3))
        images, factors = data
        held_out = images[:100], {name: values[:100] for name, values in factors.items()}
        found = evaluate(vae, images, factors, test=held_out, partitions={"a": 2, "b": 1})
        loss = vae({"data": torch.tensor(images[:100])}).reg_loss
        assert found.kl.shape == (3,)
        assert sum(found.kl_by_partition.values()) == pytest.approx(loss.item(), rel=1e-5)
        assert found.tested_images == 100

    def test_draws_of_one_image_stay_on_one_side(self, model):
        """A random label is learned from the other draws of the same image, were they seen."""
        rng = np.random.default_rng(0)
        images = rng.uniform(size=(120, 1, 2, 2)).astype(np.float32) * 20
        found = evaluate(model, images, {"label": rng.integers(0, 2, 120)}, draws=20)
        assert found.informativeness["label"] < 0.7
        assert found.draws == 20

    def test_unknown_labels_are_left_out(self, model, data):
        images, factors = data
        person = factors["person"].astype(object)
        person[::2] = None
        found = evaluate(model, images, {**factors, "person": person}, draws=2)
        assert found.informativeness["person"] > 0.99


class TestModels:
    def test_own_partitions_are_the_default(self, model, data):
        assert evaluate(model, *data).partitions == Partitions({"latent": 4})
        model.partitions = Partitions(SIZES)
        assert evaluate(model, *data).partitions == Partitions(SIZES)

    def test_everything_is_left_as_it_was(self, model, data):
        model.train()
        model.decoder.eval()
        state = torch.get_rng_state()
        evaluate(model, *data)
        assert model.training
        assert model.encoder.dropout.training
        assert not model.decoder.training
        assert (torch.get_rng_state() == state).all()
        assert model.encoder.scale.grad is None

    def test_mode_is_restored_after_an_error(self, model, data):
        images = data[0].copy()
        images[700, 0, 1, 0] = np.nan
        model.train()
        with pytest.raises(ValueError, match="image 700 contains NaN"):
            evaluate(model, images, data[1])
        assert model.training
        assert model.encoder.dropout.training

    def test_images_are_scaled_and_batched(self, model):
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (50, 1, 2, 2), dtype=np.uint8)
        evaluate(model, images, {"light": images.mean(axis=(1, 2, 3))}, batch_size=20)
        batches = model.encoder.batches
        assert [len(batch) for batch in batches] == [20, 20, 10]
        assert (torch.cat(batches) == torch.tensor(images).float() / 255).all()

    def test_tensors_and_arrays_give_the_same(self, model, data):
        images, factors = data
        first = evaluate(model, images, factors)
        assert evaluate(model, torch.tensor(images), factors).to_dict() == first.to_dict()
        assert evaluate(model, images.astype(np.float64), factors).to_dict() == first.to_dict()
        assert evaluate(model, images, factors, seed=1).to_dict() != first.to_dict()

    def test_a_read_only_memmap_is_read(self, model, data, tmp_path):
        images, factors = data
        np.save(tmp_path / "images.npy", images)
        mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
        first = evaluate(model, images, factors)
        assert evaluate(model, mapped, factors).to_dict() == first.to_dict()

    def test_the_models_dtype_is_respected(self, model, data):
        first = evaluate(model, *data)
        again = evaluate(model.double(), *data)
        assert {batch.dtype for batch in model.encoder.batches} == {torch.float32, torch.float64}
        assert again.reconstruction_error == pytest.approx(first.reconstruction_error)

    def test_an_autoencoder_is_refused(self, data):
        with pytest.raises(TypeError, match="encoder of AE returns no log_covariance"):
            evaluate(AE(AEConfig(input_dim=(1, 2, 2), latent_dim=4)), *data)

    def test_a_model_without_encoder_is_refused(self, data):
        with pytest.raises(TypeError, match="Linear has no encoder"):
            evaluate(nn.Linear(4, 4), *data)

    def test_images_of_another_size_are_refused(self, data):
        vae = VAE(VAEConfig(input_dim=(1, 2, 1), latent_dim=4))
        with pytest.raises(ValueError, match=r"\(1, 2, 2\): expected \(1, 2, 1\)"):
            evaluate(vae, *data)


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "error", "match"),
        [
            ({"codes": "median"}, ValueError, "codes='median'"),
            ({"draws": 0}, ValueError, "draws=0"),
            (
                {"test": np.zeros((2, 1, 2, 2))},
                ValueError,
                r"test is a ndarray: expected \(images, ",
            ),
            ({"batch_size": 0}, ValueError, "batch_size=0: expected at least 1"),
            ({"partitions": {"pose": 3}}, PartitionError, "sum to 3; the model has 4"),
            ({"intended": {"yaw": "pose"}}, PartitionError, "'pose'"),
            ({"intended": {"roll": "latent"}}, ValueError, "'roll'; the factors are yaw"),
            (
                {"intended": ["latent"]},
                ValueError,
                r"intended is \['latent'\]: expected a mapping",
            ),
        ],
    )
    def test_arguments(self, model, data, arguments, error, match):
        with pytest.raises(error, match=match):
            evaluate(model, *data, **arguments)

    def test_lengths_that_differ(self, model, data):
        images, factors = data
        with pytest.raises(ValueError, match=r"'yaw' has shape \(800,\): expected \(799,\)"):
            evaluate(model, images[:-1], factors)

    def test_images_of_ints(self, model, data):
        with pytest.raises(ValueError, match="images of dtype int64"):
            evaluate(model, data[0].astype(np.int64), data[1])

    def test_no_images(self, model, data):
        with pytest.raises(ValueError, match=r"shape \(0, 1, 2, 2\): .* N > 0"):
            evaluate(model, data[0][:0], {"yaw": np.zeros(0)})


class TestSplitting:
    def test_copies_of_an_image_stay_together_by_group(self, model):
        """A random label is learned from the copy, if it is on the other side."""
        rng = np.random.default_rng(0)
        images = rng.uniform(size=(150, 1, 2, 2)).astype(np.float32) * 50
        label = rng.integers(0, 2, 150)
        twice, labels = np.concatenate([images, images]), {"label": np.tile(label, 2)}
        leaky = evaluate(model, twice, labels)
        grouped = evaluate(model, twice, labels, groups=np.tile(np.arange(150), 2))
        assert leaky.informativeness["label"] > 0.7
        assert grouped.informativeness["label"] < 0.65
        assert 60 <= grouped.tested_images <= 90

    @pytest.mark.parametrize(
        ("groups", "shape"),
        [([1, 2, 3], "(3,)"), (np.ones(800), "(800,)"), ([None, *[1, 2, 3] * 266, 1], "(800,)")],
        ids=["length", "one", "missing"],
    )
    def test_groups_that_do_not_fit_are_refused(self, model, data, groups, shape):
        expected = f"groups of shape {shape}: expected (800,), 2 groups or more, none missing"
        with pytest.raises(ValueError, match=re.escape(expected)):
            evaluate(model, *data, groups=groups)

    def test_groups_that_look_missing_are_warned_of(self, model, data):
        groups = np.where(np.arange(800) % 4, (np.arange(800) // 8).astype(str), "")
        with pytest.warns(UserWarning, match=r"'groups' that look missing: \[''\] count as one g"):
            evaluate(model, *data, groups=groups)

    def test_groups_are_a_column_of_a_table_too(self, model, data):
        groups = np.arange(800) // 8
        found = evaluate(model, *data, groups=pd.DataFrame({"subject": groups}), draws=2)
        assert found.p_values == evaluate(model, *data, groups=groups, draws=2).p_values

    def test_groups_beside_test_are_those_of_the_images_to_test(self, model, data):
        """Two thirds of 200 images are more than chance, of 40 mice they are hardly."""
        images, mouse = data[0].copy(), np.random.default_rng(0).integers(0, 40, 800)
        trait = {"trait": mouse % 2}
        images[:, 0, 0, 0] = mouse % 2
        test = images[:200], {"trait": mouse[:200] % 2}
        images[:200, 0, 0, 0] = (mouse % 2 ^ (mouse % 3 == 0))[:200]  # wrong for a third of them
        by_mouse = evaluate(model, images, trait, test=test, groups=mouse[:200], draws=2)
        by_image = evaluate(model, images, trait, test=test, draws=2)
        assert by_mouse.scores == by_image.scores
        assert by_image.p_values["latent"]["trait"] == 1 / 200
        assert by_mouse.p_values["latent"]["trait"] > 2 / 200
        with pytest.raises(ValueError, match="800 groups for 200 rows to test"):
            evaluate(model, images, trait, test=test, groups=mouse)
        with pytest.raises(ValueError, match="expected as many, none missing"):
            evaluate(model, images, trait, test=test, groups=[None, *mouse[1:200]])


class TestLabels:
    def test_labels_that_look_missing_are_warned_of_once(self, model, data):
        labels = np.where(np.arange(800) % 4, data[1]["person"].astype(str), "nan")
        given = {"partitions": SIZES, "intended": {"person": "person"}}
        with pytest.warns(UserWarning, match="look missing") as caught:
            evaluate(model, data[0], {"person": labels}, **given)
        messages = [str(each.message) for each in caught]
        assert sum("of 'person' that look missing: ['nan']" in text for text in messages) == 1

    def test_a_value_that_means_unknown_is_no_class(self, model, data):
        images, factors = data
        person = factors["person"].copy()
        person[::2] = -1
        yaw = factors["yaw"].copy()
        yaw[:3] = -1
        given = {"person": person, "yaw": yaw}
        found = evaluate(model, images, given, unknown={"person": -1})
        assert found.informativeness["person"] > 0.99
        assert 0.25 <= found.chance["person"] < 0.35
        as_text = evaluate(model, images, {"person": person.astype(str)}, unknown=[-1, "3"])
        assert as_text.informativeness["person"] > 0.99

    def test_a_value_that_means_unknown_in_several_factors_gives_one_warning(self, model, data):
        images, factors = data
        given = {name: values.copy() for name, values in factors.items()}
        given["yaw"][:3] = given["person"][::2] = -1
        with pytest.warns(UserWarning, match=r"'yaw' \(3\) and 'person' \(400\): give") as caught:
            evaluate(model, images, given, unknown=-1, test=(images, given))
        assert len(caught) == 1

    def test_a_factor_of_one_value_is_left_out_with_a_warning(self, model, data):
        images, factors = data
        with pytest.warns(UserWarning, match="factor 'camera' takes fewer than 2 values"):
            found = evaluate(
                model,
                images,
                {**factors, "camera": np.ones(800, int)},
                intended={"camera": "latent", "yaw": "latent"},
            )
        assert found.factors == ("yaw", "person")
        assert found.intended == {"yaw": "latent"}

    def test_a_factor_that_is_hardly_known_in_the_images_to_test_is_left_out(self, model, data):
        images, factors = data
        hidden = {**factors, "yaw": np.where(np.arange(800) == 7, factors["yaw"], np.nan)}
        with pytest.warns(
            UserWarning, match="'yaw' takes fewer than 2 values in the images to test: left"
        ):
            found = evaluate(model, images, factors, test=(images, hidden))
        assert found.factors == ("person",)

    def test_a_factor_of_one_value_in_the_images_to_test_is_left_out(self, model, data):
        images, factors = data
        with pytest.warns(UserWarning, match="'person' takes fewer than 2 values in the images"):
            found = evaluate(
                model, images, factors, partitions=SIZES, intended={"person": "person"},
                test=(images, {**factors, "person": np.ones(800, int)}),
            )  # fmt: skip
        assert found.factors == ("yaw",)
        assert found.leakage == {}

    def test_a_factor_known_in_one_image_of_each_class_to_fit_is_left_out(self, model, data):
        images, factors = data
        few = {**factors, "rare": [f"p{i}" if i < 3 else None for i in range(800)]}
        test = images, {**factors, "rare": np.array(["p0", "p1"] * 400)}
        with pytest.warns(UserWarning, match="'rare' takes each value once in the images to fit"):
            found = evaluate(model, images, few, test=test, seed=np.int64(0))
        assert found.factors == ("yaw", "person")

    def test_a_rare_factor_does_not_take_the_metrics_of_others(self, model, data):
        images, factors = data
        known = np.arange(800) % 4
        rare = np.ma.array(known, mask=np.arange(800) >= 4)
        with (
            pytest.warns(UserWarning, match="left out of MIG.*'rare' takes 4 values in 4 rows"),
            pytest.warns(UserWarning, match="too few images .* to test whether rare can be"),
        ):
            found = evaluate(
                model,
                images,
                {**factors, "rare": known},
                test=(images, {**factors, "rare": rare}),
            )
        plain = evaluate(model, images, factors, test=data)
        for name in ("mig", "modularity", "factor_vae_score"):
            assert found.metrics[name] == plain.metrics[name] is not None

    def test_a_factor_is_assigned_to_one_partition(self, model, data):
        with pytest.raises(ValueError, match=r"assigns 'yaw' to \['pose', 'person'\]: expected"):
            evaluate(model, *data, partitions=SIZES, intended={"yaw": ["pose", "person"]})

    def test_a_single_factor_has_no_scores_of_several(self, model, data):
        """Modularity and the FactorVAE score would be 1 for any codes."""
        found = evaluate(model, data[0], {"person": data[1]["person"]})
        assert [found.metrics[name] for name in ("modularity", "factor_vae_score")] == [None] * 2
        assert found.metrics["mig"] is not None

    def test_a_class_of_nearly_all_rows_is_warned_of_once(self, model, data):
        rare = (np.arange(800) % 10 == 0).astype(int)
        with pytest.warns(UserWarning, match=r"'rare' has one class in 9.% of the rows") as caught:
            evaluate(model, data[0], {**data[1], "rare": rare}, intended={"rare": "latent"})
        assert len(caught) == 1

    def test_classes_that_pandas_reads_as_floats_are_warned_of_once(self, model, data):
        patient = pd.Series(data[1]["person"]).where(np.arange(800) % 4 > 0)
        with pytest.warns(UserWarning, match="'patient' has whole numbers and missing") as caught:
            evaluate(model, data[0], {"patient": patient})
        assert len(caught) == 1

    def test_a_value_that_makes_up_the_variance_is_warned_of_once(self, model, data):
        weight = data[1]["yaw"].copy()
        weight[::100] = 70.0
        weight[0] = 70000.0
        with pytest.warns(UserWarning, match=r"'weight' has a value, 70000, .* 100% of") as caught:
            evaluate(model, data[0], {"weight": weight})
        assert len(caught) == 1


class TestLeakageOfMeans:
    @pytest.fixture
    def hidden(self):
        """Both factors are in the fifth digit of the rest, whose noise has a deviation of 1."""
        rng = np.random.default_rng(0)
        images = rng.uniform(size=(800, 1, 2, 2)).astype(np.float32)
        yaw, person = rng.uniform(size=800), rng.integers(0, 4, 800)
        images[:, 0, 0] = np.stack([20 * yaw, 20 * person], axis=1)
        images[:, 0, 1] = 1e-5 * np.stack([yaw, person], axis=1)
        given = {"partitions": {"yaw": 1, "person": 1, "rest": 2}}
        given["intended"] = {"yaw": "yaw", "person": "person"}
        return make_pixel_vae(log_var=0.0), images, {"yaw": yaw, "person": person}, given

    def test_noise_hides_what_means_reveal(self, hidden):
        model, images, factors, given = hidden
        found = evaluate(model, images, factors, **given)
        assert found.leakage["yaw"] == 0
        assert found.leakage["person"] < 0.05
        assert found.leakage_of_means == {"yaw": pytest.approx(1, abs=0.01), "person": 1}
        assert "leakage of means 1.00" in found.summary()
        assert found.to_dict()["leakage_of_means"] == found.leakage_of_means

    @pytest.mark.parametrize("draws", [1, 3])
    def test_is_what_an_evaluation_of_means_calls_leakage(self, hidden, draws):
        model, images, factors, given = hidden
        sampled = evaluate(model, images, factors, draws=draws, **given)
        means = evaluate(model, images, factors, codes="mean", **given)
        assert sampled.leakage_of_means == means.leakage
        assert means.leakage_of_means == {}
        assert "of means" not in means.summary()

    def test_nothing_without_assigned_factors(self, model, data):
        assert evaluate(model, *data).leakage_of_means == {}


class TestNestedFactors:
    @pytest.fixture
    def cohort(self, data):
        mouse = np.random.default_rng(0).integers(0, 12, 800)
        return data[0], {"mouse": mouse, "genotype": np.array(["wild", "mutant"])[mouse % 2]}

    def test_are_warned_of_once(self, model, cohort):
        with pytest.warns(UserWarning, match="'mouse' determines 'genotype'.*set groups=") as all_:
            evaluate(model, *cohort)
        assert len(all_) == 1

    def test_unless_the_split_is_by_the_finer_one(self, model, cohort):
        images, factors = cohort
        with pytest.warns(UserWarning, match=".*") as caught:
            found = evaluate(model, images, factors, groups=factors["mouse"])
        why = "has no class both in the images to fit and in those to test"
        assert found.left_out == {"mouse": why}
        assert f"left out: 'mouse' {why}" in found.summary()
        left_out, untested = (str(each.message) for each in caught)
        assert "'mouse' has no class both in the images to fit and in those to test" in left_out
        assert "to test whether genotype can be predicted" in untested
        genotype = {"genotype": factors["genotype"]}
        with pytest.warns(UserWarning, match="too few images or groups") as caught:
            evaluate(model, images, genotype, groups=factors["mouse"])
        assert len(caught) == 1

    def test_of_mice_that_only_test_has_the_groups_are_asked_for(self, model, cohort):
        images, factors = cohort
        held_out = factors["mouse"] < 6
        train, test = (
            (images[rows], {name: values[rows] for name, values in factors.items()})
            for rows in (~held_out, held_out)
        )
        left_out = pytest.warns(UserWarning, match="'mouse' has no class both")
        with left_out, pytest.warns(UserWarning, match="'mouse' determines.* p-values .*groups="):
            evaluate(model, *train, test=test)
        with left_out, pytest.warns(UserWarning, match="too few") as caught:
            evaluate(model, *train, test=test, groups=test[1]["mouse"])
        assert not any("determines" in str(each.message) for each in caught)

    def test_p_values_are_those_of_permuted_groups(self, model, data, tmp_path):
        """Codes that encode the mouse predict its genotype, but few mice are no evidence."""
        images, mouse = data[0].copy(), np.random.default_rng(0).integers(0, 12, 800)
        genotype = {"genotype": mouse % 2}
        images[:, 0, 0, 0] = mouse % 2
        with pytest.warns(UserWarning, match="too few images or groups .* whether genotype can"):
            by_mouse = evaluate(model, images, genotype, groups=mouse)
        by_image = evaluate(model, images, genotype)
        assert by_image.p_values["latent"]["genotype"] == 1 / 200
        assert by_mouse.p_values["latent"]["genotype"] > 0.2
        assert by_mouse.untested == ["genotype"]
        assert "(1.00)" not in by_mouse.summary()  # neither above chance nor not
        assert read_verdicts(by_mouse)["genotype"].own.level == 1
        loaded = Evaluation.load(by_mouse.save(tmp_path / "evaluation.json"))
        assert loaded.summary() == by_mouse.summary()

    def test_are_found_where_both_are_known(self, model, cohort):
        images, factors = cohort
        genotype = factors["genotype"].astype(object)
        genotype[::2] = None
        with pytest.warns(UserWarning, match="'mouse' determines 'genotype'"):
            evaluate(model, images, {**factors, "genotype": genotype})


def test_a_collapsed_partition_is_warned_of(model, data):
    images = data[0].copy()
    images[:, 0, 0] = 0.5
    match = "pose encodes nothing, or little: .*train longer, .*such as beta, or warm it up"
    with pytest.warns(UserWarning, match=match):
        evaluate(model, images, {"person": data[1]["person"]}, partitions=SIZES)


class TestPrinting:
    def test_few_images_are_noted(self, model, data):
        found = evaluate(model, *data, partitions=SIZES)
        for images, note in (
            (499, " (few: leakage is uncertain, and may be underestimated)"),
            (500, ""),
        ):
            text = str(dataclasses.replace(found, fitted_images=images))
            assert f"{images} images fitted{note}, {found.tested_images} held out" in text

    def test_to_dict_is_plain_json(self, model, data):
        found = evaluate(model, *data, partitions=Partitions(SIZES), intended={"yaw": "pose"})
        plain = found.to_dict()
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
        assert plain["partitions"] == SIZES
        assert plain["share"]["pose"]["yaw"] == found.share["pose"]["yaw"]

    def test_the_table_lines_up_and_marks_what_was_intended(self, model, data):
        found = evaluate(model, *data, partitions=SIZES, intended={"person": "person"})
        text = str(found)
        heading, names, yaw, person = text.splitlines()[:4]
        assert found.summary() == text
        last = ["all", "chance", "leakage", "of", "means"]
        assert names.split() == ["factor", "score", *SIZES, *SIZES, *last]
        assert "leakage" not in evaluate(model, *data).summary()
        assert yaw.split()[:2] == ["yaw", "R2"]
        assert person.count("*") == 2
        assert heading.index("importance") == names.index("pose")
        assert heading.index("score") == names.rindex("pose")
        assert person[names.index("person") :].startswith(
            f"{found.share['person']['person']:.2f}*"
        )
        for figure in ("disentanglement", "reconstruction error", "KL in nats: pose"):
            assert figure in text

    def test_headings_stay_apart_over_narrow_columns(self, model, data):
        heading, names = str(evaluate(model, *data)).splitlines()[:2]
        assert "importance in   score from it only" in heading
        assert heading.index("score") == names.rindex("latent")

    def test_nothing_is_marked_where_nothing_was_intended(self, model, data):
        assert "*" not in evaluate(model, *data).summary()

    def test_what_is_not_above_chance_stands_in_brackets(self, model, data):
        found = evaluate(model, *data, partitions=SIZES, intended={"yaw": "pose"})
        yaw = str(found).splitlines()[2]
        assert yaw.count("(") == 1
        assert f"({found.scores['person']['yaw']:.2f})" in yaw
        assert found.p_values["pose"]["yaw"] == 1 / 200


class TestOtherMetrics:
    def test_are_those_of_the_held_out_codes(self, model, data):
        found = evaluate(model, *data, codes="mean", test=data)
        codes = data[0].reshape(800, 4)
        assert found.metrics == {
            "mig": pytest.approx(mig(codes, data[1]).score),
            "sap": pytest.approx(sap(codes, data[1], test=(codes, data[1])).score),
            "modularity": pytest.approx(modularity(codes, data[1]).score),
            "factor_vae_score": pytest.approx(factor_vae_score(codes, data[1]).score),
        }
        assert f"mig {found.metrics['mig']:.2f}, sap" in found.summary()

    def test_what_does_not_apply_is_none(self):
        """One dimension has no second to lead; nothing else of the evaluation is lost."""
        model = VAE(VAEConfig(input_dim=(1, 2, 2), latent_dim=1))
        images = np.random.default_rng(0).random((80, 1, 2, 2))
        found = evaluate(model, images, {"light": images.mean((1, 2, 3))})
        assert found.metrics["mig"] is found.metrics["sap"] is None
        assert "mig -, sap -" in found.summary()

    def test_active_units_vary(self, model, data):
        images = data[0].copy()
        images[:, 0, 0, 1] = 0.5  # a code that is always the same
        found = evaluate(model, images, data[1])
        assert found.active_units == 3
        assert found.mean_variance[1] == 0


class TestTestedImages:
    def test_columns_of_a_data_frame_must_be_those_that_were_fitted(self, model, data):
        images, factors = data
        table = pd.DataFrame(images.reshape(len(images), -1), columns=list("abcd"))
        labels = pd.DataFrame(factors)
        fitted, tested = (table[:600], labels[:600]), (table[600:], labels[600:])
        evaluate(model, *fitted, test=tested)
        with pytest.raises(ValueError, match="column 0 is 'd' in place of 'a'"):
            evaluate(model, *fitted, test=(tested[0][list("dcba")], tested[1]))

    def test_labels_in_the_order_of_the_data(self, model, data):
        table, labels = pd.DataFrame(data[0].reshape(800, -1)), pd.DataFrame(data[1])
        with pytest.raises(ValueError, match="'yaw' have the index of the data in another order"):
            evaluate(model, table, labels[::-1])
        with pytest.raises(ValueError, match=r"another order, .* labels\.loc\[data\.index\]"):
            evaluate(
                model,
                table,
                labels,
                test=(table[:9], {"yaw": labels["yaw"][8::-1], "person": labels["person"][:9]}),
            )

    def test_groups_in_the_order_of_the_data(self, model, data):
        table, labels = pd.DataFrame(data[0].reshape(800, -1)), pd.DataFrame(data[1])
        group = pd.Series(np.arange(800) // 4)
        match = "labels of 'groups' have the index of the data in another order"
        with pytest.raises(ValueError, match=match):
            evaluate(model, table, labels, groups=group[::-1])
        test = table[:80], labels[:80]
        evaluate(model, table, labels, test=test, groups=group[:80])
        with pytest.raises(ValueError, match=match):
            evaluate(model, table, labels, test=test, groups=group[79::-1])

    def test_opened_data_frames_are_checked_as_well(self, model, data):
        """The callback and the report open the data once."""
        table = pd.DataFrame(data[0].reshape(800, -1), columns=list("abcd"))
        labels, opened = pd.DataFrame(data[1]), open_images(table)
        evaluate(model, opened, labels)
        with pytest.raises(ValueError, match="index of the data in another order"):
            evaluate(model, opened, labels[::-1])
        with pytest.raises(ValueError, match="index of the data in another order"):
            evaluate(model, opened.subset(np.arange(80)), labels[79::-1])
        with pytest.raises(ValueError, match="column 0 is 'd' in place of 'a'"):
            evaluate(model, opened, labels, test=(open_images(table[list("dcba")]), labels))
        other = labels[::-1].set_index(np.arange(800) + 5)  # not the names of these rows
        assert evaluate(model, table, other).factors == ("yaw", "person")

    def test_factors_are_of_the_kind_that_was_fitted(self, model, data):
        """One missing value makes pandas read classes as floats."""
        images, _ = data
        person = (images[:, 0, 0, 1] * 40).astype(int)
        found = [
            evaluate(
                model, images[:600], {"person": person[:600]},
                test=(images[600:], {"person": person[600:].astype(kind)}),
            )
            for kind in (int, float)
        ]  # fmt: skip
        assert found[0].metrics == found[1].metrics


class TestKeeping:
    def test_a_file_with_sorted_keys_is_refused(self, model, data, tmp_path):
        found = evaluate(model, *data, partitions=SIZES)
        path = found.save(tmp_path / "found.json")
        path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
        with pytest.raises(ValueError, match="keys are in another order"):
            Evaluation.load(path)
        old = found.to_dict()
        del old["order"]
        path.write_text(json.dumps(old))
        assert Evaluation.load(path).partitions == found.partitions

    def test_saves_and_loads(self, model, data, tmp_path):
        found = evaluate(model, *data, partitions=Partitions(SIZES), intended={"yaw": "pose"})
        path = found.save(tmp_path / "new" / "found.json")
        again = Evaluation.load(path)
        assert again.to_dict() == found.to_dict()
        assert again.summary() == found.summary()
        assert again.partitions == found.partitions
        assert again.importance.tolist() == found.importance.tolist()

    def test_a_file_without_leakage_of_means_loads(self, model, data, tmp_path):
        found = evaluate(model, *data, partitions=SIZES, intended={"yaw": "pose"})
        old = found.to_dict()
        del old["leakage_of_means"]
        path = tmp_path / "old.json"
        path.write_text(json.dumps(old))
        again = Evaluation.load(path)
        assert again.leakage == found.leakage
        assert again.leakage_of_means == {}
        assert "leakage" in again.summary()
        assert "of means" not in again.summary()

    @pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"partitions": {"a": 1}}'])
    def test_another_file_is_refused_by_name(self, text, tmp_path):
        path = tmp_path / "other.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"other\.json' is not a saved evaluation"):
            Evaluation.load(path)

    def test_two_side_by_side(self, model, data):
        first = evaluate(model, *data, partitions=SIZES, intended={"yaw": "pose"})
        second = evaluate(model, *data, partitions={"pose": 4})
        table = compare({"first": first, "second": second}).splitlines()
        assert table[0].split() == ["first", "second"]
        rows = {label: cells for label, *cells in (re.split("  +", line) for line in table[1:])}
        assert rows["share of yaw in pose"] == [f"{first.share['pose']['yaw']:.2f}", "-"]
        assert rows["leakage of yaw, means"] == [f"{first.leakage_of_means['yaw']:.2f}", "-"]
        assert rows["score of person"] == [
            f"{each.informativeness['person']:.2f}" for each in (first, second)
        ]

    def test_nothing_to_compare(self):
        with pytest.raises(ValueError, match="no evaluations to compare"):
            compare({})
