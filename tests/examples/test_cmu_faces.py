import json
import sys
from pathlib import Path

import cmu_faces
import imageio.v3 as imageio
import numpy as np
import pytest
from torch.utils.data import DataLoader

PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "data" / "cmu_faces"


def run(monkeypatch, folder, output, *more):
    arguments = ["cmu_faces.py", "--data", str(folder), "--output", str(output), *more]
    monkeypatch.setattr(sys, "argv", arguments)
    cmu_faces.main()
    return [json.loads(line) for line in (output / "cmu_faces.jsonl").read_text().splitlines()]


def test_factors_are_read_from_names_and_images_from_pixels(folder):
    images, factors = cmu_faces.read_photographs(folder)
    assert images.shape == (48, 1, 32, 32)
    assert images.dtype == np.uint8
    assert set(factors["person"]) == {"ada", "bob", "cyd"}
    assert set(factors["pose"]) == {"left", "right", "straight", "up"}
    assert set(factors["eyes"]) == {"open", "sunglasses"}
    pixels = imageio.imread(folder / "ada" / "ada_left_angry_open_2.pgm")
    assert images[0, 0, 1, 0] == pytest.approx(pixels[:2, :2].mean(), abs=0.5)


def test_an_error_names_the_unreadable_photograph(folder):
    path = folder / "ada" / "ada_left_angry_open_2.pgm"
    path.write_bytes(b"P5\n64 60\n255\n")
    with pytest.raises(SystemExit, match=r"ada_left_angry_open_2\.pgm is not an image of 64 x 60"):
        cmu_faces.read_photographs(folder)
    imageio.imwrite(path, np.zeros((30, 32), dtype=np.uint8))
    with pytest.raises(SystemExit, match=r"ada_left_angry_open_2\.pgm is not an image of 64 x 60"):
        cmu_faces.read_photographs(folder)


def test_an_error_names_a_file_with_an_unknown_name(folder):
    (folder / "ada" / "ada_left_2.pgm").write_bytes(
        (folder / "ada" / "ada_left_angry_open_2.pgm").read_bytes()
    )
    with pytest.raises(SystemExit, match=r"ada_left_2\.pgm: expected <person>_<pose>_"):
        cmu_faces.read_photographs(folder)


def test_an_error_names_an_empty_folder(tmp_path):
    with pytest.raises(SystemExit, match="no photographs in"):
        cmu_faces.read_photographs(tmp_path)


def test_held_out_photographs_are_neither_inputs_nor_targets(folder, monkeypatch):
    images, factors = cmu_faces.read_photographs(folder)
    held_out = cmu_faces.hold_out(len(images), seed=0)
    assert 0 < held_out.sum() < len(images)
    seen = []
    monkeypatch.setattr(cmu_faces, "train", lambda model, data, **settings: seen.append(data))
    cmu_faces.fit("gated", images, factors, ~held_out, Path("unused"), steps=20, seed=0)
    (batch,) = DataLoader(seen[0], batch_size=len(seen[0]))
    allowed = {image.tobytes() for image in images[~held_out]}
    for key in ("data", "target"):
        shown = (batch[key].numpy() * 255).round().astype(np.uint8)
        assert {image.tobytes() for image in shown} <= allowed


@pytest.mark.slow
def test_the_script_saves_a_table_and_pictures(folder, tmp_path, monkeypatch, capsys):
    lines = run(monkeypatch, folder, tmp_path / "out", "--splits", "1", "--steps", "4")
    assert [line["model"] for line in lines] == ["ungated", "gated"]
    table = (tmp_path / "out" / "cmu_faces.md").read_text()
    assert table in capsys.readouterr().out
    assert "| gated |" in table
    for name in ("cmu_swap_pose", "cmu_swap_person", "cmu_traversals"):
        assert imageio.imread(tmp_path / "out" / f"{name}.png").ndim == 2


needs_photographs = pytest.mark.skipif(
    not PHOTOGRAPHS.is_dir(), reason=f"no photographs in {PHOTOGRAPHS}"
)


def scores_on_held_out(split, steps, output):
    images, factors = cmu_faces.read_photographs(PHOTOGRAPHS)
    held_out = cmu_faces.hold_out(len(images), seed=split)
    model = cmu_faces.fit("gated", images, factors, ~held_out, output, steps=steps, seed=split)
    evaluation = cmu_faces.evaluate_held_out(model, images, factors, held_out)
    print(f"\n{evaluation}")
    return evaluation.scores


@needs_photographs
@pytest.mark.slow
def test_a_third_of_the_steps_separates_pose_and_person(tmp_path):
    scores = scores_on_held_out(0, cmu_faces.STEPS // 3, tmp_path)
    assert scores["pose"]["pose"] >= 0.90
    assert scores["pose"]["person"] <= 0.15
    assert scores["person"]["person"] >= 0.90
    assert scores["person"]["pose"] <= 0.35
    assert scores["rest"]["pose"] <= 0.50
    assert scores["rest"]["person"] <= 0.30


@needs_photographs
@pytest.mark.nightly
def test_gating_separates_pose_and_person_on_three_splits(tmp_path):
    runs = [scores_on_held_out(split, cmu_faces.STEPS, tmp_path) for split in range(3)]

    def mean(partition, factor):
        return np.mean([scores[partition][factor] for scores in runs])

    assert mean("pose", "pose") >= 0.85
    assert mean("pose", "person") <= 0.10
    assert mean("person", "person") >= 0.90
    assert mean("person", "pose") <= 0.40
    assert mean("rest", "pose") <= 0.60
    assert mean("rest", "person") <= 0.45
