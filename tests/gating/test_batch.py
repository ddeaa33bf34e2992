import warnings

import pytest
import torch
from pythae.models import BetaVAE
from torch import nn

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, GateError, Partitions
from pythae_gated.gating.terms import kl_weight

SIZES = {"pose": 2, "identity": 3}


def make_model(input_dim=(1, 4, 4), **kwargs):
    torch.manual_seed(0)
    config = GatedBetaVAEConfig(input_dim, latent_dim=5, **{"partitions": SIZES, **kwargs})
    return GatedBetaVAE(config)


def make_pairs(shape=(3, 1, 4, 4)):
    data, target = torch.rand(2, *shape)
    return {"data": data, "target": target, "gate": torch.tensor([[True, False]] * 3)}


@pytest.mark.parametrize(
    "other",
    [
        Partitions({"identity": 3, "pose": 2}),
        Partitions({"pose": 3, "identity": 2}),
        Partitions({"pose": 2, "identity": 3}, rest=["identity"]),
        Partitions({"head": 2, "identity": 3}),
    ],
    ids=["order", "sizes", "rest", "names"],
)
def test_pairs_made_for_other_partitions_are_refused(other):
    model = make_model()
    with pytest.raises(GateError, match=r"made for Partitions.*make the PairedDataset with model"):
        model({**make_pairs(), "partitions": other})
    model({**make_pairs(), "partitions": Partitions(SIZES)})


@pytest.mark.parametrize(
    ("input_dim", "shape"),
    [
        ((3, 4, 4), (3, 4, 4, 3)),  # channels last
        ((1, 8, 8), (3, 1, 4, 4)),
        ((1, 8, 8), (3, 1, 16, 4)),
        ((64,), (3, 1, 4, 4)),
    ],
)
@pytest.mark.parametrize("paired", [True, False])
def test_data_of_another_shape_is_refused_with_both(input_dim, shape, paired):
    batch = make_pairs(shape)
    with pytest.raises(GateError, match=r"data has images of shape \(.*\): expected \("):
        make_model(input_dim)(batch if paired else {"data": batch["data"]})


@pytest.mark.parametrize(
    ("input_dim", "shape"), [((16,), (3, 1, 4, 4)), ((1, 4, 4), (3, 16)), ((1, 4, 4), (3, 4, 4))]
)
def test_flattened_data_trains_as_with_the_parent(input_dim, shape):
    assert make_model(input_dim)(make_pairs(shape)).loss.isfinite()


def warnings_of(model, *batches):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for batch in batches:
            model(batch)
    return [str(each.message) for each in caught]


def test_training_without_pairs_is_warned_of_once():
    plain = {"data": torch.rand(3, 1, 4, 4)}
    (text,) = warnings_of(make_model(), plain, plain)
    assert "GatedBetaVAE trains on images without pairs" in text
    assert "pose, identity; pass a PairedDataset" in text
    assert warnings_of(make_model().eval(), plain) == []
    assert warnings_of(make_model(partitions=None), plain) == []
    assert warnings_of(make_model(), make_pairs()) == []


@pytest.mark.parametrize("method", ["embed", "reconstruct", "interpolate"])
def test_pythaes_methods_do_not_count_as_training(method):
    """A loaded model is in training mode."""
    model, plain, images = make_model(), {"data": torch.rand(3, 1, 4, 4)}, torch.rand(3, 1, 4, 4)
    arguments = (images, images) if method == "interpolate" else (images,)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.manual_seed(0)
        result = getattr(model, method)(*arguments)
    torch.manual_seed(0)
    assert torch.equal(result, getattr(BetaVAE, method)(model, *arguments))
    assert getattr(model, method).__doc__ == getattr(BetaVAE, method).__doc__
    model = make_model()
    getattr(model, method)(*arguments)
    assert len(warnings_of(model, plain)) == 1


def test_values_that_the_sigmoid_cannot_reach_are_warned_of_once():
    batch = make_pairs()
    batch["data"] = batch["data"] * 8 - 4
    (text,) = warnings_of(make_model(), batch, batch)
    assert "the data is between -" in text
    assert "the decoder ends in a Sigmoid" in text
    linear = make_model()
    linear.decoder.layers[-1][-1] = nn.Identity()
    assert warnings_of(linear, batch) == []


def test_a_loss_whose_weight_of_the_kl_is_unknown_is_warned_of_once():
    class Own(GatedBetaVAE):
        def loss_function(self, recon_x, x, mu, log_var, z):
            losses = super().loss_function(recon_x, x, mu, log_var, z)
            return tuple(each / 16 for each in losses)

    class Told(Own):
        kl_weight = 0.5

    model = Own(make_model().model_config)
    (text,) = warnings_of(model, make_pairs(), make_pairs())
    assert "Own has its own loss_function" in text
    assert f"weight of {model.beta:g}; set kl_weight" in text
    told = Told(model.model_config)
    assert warnings_of(told, make_pairs()) == []
    assert (kl_weight(model), kl_weight(told)) == (model.beta, 0.5)
    paper = make_model(closed_partitions="input").model_config
    assert warnings_of(Own(paper), make_pairs()) == []


def test_values_on_a_large_scale_are_warned_of_once():
    model, batch = make_model(), make_pairs()
    model.decoder.layers[-1][-1] = nn.Identity()
    batch["data"] = batch["data"] * 255
    (text,) = warnings_of(model, batch, batch)
    assert "the data has a standard deviation of 7" in text
    assert "standardise it, or scale images to [0, 1]" in text


def test_uint8_to_evaluate_on_is_warned_of():
    """Pythae's datasets do not divide uint8 by 255; a PairedDataset does."""
    model, plain = make_model(), {"data": torch.arange(48.0).reshape(3, 1, 4, 4) * 5}
    assert warnings_of(model, make_pairs()) == []
    scale, sigmoid = warnings_of(model.eval(), plain, plain)
    what = "the data of the evaluation (only a PairedDataset divides uint8 by 255)"
    assert f"{what} has a standard deviation of 69.3" in scale
    assert f"{what} is between 0 and 235, and the decoder ends in a Sigmoid" in sigmoid
