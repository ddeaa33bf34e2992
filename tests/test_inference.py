import re

import numpy as np
import pandas as pd
import pytest
import torch
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import nn

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, GatedVAE, GatedVAEConfig
from pythae_gated.errors import GateError, PartitionError
from pythae_gated.inference import fit_shape, resolve_partitions

SIZES = {"pose": 1, "person": 3}
VARIED = torch.tensor([True, False, False, False])


class PixelEncoder(BaseEncoder):
    """The posterior's mean is the image's four pixels."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.rows = []

    def forward(self, x):
        assert not torch.is_grad_enabled()
        assert not self.training
        self.rows.append(len(x))
        mu = x.flatten(1) * self.scale
        return ModelOutput(embedding=mu, log_covariance=torch.zeros_like(mu))


class PixelDecoder(BaseDecoder):
    def forward(self, z):
        assert not self.training
        return ModelOutput(reconstruction=z.reshape(-1, 1, 2, 2))


@pytest.fixture
def model():
    config = GatedVAEConfig(input_dim=(1, 2, 2), latent_dim=4, partitions=SIZES)
    return GatedVAE(config, encoder=PixelEncoder(), decoder=PixelDecoder()).train()


def images(count, seed=0):
    return torch.rand((count, 1, 2, 2), generator=torch.Generator().manual_seed(seed))


def pixels(variations):
    return variations.flatten(2)


class TestGenerate:
    def test_only_the_named_partition_is_drawn(self, model):
        x = images(3)
        made = model.generate(x, vary="pose", n=5)
        assert made.shape == (3, 5, 1, 2, 2)
        assert (pixels(made)[..., ~VARIED] == x.flatten(1)[:, None, ~VARIED]).all()
        assert len(made[..., 0, 0].unique()) == 15  # anew for each image and each variation

    def test_draws_from_the_prior_are_standard_normal(self, model):
        made = model.generate(
            images(1), vary="person", n=4000, generator=torch.Generator().manual_seed(0)
        )
        drawn = pixels(made)[0, :, ~VARIED]
        assert drawn.mean(0).abs().max() < 0.06
        assert (torch.cov(drawn.T) - torch.eye(3)).abs().max() < 0.08

    def test_codes_of_the_source_stay_together(self, model):
        """Of one image each time, over both partitions: each variation is an image of them."""
        x, source = images(2), images(4, seed=1)
        made = pixels(model.generate(x, ["pose", "person"], n=40, source=source))
        known = (made[:, :, None] == source.flatten(1)).all(-1)  # (B, n, S)
        assert (known.sum(-1) == 1).all()
        assert known.any(1).all()  # all of them come up
        made = pixels(model.generate(x, "pose", n=40, source=source))
        assert torch.isin(made[..., VARIED], source[:, 0, 0, 0]).all()
        assert (made[..., ~VARIED] == x.flatten(1)[:, None, ~VARIED]).all()

    def test_only_the_images_that_are_drawn_are_encoded(self, model):
        model.generate(images(1), "pose", n=3, source=images(5000))
        assert sum(model.encoder.rows) <= 1 + 3

    def test_a_generator_decides_and_the_global_one_is_left(self, model):
        torch.manual_seed(0)
        before = torch.get_rng_state()
        made = [
            model.generate(images(2), "pose", generator=torch.Generator().manual_seed(seed))
            for seed in (3, 3, 4)
        ]
        assert torch.equal(made[0], made[1])
        assert not torch.equal(made[0], made[2])
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(3)
        assert torch.equal(model.generate(images(2), "pose"), made[0])

    def test_no_trace_is_left(self, model):
        model.encoder.eval()
        assert not model.generate(images(2), "pose").requires_grad
        assert model.training
        assert not model.encoder.training

    def test_uint8_and_the_models_dtype(self, model):
        x = (images(2) * 255).byte()
        made = model.double().generate(x.numpy(), "pose", source=x.numpy())
        assert made.dtype == torch.float64
        np.testing.assert_allclose(made[:, 0, 0, 1], x[:, 0, 1] / 255, rtol=1e-6)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_the_device_changes_nothing(self, model):
        def make(source):
            generator = torch.Generator().manual_seed(0)
            return model.generate(images(2), "pose", source=source, generator=generator)

        expected = [make(source) for source in (None, images(9))]
        model.cuda()
        for there, source in zip(expected, (None, images(9).cuda()), strict=True):
            assert make(source).is_cuda
            assert torch.allclose(make(source).cpu(), there)

    @pytest.mark.parametrize(
        ("arguments", "error", "match"),
        [
            (
                {"vary": "hair"},
                PartitionError,
                "no partition is named 'hair'",
            ),
            ({"vary": []}, PartitionError, "at least one of the partitions pose, person"),
            ({"n": 0}, ValueError, "n=0: expected an int, at least 1"),
            ({"n": 2.0}, ValueError, r"n=2\.0"),
            ({"x": torch.rand(2, 3)}, ValueError, r"x has images of shape \(3,\): .* \(1, 2, 2\)"),
            ({"source": torch.rand(3, 1, 4, 4)}, ValueError, r"source has images of shape \(1, 4"),
            ({"source": images(1)[:0]}, ValueError, r"of shape \(0, 1, 2, 2\): .* N > 0"),
            ({"source": images(3) * torch.nan}, ValueError, "NaN"),
        ],
    )
    def test_bad_input(self, model, arguments, error, match):
        with pytest.raises(error, match=match):
            model.generate(**{"x": images(2), "vary": "pose", **arguments})
        assert model.training

    def test_a_generator_elsewhere_is_refused(self, model):
        generator = _Elsewhere()
        with pytest.raises(ValueError, match="is on cuda:0: samples are drawn on the CPU"):
            model.generate(images(2), "pose", generator=generator)


class _Elsewhere:
    """A generator on a GPU, without the GPU."""

    device = torch.device("cuda:0")


class TestShapes:
    """`fit_shape` is also the check of the gated forward: see tests/gating/test_batch.py."""

    @pytest.mark.parametrize("shape", [(2, 4), (2, 2, 2), (2, 2, 2, 1), (2, 1, 1, 2, 2)])
    def test_flattened_images_and_dimensions_of_size_1_are_accepted(self, model, shape):
        x = images(2)
        parts, expected = model.embed_partitions(x.reshape(shape)), model.embed_partitions(x)
        assert torch.equal(parts["person"], expected["person"])
        assert model.generate(x.reshape(shape), "pose", n=3).shape == (2, 3, 1, 2, 2)

    @pytest.mark.parametrize(
        ("shape", "input_dim", "match"),
        [
            ((3, 8, 9), (3, 8, 9), r"x has images of shape \(8, 9\): .*single image is x\[None\]"),
            ((5, 8, 9, 3), (3, 8, 9), r"channels come first: x\.transpose\(0, 3, 1, 2\)$"),
            ((5, 9, 8), (1, 8, 9), r"x has images of shape \(9, 8\): expected \(1, 8, 9\)$"),
            ((5, 71), (1, 8, 9), r"x has images of shape \(71,\): expected \(1, 8, 9\)$"),
        ],
    )
    def test_others_are_refused_with_the_fix(self, shape, input_dim, match):
        with pytest.raises(GateError, match=match):
            fit_shape(torch.zeros(shape), input_dim, "x")


@pytest.mark.parametrize("shape", [(3, 4, 1), (2, 4), (12,)])
def test_an_embedding_without_a_row_per_image_is_refused(model, shape):
    output = ModelOutput(embedding=torch.zeros(shape), log_covariance=torch.zeros(shape))
    model.encoder.forward = lambda x: output
    with pytest.raises(ValueError, match=rf"has shape {re.escape(str(shape))}: expected \(3, L\)"):
        model.embed_partitions(images(3))


def test_partitions_in_other_dimensions_than_the_models_are_refused(model):
    assert resolve_partitions(model, SIZES, 4).sizes == SIZES
    assert resolve_partitions(model, {"first": 2, "last": 2}, 4).names == ("first", "last")
    with pytest.raises(PartitionError, match=r"'pose' has other dimensions in the model, which"):
        resolve_partitions(model, {"person": 3, "pose": 1}, 4)


def test_flat_outputs_have_the_shape_of_the_images(model):
    model.decoder.forward = lambda z: ModelOutput(reconstruction=z)
    assert model.swap(images(3), images(3, seed=1), "pose").shape == (3, 1, 2, 2)


class TestEmbedAndSwap:
    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        return GatedBetaVAE(
            GatedBetaVAEConfig((1, 4, 4), latent_dim=5, partitions={"pose": 2, "identity": 3})
        )

    def test_embed_partitions_gives_means_by_name(self, model):
        x = torch.rand(3, 1, 4, 4)
        parts = model.embed_partitions(x)
        assert {name: tuple(part.shape) for name, part in parts.items()} == {
            "pose": (3, 2),
            "identity": (3, 3),
        }
        assert torch.equal(torch.cat(list(parts.values()), 1), model.encoder(x).embedding)

    def test_embed_partitions_samples_on_demand(self, model):
        x = torch.rand(1, 1, 4, 4).expand(4000, -1, -1, -1)
        torch.manual_seed(3)
        z = torch.cat(list(model.embed_partitions(x, sample=True).values()), 1)
        posterior = model.encoder(x[:1])
        assert not z.requires_grad
        assert torch.allclose(z.mean(0), posterior.embedding[0], atol=0.1)
        assert torch.allclose(z.std(0), torch.exp(posterior.log_covariance[0] / 2), rtol=0.1)
        torch.manual_seed(3)
        again = model.embed_partitions(x, sample=True)
        assert torch.equal(torch.cat(list(again.values()), 1), z)

    def test_codes_that_are_not_finite_are_refused(self, model):
        with torch.no_grad():
            model.encoder.log_var.bias[1] = torch.inf
        with pytest.raises(
            ValueError, match="codes of x are not finite: is it scaled as the trai"
        ):
            model.embed_partitions(torch.rand(2, 1, 4, 4))

    def test_swap_takes_one_partition_from_the_other(self, model):
        a, b = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
        mu_a, mu_b = model.encoder(a).embedding, model.encoder(b).embedding
        expected = model.decoder(torch.cat([mu_b[:, :2], mu_a[:, 2:]], 1)).reconstruction
        assert torch.equal(model.swap(a, b, "pose"), expected)
        both = model.swap(a, b, ["pose", "identity"])
        assert torch.equal(both, model.decoder(mu_b).reconstruction)
        one = model.swap(a, b[:1], "pose")
        assert torch.allclose(one[0], expected[0], atol=1e-6)

    def test_neither_leaves_a_trace(self, model):
        model.train()
        model.encoder.eval()
        x = torch.rand(2, 1, 4, 4)
        assert not model.swap(x, x, "pose").requires_grad
        assert not model.embed_partitions(x)["pose"].requires_grad
        assert model.training
        assert not model.encoder.training

    def test_uint8_images_are_scaled(self, model):
        x = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8)
        scaled = model.embed_partitions(x.float() / 255)
        assert torch.equal(model.embed_partitions(x.numpy())["pose"], scaled["pose"])

    def test_bad_swaps_are_refused(self, model):
        a = torch.rand(3, 1, 4, 4)
        with pytest.raises(PartitionError, match="no partition is named 'hair'"):
            model.swap(a, a, "hair")
        with pytest.raises(ValueError, match="a has 3 images and b 2: expected as many, or one"):
            model.swap(a, a[:2], "pose")
        table = pd.DataFrame(a.flatten(1).numpy())
        with pytest.raises(ValueError, match="column 0 is 15 in place of 0"):
            model.swap(table, table[table.columns[::-1]], "pose")
        with pytest.raises(ValueError, match="column 15 is 'none' in place of 15"):
            model.generate(table, "pose", source=table.iloc[:, :15])
