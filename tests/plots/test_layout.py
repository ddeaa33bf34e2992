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

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"images": np.zeros((2, 2, 2, 4, 4))}, r"\(2, 2, 2, 4, 4\).*with 1 or 3 channels"),
            ({"images": np.zeros((4, 4))}, r"\(4, 4\)"),
            ({"images": np.full((2, 1, 4, 4), np.nan)}, "image 0 contains NaN"),
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
