import imageio.v3 as imageio
import numpy as np
import pytest

from pythae_gated.partitions import Partitions
from pythae_gated.plots import save_png, tile


class TestTile:
    def test_images_are_at_their_places(self):
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

    def test_a_single_line_of_images_becomes_a_square(self):
        assert tile(np.zeros((5, 1, 4, 4), dtype=np.float32)).shape == (2 * 4 + 2, 3 * 4 + 2 * 2)

    def test_small_images_are_enlarged_and_gaps_are_not(self):
        grid = np.random.default_rng(0).uniform(size=(2, 3, 1, 5, 4))
        enlarged = grid.repeat(3, -1).repeat(3, -2)  # from 4 to 12 pixels, at least 10
        assert (tile(grid, min_side=10) == tile(enlarged)).all()

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"images": np.zeros((2, 2, 2, 4, 4))}, r"\(2, 2, 2, 4, 4\).*with 1 or 3 channels"),
            ({"images": np.zeros((1, 2, 2, 1, 4, 4))}, r"\(1, 2, 2, 1, 4, 4\): expected \(R, C"),
            ({"images": np.zeros((2, 2, 4)), "rows": np.zeros((2, 3))}, r"expected \(2, 4\)"),
            ({"images": np.full((2, 1, 4, 4), np.nan)}, "image 0 contains NaN"),
            ({"rows": np.zeros((3, 1, 4, 4))}, r"rows has shape \(3, 1, 4, 4\)"),
            ({"columns": np.zeros((2, 1, 4, 5))}, r"expected \(2, 1, 4, 4\)"),
            ({"groups": [1, 2]}, r"groups of \[1, 2\] rows: the grid has 2"),
            ({"images": np.zeros((1, 16, 16))}, r"\(1, 16, 16\): .* one image is images\[None\]"),
            ({"images": np.zeros((3, 28, 40))}, r"\(3, 28, 40\): .* one image is images\[None\]"),
            ({"images": np.zeros((9, 16, 16))}, r"\(9, .* grey ones are images\[:, None\]"),
            ({"images": [np.zeros((20, 20))] * 4}, r"shape \(4, 20, 20\): expected \(N, channels"),
            ({"images": np.zeros((1, 28, 30))}, r"one line of a table is \(N, D\)$"),
        ],
    )
    def test_bad_input(self, arguments, match):
        with pytest.raises(ValueError, match=match):
            tile(**{"images": np.zeros((2, 2, 1, 4, 4)), **arguments})


class TestTables:
    """Rows of a table, drawn as bar charts."""

    def test_a_bar_per_value_from_zero_in_one_scale(self):
        picture = tile(np.array([[[1.0, 0.5, -1.0, 0.0]], [[0.0, 0.0, 0.0, -0.5]]]))
        assert picture.shape == (64 + 2 + 64, 64)
        bars, others = picture < 128, (picture > 128) & (picture < 255)
        assert (bars | others)[:64].all()
        # 64 lines of pixels go from 1 to -1, and four bars are 16 pixels wide
        assert bars[:64].sum(0).tolist() == [32] * 16 + [16] * 16 + [32] * 16 + [0] * 16
        assert bars[:32, :16].all()
        assert bars[32:64, 32:48].all()
        assert bars[66:].sum(0).tolist() == [0] * 48 + [16] * 16

    def test_headers_have_the_same_scale_and_the_corner_is_empty(self):
        grid, headers = np.full((1, 1, 3), 0.5), np.ones((1, 3))
        picture = tile(grid, rows=headers, columns=headers)
        assert (picture[:64, :64] == 255).all()
        assert (picture[72:, :64] < 128).all()
        assert (picture[72:104, 72:] > 128).all()
        assert (picture[104:, 72:] < 128).all()

    def test_more_values_than_pixels(self):
        spectrum = np.zeros((1, 1, 1000))
        spectrum[0, 0, 500] = 1.0
        bars = tile(spectrum, min_side=100) < 128
        assert bars.shape == (100, 100)
        assert np.flatnonzero(bars[:-1].any(0)).tolist() == [50]

    @pytest.mark.parametrize("shape", [(1, 8, 8), (3, 15, 15), (3, 27, 50), (2, 28, 30)])
    def test_a_grid_of_few_columns_is_no_image(self, shape):
        n, columns, _ = shape
        assert tile(np.zeros(shape)).shape == (66 * n - 2, 66 * columns - 2)

    def test_a_single_line_of_rows_becomes_a_square(self):
        picture = tile(np.zeros((5, 7), dtype=np.float32))
        assert picture.shape == (2 * 64 + 2, 3 * 64 + 2 * 2)
        assert (picture[66:, 132:] == 255).all()


class TestSaving:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_what_is_saved_is_the_tiled_picture(self, tmp_path, channels):
        grid = np.random.default_rng(0).uniform(size=(2, 3, channels, 5, 5))
        path = save_png(tmp_path / "new" / "grid.png", grid, groups=[1, 1])
        enlarged = grid.repeat(13, -1).repeat(13, -2)  # from 5 to 65 pixels a side
        assert (imageio.imread(path) == tile(enlarged, groups=[1, 1])).all()
        save_png(path, enlarged[:1])
        assert (imageio.imread(path) == tile(enlarged[:1])).all()

    def test_a_list_of_images_is_saved(self, tmp_path):
        grid = np.random.default_rng(0).uniform(size=(4, 1, 64, 64))
        path = save_png(tmp_path / "grid.png", list(grid))
        assert (imageio.imread(path) == tile(grid)).all()

    def test_only_png(self, tmp_path):
        with pytest.raises(ValueError, match=r"grid\.jpg' does not end in \.png"):
            save_png(tmp_path / "grid.jpg", np.zeros((1, 1, 4, 4)))
        assert not list(tmp_path.iterdir())
