"""Networks for images and tables: shapes, initial values, what is refused, saving."""

import numpy as np
import pytest
import torch
from pythae.models import AutoModel, BetaVAE, BetaVAEConfig

from pythae_gated.datasets import make_faces, mean_and_beta
from pythae_gated.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder

L = 5


@pytest.mark.parametrize(
    "input_dim",
    [(1, 8, 8), (1, 28, 28), (1, 32, 32), (3, 64, 64), (3, 64, 48), (2, 40, 12), (1, 18, 34)],
)
def test_images_of_many_shapes_are_reconstructed_in_their_shape(input_dim):
    x = torch.rand(2, *input_dim)
    encoded = ConvEncoder(input_dim, L)(x)
    assert encoded.embedding.shape == encoded.log_covariance.shape == (2, L)
    assert ConvDecoder(input_dim, L)(encoded.embedding).reconstruction.shape == x.shape


def test_images_of_one_channel_may_lack_its_dimension():
    x, encoder = torch.rand(3, 1, 8, 8), ConvEncoder((1, 8, 8), L)
    assert encoder(x[:, 0]).embedding.equal(encoder(x).embedding)


@pytest.mark.parametrize(
    ("side", "convolutions", "last"),
    [
        (16, [(16, 3), (32, 16)], 4),
        (32, [(16, 3), (32, 16), (32, 32)], 4),
        (64, [(16, 3), (32, 16), (32, 32)], 8),
    ],
)
def test_images_are_halved_up_to_three_times_down_to_four_pixels(side, convolutions, last):
    shapes = [tuple(p.shape) for p in ConvEncoder((3, side, side), L).features.parameters()]
    assert [shape[:2] for shape in shapes if len(shape) == 4] == convolutions
    assert (128, 32 * last**2) in shapes


def test_larger_images_are_learnt_at_the_recommended_settings():
    grey = torch.from_numpy(make_faces(256, image_size=64)[0] / np.float32(255))
    images = grey.repeat(1, 3, 1, 1)
    mean, beta = mean_and_beta(images)
    shape = tuple(images.shape[1:])
    torch.manual_seed(0)
    networks = ConvEncoder(shape, 8), ConvDecoder(shape, 8, mean)
    model = BetaVAE(BetaVAEConfig(shape, latent_dim=8), *networks)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for step in range(60):
        model.beta = beta * step / 300  # a warm-up
        output = model({"data": images[torch.randint(len(images), (32,))]})
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    some = images[:128]
    error = (model.reconstruct(some) - some).square().sum()
    assert error < 0.8 * (some - mean).square().sum()


@pytest.mark.parametrize("shape", [(64,), (8, 8)])
def test_images_are_reshaped_unless_channels_are_last(shape):
    encoder, x = ConvEncoder((1, 8, 8), L), torch.rand(3, 1, 8, 8)
    assert encoder(x.reshape(3, *shape)).embedding.equal(encoder(x).embedding)
    with pytest.raises(RuntimeError, match="channels"):
        encoder(x.reshape(3, 8, 8, 1))


def test_channels_and_hidden_units_are_those_given():
    encoder = ConvEncoder((1, 12, 20), L, channels=(7, 9), hidden=11)
    decoder = ConvDecoder((1, 12, 20), L, channels=(7, 9), hidden=11)
    assert encoder.features[0].weight.shape[:2] == (7, 1)
    assert encoder.features[-2].weight.shape == decoder.layers[2].weight.T.shape == (11, 9 * 15)


@pytest.mark.parametrize("input_dim", [(7,), (2, 3), (1, 5, 5)])
def test_items_of_a_table_are_reconstructed_in_their_shape(input_dim):
    x = torch.rand(3, *input_dim)
    encoded = MLPEncoder(input_dim, L, hidden=8)(x)
    decoded = MLPDecoder(input_dim, L, hidden=8)(encoded.embedding)
    assert encoded.log_covariance.shape == (3, L)
    assert decoded.reconstruction.shape == x.shape


@pytest.mark.parametrize(
    ("encoder", "decoder", "input_dim"),
    [(ConvEncoder, ConvDecoder, (1, 8, 8)), (MLPEncoder, MLPDecoder, (6,))],
)
def test_posteriors_start_narrow_and_decoders_at_the_mean(encoder, decoder, input_dim):
    mean = np.random.default_rng(0).normal(50, 1, input_dim)  # no Sigmoid limits the output
    torch.manual_seed(0)
    log_var = encoder(input_dim, L)(torch.rand(64, *input_dim)).log_covariance
    decoded = decoder(input_dim, L, mean)(torch.randn(64, L)).reconstruction
    assert -4 < log_var.mean() < -2
    torch.testing.assert_close(
        decoded, torch.from_numpy(mean).float().expand_as(decoded), atol=1, rtol=0
    )
    assert decoder(input_dim, L, mean).bias.dtype == torch.float32


def test_the_given_mean_is_not_changed_by_training():
    mean = torch.zeros(6)
    decoder = MLPDecoder((6,), L, mean)
    decoder.bias.data += 1
    assert mean.equal(torch.zeros(6))


def test_models_with_these_networks_are_saved_and_loaded_by_pythae(tmp_path):
    shape = (3, 16, 8)
    networks = ConvEncoder(shape, L), ConvDecoder(shape, L, torch.rand(shape))
    model = BetaVAE(BetaVAEConfig(input_dim=shape, latent_dim=L), *networks).eval()
    model.save(str(tmp_path))
    loaded = AutoModel.load_from_folder(str(tmp_path)).eval()
    x = torch.rand(2, *shape)
    assert loaded.encoder(x).embedding.equal(model.encoder(x).embedding)
    assert loaded.decoder(x[:, 0, 0, :L]).reconstruction.shape == x.shape


@pytest.mark.parametrize("network", [ConvEncoder, ConvDecoder])
@pytest.mark.parametrize(
    ("input_dim", "channels", "message"),
    [
        ((6,), None, r"input_dim is \(6,\): expected \(C, H, W\), or use an MLP"),
        ((1, 33, 32), None, r"33 x 32 do not suit 1 convolutions .* multiple of 8, or use MLP"),
        ((1, 12, 12), (4, 4, 4), r"12 x 12 do not suit 3 convolutions of stride 2"),
        ((1, 4, 4), None, r"4 x 4 do not suit 1 convolutions"),
    ],
)
def test_shapes_that_do_not_suit_convolutions_are_refused(network, input_dim, channels, message):
    with pytest.raises(ValueError, match=message):
        network(input_dim, L, channels=channels)


@pytest.mark.parametrize("decoder", [ConvDecoder, MLPDecoder])
def test_a_mean_of_another_shape_is_refused(decoder):
    with pytest.raises(ValueError, match=r"mean has shape \(8, 8\): expected \(1, 8, 8\)"):
        decoder((1, 8, 8), L, torch.zeros(8, 8))
