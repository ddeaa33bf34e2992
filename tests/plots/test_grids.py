import sys

import imageio.v3 as imageio
import numpy as np
import pytest
import torch

from pythae_gated.errors import PartitionError
from pythae_gated.metrics import evaluate
from pythae_gated.partitions import Partitions
from pythae_gated.plots import (
    importance_chart,
    reconstructions,
    swap_grid,
    tile,
    traversals,
    variations,
)
from tests.support.pixels import make_pixel_vae

SIZES = {"pose": 1, "person": 3}


@pytest.fixture
def model():
    """Each of the four pixels is a latent dimension."""
    return make_pixel_vae().train()


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
        grid = traversals(model, steps=5, span=0.5)
        assert grid.sum() == 4 * (0.25 + 0.5)
        assert (grid[2, -1].flatten() == [0, 0, 0.5, 0]).all()

    def test_a_batch_of_one_is_an_image(self, model):
        x = torch.tensor(images(1))
        assert (traversals(model, x) == traversals(model, x[0])).all()

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"steps": 1}, "steps=1"),
            ({"span": 0.0}, "span=0.0"),
            ({"x": images(2)}, "x has 2 images: expected one"),
            (
                {"x": np.zeros((1, 3, 2))},
                r"x has images of shape \(1, 3, 2\): expected \(1, 2, 2\)",
            ),
            ({"data": images(1)}, "data has 1 image: expected at least 2"),
        ],
    )
    def test_bad_input(self, model, arguments, match):
        with pytest.raises(ValueError, match=match):
            traversals(model, **arguments)


class TestRange:
    """The range of traversals, seen in the pixels, which are the codes."""

    def test_with_data_it_is_that_of_the_aggregate_posterior(self, model):
        model.encoder.log_var = 2 * np.log(0.02)
        data, x = images(50) / 10 + 0.45, images(1, seed=1)[0]
        grid = traversals(model, x, steps=3, data=data, span=1.0)
        codes = data.reshape(50, 4)
        for dimension in range(4):
            mean = codes[:, dimension].mean()
            deviation = np.sqrt(codes[:, dimension].var() + 0.02**2)
            expected = np.tile(x.flatten(), (3, 1))
            expected[:, dimension] = [mean - deviation, mean, mean + deviation]
            np.testing.assert_allclose(grid[dimension].reshape(3, 4), expected, atol=1e-5)


class TestVariations:
    def test_only_the_partition_is_drawn(self, model):
        x = images(2)
        grid = variations(model, x, "pose", n=3, partitions=SIZES, source=images(9, seed=1))
        assert grid.shape == (2, 3, 1, 2, 2)
        assert grid.dtype == np.float32
        assert (grid.reshape(2, 3, 4)[:, :, 1:] == x.reshape(2, 1, 4)[:, :, 1:]).all()
        assert np.isin(grid[..., 0, 0], images(9, seed=1)[:, :, 0, 0]).all()
        assert model.training

    def test_the_models_own_partitions_and_a_generator(self, model):
        model.partitions = Partitions(SIZES)
        grids = [
            variations(model, images(1), "person", generator=torch.Generator().manual_seed(0))
            for _ in range(2)
        ]
        assert (grids[0] == grids[1]).all()
        assert grids[0].shape == (1, 8, 1, 2, 2)

    def test_unknown_partition(self, model):
        with pytest.raises(PartitionError, match="'pose'"):
            variations(model, images(1), "pose")


def test_neither_grey_nor_colour():
    model = make_pixel_vae(channels=2)
    with pytest.raises(ValueError, match=r"\(4, 7, 2, 2, 2\).*with 1 or 3 channels"):
        traversals(model)


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

    def test_partitions_of_another_size(self, model):
        with pytest.raises(PartitionError, match="sum to 5"):
            swap_grid(model, images(2), images(2), "pose", partitions={"pose": 5})


