import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import nn

from pythae_gated.errors import PartitionError
from pythae_gated.partitions import Partitions
from pythae_gated.plots import reconstructions, save_png, swap_grid, tile, traversals

SIZES = {"pose": 1, "person": 3}


class PixelEncoder(BaseEncoder):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        assert not torch.is_grad_enabled()
        assert not self.training
        mu = x.flatten(1) * self.scale
        return ModelOutput(embedding=mu, log_covariance=torch.zeros_like(mu))


class PixelDecoder(BaseDecoder):
    def forward(self, z):
        assert not torch.is_grad_enabled()
        assert not self.training
        return ModelOutput(reconstruction=z.reshape(-1, 1, 2, 2))


@pytest.fixture
def model():
    """Each of the four pixels is a latent dimension."""
    config = VAEConfig(input_dim=(1, 2, 2), latent_dim=4)
    model = VAE(config, encoder=PixelEncoder(), decoder=PixelDecoder())
    return model.train()


def images(count, seed=0):
    return np.random.default_rng(seed).uniform(size=(count, 1, 2, 2)).astype(np.float32)


class TestTraversals:
    def test_one_dimension_walks_and_the_others_stay(self, model):
        x = images(1)[0]
        grid = traversals(model, x, steps=3, span=1.0)
        assert grid.shape == (4, 3, 1, 2, 2)
        for dimension in range(4):
            for step, value in enumerate([0, 0, 1]):  # of -1, 0 and 1, clipped to [0, 1]
                expected = x.flatten()
                expected[dimension] = value
                assert (grid[dimension, step].flatten() == expected).all()
        assert model.training

    def test_from_the_priors_mean(self, model):
        grid = traversals(model, steps=5, span=0.5, partitions=SIZES)
        assert grid.sum() == 4 * (0.25 + 0.5)
        assert (grid[2, -1].flatten() == [0, 0, 0.5, 0]).all()

    def test_a_batch_of_one_is_an_image(self, model):
        x = torch.tensor(images(1))
        assert (traversals(model, x) == traversals(model, x[0])).all()

    @pytest.mark.parametrize(
        ("arguments", "error", "match"),
        [
            ({"steps": 1}, ValueError, "steps=1"),
            ({"span": 0.0}, ValueError, "span=0.0"),
            ({"x": images(2)}, ValueError, r"shape \(2, 1, 2, 2\): expected one image"),
            ({"partitions": {"pose": 5}}, PartitionError, "sum to 5"),
        ],
    )
    def test_bad_input(self, model, arguments, error, match):
        with pytest.raises(error, match=match):
            traversals(model, **arguments)


class TestSwaps:
    @pytest.mark.parametrize(
        ("partition", "swapped"),
        [
            ("pose", [True, False, False, False]),
            ("person", [False, True, True, True]),
            (["pose", "person"], [True, True, True, True]),
        ],
    )
    def test_partition_of_the_row_rest_of_the_column(self, model, partition, swapped):
        rows, columns = images(2), images(3, seed=1)
        grid = swap_grid(model, rows, columns, partition, partitions=SIZES)
        assert grid.shape == (2, 3, 1, 2, 2)
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                expected = np.where(swapped, row.flatten(), column.flatten())
                assert (grid[i, j].flatten() == expected).all()
        assert model.training

    def test_the_models_own_partitions(self, model):
        model.partitions = Partitions(SIZES)
        x = images(2)
        expected = swap_grid(model, x, x, "pose", partitions=SIZES)
        assert (swap_grid(model, x, x, "pose") == expected).all()

    def test_unknown_partition(self, model):
        with pytest.raises(PartitionError, match="'pose'"):
            swap_grid(model, images(2), images(2), "pose")


def test_reconstructions_below_their_originals(model):
    x = (images(3) * 255).astype(np.uint8)
    grid = reconstructions(model.double(), x)
    assert grid.shape == (2, 3, 1, 2, 2)
    np.testing.assert_allclose(grid[0], x / 255, rtol=1e-6)
    np.testing.assert_allclose(grid[1], x / 255, rtol=1e-6)


class TestTile:
    def test_images_lie_where_they_belong(self):
        black_but_one = np.zeros((2, 2, 1, 3, 4), dtype=np.float32)
        black_but_one[0, 1] = 0.4
        picture = tile(black_but_one)
        assert picture.shape == (2 * 3 + 2, 2 * 4 + 2)
        assert picture.dtype == np.uint8
        assert (picture[:3, 6:] == 102).all()
        assert (picture[:3, 4:6] == 255).all()
        assert (picture[:3, :4] == 0).all()
        assert (picture[5:, 6:] == 0).all()

    def test_headers_and_groups_are_set_apart(self):
        grid = np.zeros((3, 2, 3, 4, 4), dtype=np.float32)
        headers = np.full((3, 3, 4, 4), 128, dtype=np.uint8)
        picture = tile(
            grid, rows=headers, columns=headers[:2], groups=Partitions({"pose": 1, "person": 2})
        )
        assert picture.shape == (4 * 4 + 8 + 8 + 2, 3 * 4 + 8 + 2, 3)
        assert (picture[:4, :4] == 255).all()  # nothing in the corner
        assert (picture[:4, 12:16] == 128).all()
        assert (picture[12:16, :4] == 128).all()
        assert (picture[12:16, 12:16] == 0).all()
        assert (picture[16:24] == 255).all()  # between the groups

    def test_a_line_of_images_becomes_a_square(self):
        assert tile(np.zeros((5, 1, 4, 4), dtype=np.float32)).shape == (2 * 4 + 2, 3 * 4 + 2 * 2)

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"images": np.zeros((2, 2, 2, 4, 4))}, r"\(2, 2, 2, 4, 4\).*with 1 channel or 3"),
            ({"images": np.zeros((4, 4))}, r"\(4, 4\)"),
            ({"images": np.full((2, 1, 4, 4), np.nan)}, "image 0 holds NaN"),
            ({"rows": np.zeros((3, 1, 4, 4))}, r"rows has shape \(3, 1, 4, 4\)"),
            ({"columns": np.zeros((2, 1, 4, 5))}, r"expected \(2, 1, 4, 4\)"),
            ({"groups": [1, 2]}, r"groups of \[1, 2\] rows: the grid has 2"),
        ],
    )
    def test_bad_input(self, arguments, match):
        with pytest.raises(ValueError, match=match):
            tile(**{"images": np.zeros((2, 2, 1, 4, 4)), **arguments})


class TestSaving:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_what_is_saved_is_the_tiled_picture(self, tmp_path, channels):
        grid = np.random.default_rng(0).uniform(size=(2, 3, channels, 5, 5))
        path = save_png(tmp_path / "new" / "grid.png", grid, groups=[1, 1])
        assert (imageio.imread(path) == tile(grid, groups=[1, 1])).all()
        save_png(path, grid[:1])
        assert (imageio.imread(path) == tile(grid[:1])).all()

    def test_only_png(self, tmp_path):
        with pytest.raises(ValueError, match=r"grid\.jpg' does not end in \.png"):
            save_png(tmp_path / "grid.jpg", np.zeros((1, 1, 4, 4)))
        assert not list(tmp_path.iterdir())
