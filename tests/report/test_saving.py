import base64
import io
import json
import sys

import imageio.v3 as imageio
import numpy as np
import pandas as pd
import pytest
import torch
from pythae.models import AE, AEConfig

from pythae_gated import GatedVAE, GatedVAEConfig
from pythae_gated.errors import PartitionError
from pythae_gated.metrics import evaluate
from pythae_gated.report import save_report
from tests.support.page import Page
from tests.support.pixels import make_pixel_vae

SIZES = {"pose": 1, "person": 3}
INTENDED = {"yaw": "pose", "age": "person"}
PICTURES = [
    "overview.png", "reconstructions.png", "swap_1_pose.png", "swap_2_person.png",
    "traversals_1_pose.png", "traversals_2_person.png", "variations_1_pose.png",
    "variations_2_person.png",
]  # fmt: skip


class TestFolder:
    def test_one_page_holds_all_the_pictures(self, model, data, tmp_path):
        path = save_report(
            model, *data, tmp_path / "new" / "report", partitions=SIZES, intended=INTENDED
        )
        folder = path.parent
        assert path.name == "report.html"
        assert sorted(each.name for each in folder.iterdir()) == sorted(
            [*PICTURES, "evaluation.json", "report.html"]
        )
        page = Page(path)
        assert not page.open
        assert sorted(name for name, _ in page.images) == PICTURES
        for name, source in page.images:
            head, code = source.split(",")
            shown = imageio.imread(io.BytesIO(base64.b64decode(code)))
            saved = imageio.imread(folder / name)
            assert head in ("data:image/png;base64", "data:image/jpeg;base64")
            assert shown.shape == saved.shape
            assert np.abs(shown.astype(int) - saved).max() < 16  # JPEG
        outside = {link for link in page.links if not link.startswith("#")}
        assert outside == {source for _, source in page.images}
        assert not {"link", "iframe", "object"} & set(page.tags)
        written = json.loads((folder / "evaluation.json").read_text())
        expected = evaluate(model, *data, partitions=SIZES, intended=INTENDED)
        assert written == json.loads(json.dumps(expected.to_dict()))

    def test_nothing_is_overwritten_unasked(self, model, data, found, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        save_report(model, *data, tmp_path, evaluation=found)
        before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        with pytest.raises(FileExistsError, match="choose another folder, or overwrite=True"):
            save_report(model, *data, tmp_path, evaluation=found)
        assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
        path = save_report(model, *data, tmp_path, evaluation=found, overwrite=True, title="B")
        assert "<title>B</title>" in path.read_text()
        assert (tmp_path / "notes.txt").read_text() == "mine"

    def test_a_second_report_is_refused_before_anything_is_opened_or_drawn(self, tmp_path):
        for name in ("overview", "swap_2_person", "traversals_1_a_b", "variations_1_pose"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / f"{name}.png").touch()
            with pytest.raises(FileExistsError, match=rf"{name}\.png' is of an earlier report"):
                save_report(None, None, None, folder)

    def test_a_file_in_place_of_the_folder_is_refused_first(self, tmp_path):
        (tmp_path / "notes").write_text("mine")
        with pytest.raises(FileExistsError, match="notes' is a file: expected a folder"):
            save_report(None, None, None, tmp_path / "notes", overwrite=True)

    def test_a_picture_of_the_users_own_is_not_lost(self, model, data, found, tmp_path):
        (tmp_path / "overview.png").write_text("mine")
        with pytest.raises(FileExistsError, match=r"overview\.png' is of an earlier report"):
            save_report(model, *data, tmp_path, evaluation=found)
        assert [path.name for path in tmp_path.iterdir()] == ["overview.png"]

    def test_the_importance_of_each_dimension_needs_no_matplotlib(
        self, model, data, found, tmp_path, monkeypatch
    ):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        page = Page(save_report(model, *data, tmp_path, evaluation=found))
        share = found.importance[0, 0] / found.importance[:, 0].sum()
        assert f"partitionyawage pose1{share:.2f}" in page.text
        assert "matplotlib" not in page.text

    def test_the_same_seed_gives_the_same_and_leaves_torchs_alone(
        self, model, data, found, tmp_path
    ):
        model.train()
        state = torch.get_rng_state()
        for folder in ("a", "b"):
            save_report(model, *data, tmp_path / folder, evaluation=found)
        first, second = (tmp_path / each / "variations_1_pose.png" for each in "ab")
        assert first.read_bytes() == second.read_bytes()
        assert torch.equal(torch.get_rng_state(), state)
        assert model.training


class TestModels:
    def test_colour_and_uint8_of_a_gated_model(self, data, tmp_path):
        model = make_pixel_vae(
            GatedVAE, GatedVAEConfig, channels=3, partitions=SIZES, rest=["person"]
        )
        images = (np.repeat(data[0], 3, axis=1) * 255).astype(np.uint8)
        text = Page(save_report(model, images, data[1], tmp_path)).text
        assert "GatedVAE for images of 3 x 2 x 2; 4 latent dimensions" in text
        assert "trained without labels" in text
        assert imageio.imread(tmp_path / "overview.png").shape[2] == 3

    def test_one_partition_has_nothing_to_swap(self, model, data, tmp_path):
        page = Page(save_report(model, *data, tmp_path))
        names = {name for name, _ in page.images}
        assert names == {
            "reconstructions.png", "traversals_1_latent.png", "variations_1_latent.png"
        }  # fmt: skip
        assert "Exchange partitions" not in page.text

    def test_the_first_of_the_test_images_are_shown(self, model, data, found, tmp_path):
        test = (torch.full((2, 1, 2, 2), 0.4), {})
        save_report(model, *data, tmp_path, test=test, evaluation=found)
        picture = imageio.imread(tmp_path / "reconstructions.png")
        assert set(np.unique(picture)) == {102, 255}  # 0.4, and the gaps

    def test_tables_are_drawn_as_bar_charts(self, data, tmp_path):
        rows = 3 * data[0].reshape(80, 4) - 1
        model = make_pixel_vae(input_dim=(4,), log_var=-12.0)
        page = Page(save_report(model, rows, data[1], tmp_path, partitions=SIZES))
        assert sorted(name for name, _ in page.images) == PICTURES
        assert "VAE for tables of 4 columns" in page.text
        assert "one bar per column" in page.text
        assert "images" not in page.text
        assert imageio.imread(tmp_path / "reconstructions.png").shape == (2 * 96 + 2, 8 * 98 - 2)

    @pytest.mark.parametrize("is_test", [False, True])
    def test_factors_in_another_order_than_the_data_are_refused(
        self, model, data, found, tmp_path, is_test
    ):
        table, factors = pd.DataFrame(data[0].reshape(80, 4)), pd.DataFrame(data[1])
        test = (table, factors[::-1]) if is_test else None
        given = factors if is_test else factors[::-1]
        with pytest.raises(ValueError, match="'yaw' have the index of the data in another order"):
            save_report(model, table, given, tmp_path, test=test, evaluation=found)

    def test_images_without_a_channel_are_drawn_as_grey_images(self, data, tmp_path):
        given = {"partitions": SIZES, "intended": {"yaw": "pose"}}
        for name, shape in (("grey", (2, 2)), ("one", (1, 2, 2))):
            model = make_pixel_vae(input_dim=shape, log_var=-12.0)
            images = data[0].reshape(80, *shape)
            page = Page(save_report(model, images, data[1], tmp_path / name, **given))
            assert "VAE for images of 1 x 2 x 2" in page.text
        for path in (tmp_path / "one").glob("*.png"):
            assert (imageio.imread(path) == imageio.imread(tmp_path / "grey" / path.name)).all()

    def test_flattened_images_are_drawn_as_images(self, model, data, found, tmp_path):
        page = Page(
            save_report(model, data[0].reshape(80, 4), data[1], tmp_path, evaluation=found)
        )
        assert "VAE for images of 1 x 2 x 2" in page.text
        assert sorted(name for name, _ in page.images) == PICTURES

    def test_a_factor_that_was_left_out_is_named(self, model, data, tmp_path):
        images, factors = data
        clip, assigned = {**factors, "clip": np.arange(80) // 2}, {**INTENDED, "clip": "person"}
        given = {"partitions": SIZES, "intended": assigned, "groups": clip["clip"]}
        with pytest.warns(UserWarning, match="factor 'clip' has no class both"):
            page = Page(save_report(model, images, clip, tmp_path, **given))
        assert (
            "clip has no class both in the images to fit and in those to test, and was left out."
            in (" ".join(page.text.split()))
        )

    def test_what_the_pictures_clip_is_warned_of(self, data, tmp_path):
        model, images = make_pixel_vae(), 255 * data[0]
        with pytest.warns(UserWarning, match=r"values outside \[0, 1\], which the pictures clip"):
            save_report(model, images, data[1], tmp_path, partitions=SIZES)

    def test_neither_grey_nor_colour(self, tmp_path):
        model = make_pixel_vae(channels=2)
        with pytest.raises(ValueError, match=r"\(9, 2, 2, 2\).*with 1 or 3 channels"):
            save_report(model, np.zeros((9, 2, 2, 2)), {"a": range(9)}, tmp_path / "new")
        assert not (tmp_path / "new").exists()

    def test_no_gaussian_posterior(self, data, tmp_path):
        with pytest.raises(TypeError, match="Gaussian posterior"):
            save_report(AE(AEConfig((1, 2, 2), latent_dim=4)), *data, tmp_path)

    def test_partitions_that_do_not_fit(self, model, data, tmp_path):
        with pytest.raises(PartitionError, match="sum to 3"):
            save_report(model, *data, tmp_path, partitions={"a": 3})

    @pytest.mark.parametrize("given", [{"partitions": SIZES}, {"intended": INTENDED}])
    def test_an_evaluation_holds_its_own(self, model, data, found, given, tmp_path):
        with pytest.raises(
            ValueError, match=f"{next(iter(given))} and evaluation, which has its own, exclude"
        ):
            save_report(model, *data, tmp_path, evaluation=found, **given)


def test_names_are_escaped(model, data, tmp_path):
    images, factors = data
    script, partition = "<script>alert(1)</script>", "<img src=\"$x\" onerror='alert(2)'>"
    sizes = {partition: 1, "a/b & c": 2, "a/b_& c": 1}
    path = save_report(
        model, images, {script: factors["yaw"], "<b>": factors["age"]}, tmp_path,
        partitions=sizes, intended={script: partition}, title="<i>",
    )  # fmt: skip
    page = Page(path)
    assert page.tags.count("script") == 2  # ours
    assert "i" not in page.tags
    assert len(page.images) == 11
    assert page.text.count(partition) > 3
    assert f"{script} is encoded in {partition} (R²" in page.text
    assert "<b> (accuracy" in page.text
    assert (tmp_path / "swap_2_a_b_c.png").exists()
    assert (tmp_path / "swap_3_a_b_c.png").exists()