def test_reconstructions_below_their_originals(model):
    x = (images(3) * 255).astype(np.uint8)
    grid = reconstructions(model.double(), x)
    assert grid.shape == (2, 3, 1, 2, 2)
    np.testing.assert_allclose(grid[0], x / 255, rtol=1e-6)
    np.testing.assert_allclose(grid[1], x / 255, rtol=1e-6)


@pytest.mark.parametrize("n", [1, 3, 4])
def test_images_without_a_channel_are_grey(n):
    """Three or one of them are not the channels of one image."""
    model = make_pixel_vae(input_dim=(2, 2))
    x, rows = images(n)[:, 0], images(2, seed=1)[:, 0]
    assert swap_grid(model, rows, x, "pose", partitions=SIZES).shape == (2, n, 1, 2, 2)
    assert variations(model, x, "pose", n=n, partitions=SIZES).shape == (n, n, 1, 2, 2)
    assert traversals(model, x[:1], steps=n + 1).shape == (4, n + 1, 1, 2, 2)
    grid = reconstructions(model, x)
    np.testing.assert_allclose(grid, np.stack([x, x])[:, :, None], rtol=1e-6)
    assert (traversals(model, x[:1]) == traversals(model, x[0])).all()
    grid = swap_grid(model, rows, x, "pose", partitions=SIZES)
    headed = tile(grid, rows=rows, columns=x)
    assert (headed == tile(grid, rows=rows[:, None], columns=x[:, None])).all()


class TestTables:
    """A VAE of rows of four values, which are its codes."""

    @pytest.fixture
    def model(self):
        return make_pixel_vae(input_dim=(4,)).train()

    def test_values_are_not_clipped(self, model):
        x = np.array([5.0, -5.0, 0.0, 2.0], dtype=np.float32)
        grid = traversals(model, x, steps=3, span=2.0)
        assert grid.shape == (4, 3, 4)
        assert (grid[0, 0] == [-2, -5, 0, 2]).all()
        assert (traversals(model, x[None], steps=3, span=2.0) == grid).all()

    def test_swaps_variations_and_reconstructions(self, model):
        rows, columns = images(2).reshape(2, 4) + 3, images(3, seed=1).reshape(3, 4) - 3
        swapped = swap_grid(model, rows, columns, "pose", partitions=SIZES)
        assert (swapped[1, 2] == [rows[1, 0], *columns[2, 1:]]).all()
        varied = variations(model, rows, "pose", n=5, partitions=SIZES)
        assert varied.shape == (2, 5, 4)
        assert (varied[..., 1:] == rows[:, None, 1:]).all()
        np.testing.assert_allclose(reconstructions(model, rows), [rows, rows])


class TestImportanceChart:
    @pytest.fixture
    def found(self, model):
        model.encoder.log_var = -12.0
        x = images(80)
        factors = {"yaw": x[:, 0, 0, 0], "age": x[:, 0, 1, 1]}
        return evaluate(model, x, factors, partitions=SIZES, intended={"age": "person"})

    def test_what_is_drawn(self, found, tmp_path):
        before = set(sys.modules)
        figure = importance_chart(found)
        axes = figure.axes[0]
        shares = np.asarray(axes.images[0].get_array())
        assert shares.shape == (4, 2)
        np.testing.assert_allclose(shares.sum(0), 1)
        assert shares[0, 0] > 0.9
        assert shares[3, 1] > 0.9
        assert [label.get_text() for label in axes.get_yticklabels()] == ["pose", "person"]
        assert [label.get_text() for label in axes.get_xticklabels()] == ["yaw", "age"]
        assert [line.get_ydata()[0] for line in axes.lines] == [0.5]
        (frame,) = axes.patches
        assert frame.get_x() == pytest.approx(1 - frame.get_width() / 2)
        assert frame.get_y() + frame.get_height() / 2 == pytest.approx(2)
        figure.savefig(tmp_path / "chart.png")
        assert imageio.imread(tmp_path / "chart.png").ndim == 3
        assert "matplotlib.pyplot" not in set(sys.modules) - before

    def test_without_matplotlib(self, found, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(ImportError, match=r"pip install 'pythae-gated\[plots\]'"):
            importance_chart(found)
