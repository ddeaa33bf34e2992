"""The frames, maps and sources of a report, and a second model."""

import base64
import json
import re

import html5lib
import numpy as np
import pytest
import torch

from pythae_gated import Partitions
from pythae_gated.datasets.images import open_images
from pythae_gated.metrics import Evaluation
from pythae_gated.metrics.factors import as_factors
from pythae_gated.report import figures, save_report
from pythae_gated.report.explore import MAP_SIDE, STEPS, draw_swaps, draw_walks, to_legend
from tests.support.page import Page
from tests.support.pixels import make_pixel_vae

SIZES = {"pose": 1, "person": 3}
PARTITIONS = Partitions(SIZES)
SIDE, GAP = 2, 2  # pixels of the images, and between frames


def frame_at(sprite, row, column):
    top, left = row * (SIDE + GAP), column * (SIDE + GAP)
    return sprite[top : top + SIDE, left : left + SIDE].flatten() / 255


class TestWalks:
    @pytest.fixture
    def images(self, data):
        return torch.from_numpy(data[0] * 0.2 + 0.4)  # two deviations remain within [0, 1]

    @pytest.fixture
    def walks(self, model, images):
        return list(draw_walks(model, PARTITIONS, images[:10], open_images(images)))

    def test_a_dimension_goes_through_its_range_and_all_others_are_kept(self, walks, images):
        codes = images.flatten(1)
        for start in range(4):
            for step in (0, 5, 10):
                expected = codes[start].clone()
                deviation = codes[:, 2].std(correction=0)
                expected[2] = codes[:, 2].mean() + (step - 5) / 5 * 2 * deviation
                frame = frame_at(walks[1].frames, start * 4 + 2, step)
                np.testing.assert_allclose(frame, expected, atol=3e-3)

    def test_the_main_direction_is_the_principal_component(self, model):
        images = torch.full((40, 1, 2, 2), 0.5)
        images[:, 0, 1] += torch.linspace(-0.2, 0.2, 40)[:, None]  # two pixels vary together
        walks = list(draw_walks(model, PARTITIONS, images[:2], open_images(images)))
        first, last = (frame_at(walks[1].frames, 0, step) for step in (0, STEPS - 1))
        np.testing.assert_allclose(first[:2], 0.5, atol=3e-3)
        np.testing.assert_allclose(first[2:] + last[2:], 1, atol=6e-3)
        assert np.ptp(first[2:]) < 6e-3
        assert abs(first[2] - last[2]) > 0.3

    def test_a_single_dimension_is_its_own_direction(self, walks):
        assert [len(walk.nearest[0]) for walk in walks] == [1, 4]
        assert walks[0].frames.shape[0] == 4 * (SIDE + GAP) - GAP
        heights = {y for _, y in walks[0].points}
        assert heights == {MAP_SIDE // 2}

    def test_sliders_start_at_the_image(self, walks, images):
        value = float(images[3].flatten()[2])
        steps = [frame_at(walks[1].frames, 3 * 4 + 2, step)[2] for step in range(STEPS)]
        assert walks[1].nearest[3][2] == np.abs(np.array(steps) - value).argmin()

    def test_a_collapsed_partition_is_a_dot(self, model, images):
        same = images[:1].repeat(20, 1, 1, 1) + 1e-4 * torch.rand(20, 1, 2, 2)
        walks = list(draw_walks(model, PARTITIONS, same[:1], open_images(same)))
        points = np.array(walks[1].points)
        assert np.abs(points - MAP_SIDE / 2).max() <= 1

    def test_many_dimensions_have_fewer_starts(self, model, images, monkeypatch):
        monkeypatch.setattr("pythae_gated.report.explore.FRAMES", 2 * 6 * STEPS)
        walks = list(draw_walks(model, PARTITIONS, images[:10], open_images(images)))
        assert [len(walk.nearest) for walk in walks] == [2, 2]


def test_swaps_hold_all_pairs(model, data):
    shown = torch.from_numpy(data[0][:10])
    picks, swaps = draw_swaps(model, PARTITIONS, shown)
    np.testing.assert_allclose(frame_at(picks, 0, 7), shown[7].flatten(), atol=3e-3)
    given, kept = shown[2].flatten(), shown[5].flatten()
    pose = torch.cat([given[:1], kept[1:]])
    np.testing.assert_allclose(frame_at(swaps, 2, 5), pose, atol=3e-3)
    person = torch.cat([kept[:1], given[1:]])
    np.testing.assert_allclose(frame_at(swaps, 8 + 2, 5), person, atol=3e-3)


def test_large_frames_are_shrunk(data):
    model = make_pixel_vae()
    model.decoder.forward = lambda z: {"reconstruction": torch.zeros(len(z), 3, 200, 100)}
    shown = torch.from_numpy(data[0][:3])
    assert draw_swaps(model, PARTITIONS, shown)[1].shape == (6 * 68 - 2, 3 * 35 - 2, 3)


class TestLegend:
    def test_classes_in_order_and_the_unknown(self):
        (factor,) = as_factors({"size": np.array(["b", None, "a", "b"], dtype=object)}, 4)
        assert to_legend(factor) == [("a", [2]), ("b", [0, 3]), (None, [1])]

    def test_a_continuous_factor_is_binned(self):
        (factor,) = as_factors({"yaw": np.array([0.0, 0.5, 6.0, np.nan, 3.2])}, 5)
        assert to_legend(factor) == [("0 to 0.5", [0, 1]), ("3.2", [4]), ("6", [2]), (None, [3])]


class TestSources:
    def test_photographs_become_jpeg_and_charts_png(self):
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        chart = np.zeros((64, 64), dtype=np.uint8)
        photograph, drawing = figures.to_sources([noise, chart])
        assert photograph.startswith("data:image/jpeg;base64,")
        assert drawing.startswith("data:image/png;base64,")

    def test_the_quality_falls_until_the_page_is_small_enough(self, monkeypatch):
        noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
        (source,) = figures.to_sources([noise])
        size = len(base64.b64decode(source.split(",")[1]))
        monkeypatch.setattr(figures, "PAGE_BYTES", size // 2)
        (source,) = figures.to_sources([noise])
        assert len(base64.b64decode(source.split(",")[1])) <= size // 2

    def test_a_picture_too_tall_for_jpeg(self):
        assert figures.to_sources([np.zeros((70_000, 1), dtype=np.uint8)])[0].startswith(
            "data:image/png"
        )


class TestBaseline:
    def test_a_second_model_beside_the_first(self, model, data, found, tmp_path):
        other = make_pixel_vae(log_var=0.0)
        arguments = {"partitions": found.partitions, "intended": found.intended}
        path = save_report(model, *data, tmp_path, **arguments, baseline=other)
        page = Page(path)
        assert "Beside the baseline" in page.text
        assert page.text.count("VAE (baseline)") == 9  # eight figures and the table
        assert len(page.images) == 16
        written = Evaluation.load(tmp_path / "baseline_evaluation.json")
        assert written.intended == found.intended
        assert written.partitions.sizes == SIZES
        assert (tmp_path / "baseline_swap_1_pose.png").exists()
        with pytest.raises(FileExistsError, match="is of an earlier report"):
            save_report(model, *data, tmp_path, evaluation=found)
        (tmp_path / "notes.txt").touch()
        save_report(model, *data, tmp_path, evaluation=found, overwrite=True)
        assert not list(tmp_path.glob("baseline_*"))
        assert (tmp_path / "notes.txt").exists()

    def test_is_evaluated_by_the_caller_if_the_model_is(self, model, data, found, tmp_path):
        with pytest.raises(ValueError, match="pass the result as baseline_evaluation"):
            save_report(model, *data, tmp_path, evaluation=found, baseline=model)
        with pytest.raises(ValueError, match="given without its model: pass baseline, too"):
            save_report(model, *data, tmp_path, evaluation=found, baseline_evaluation=found)

    def test_its_evaluation_can_be_given(self, model, data, found, tmp_path, monkeypatch):
        monkeypatch.setattr("pythae_gated.report.saving.evaluate", None)
        save_report(
            model, *data, tmp_path, evaluation=found, baseline=model, baseline_evaluation=found
        )
        assert (tmp_path / "baseline_evaluation.json").read_text() == (
            tmp_path / "evaluation.json"
        ).read_text()


class TestPage:
    def test_it_is_valid_html(self, model, data, found, tmp_path):
        names = {"yaw": "<script>alert(1)</script>", "age": "a & b"}
        factors = {names[name]: values for name, values in data[1].items()}
        path = save_report(
            model, data[0], factors, tmp_path, partitions=SIZES, baseline=model,
            intended={names["yaw"]: "pose"},
        )  # fmt: skip
        html5lib.HTMLParser(strict=True).parse(path.read_text(encoding="utf-8"))

    def test_the_map_has_a_dot_per_image_and_factor(self, model, data, found, tmp_path):
        text = save_report(model, *data, tmp_path, evaluation=found).read_text()
        maps = re.findall("<svg.*?</svg>", text, re.DOTALL)
        assert [each.count("h0") for each in maps] == [80] * 4
        assert "codes of person, coloured by age" in maps[3]

    def test_no_maps_without_factors(self, model, data, found, tmp_path):
        text = save_report(model, data[0], None, tmp_path, evaluation=found).read_text()
        assert "<svg" not in text

    def test_frames_of_rows_and_of_spectrograms(self, data, tmp_path):
        rows = make_pixel_vae(input_dim=(4,), log_var=-12.0)
        path = save_report(rows, data[0].reshape(80, 4), data[1], tmp_path, partitions=SIZES)
        frames = json.loads(
            re.search('id="frames">(.*?)</script>', path.read_text(), re.DOTALL)[1]
        )
        assert (frames["width"], frames["height"], frames["picked"]) == (64, 64, 8)
        html5lib.HTMLParser(strict=True).parse(path.read_text(encoding="utf-8"))

    def test_names_of_rows_and_columns(self, model, data, found, tmp_path):
        text = Page(save_report(model, *data, tmp_path, evaluation=found)).text
        assert "mean+0.7 SD+1.3 SD+2.0 SD person 1person 2person 3" in text
        assert "image 1image 5image 6image 7image 8image 9image 10 poseperson" in text
        assert "inputsamplesample" in text
        assert "The sliders need JavaScript; the pictures below show the same" in text
