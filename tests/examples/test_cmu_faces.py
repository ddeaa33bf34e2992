import json
import sys
from pathlib import Path

import cmu_faces
import imageio.v3 as imageio
import numpy as np
import pytest

PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "data" / "cmu_faces"


def run(monkeypatch, folder, output, *more):
    arguments = ["cmu_faces.py", "--data", str(folder), "--output", str(output), *more]
    monkeypatch.setattr(sys, "argv", arguments)
    cmu_faces.main()
    return [json.loads(line) for line in (output / "cmu_faces.jsonl").read_text().splitlines()]


def test_reads_names_and_pixels(folder):
    images, factors = cmu_faces.read_photographs(folder)
    assert images.shape == (48, 1, 32, 32)
    assert images.dtype == np.uint8
    assert set(factors["person"]) == {"ada", "bob", "cyd"}
    assert set(factors["pose"]) == {"left", "right", "straight", "up"}
    assert set(factors["eyes"]) == {"open", "sunglasses"}
    pixels = imageio.imread(folder / "ada" / "ada_left_angry_open_2.pgm")
    assert images[0, 0, 1, 0] == pytest.approx(pixels[:2, :2].mean(), abs=0.5)


def test_an_unreadable_photograph_is_named(folder):
    path = folder / "ada" / "ada_left_angry_open_2.pgm"
    path.write_bytes(b"P5\n64 60\n255\n")
    with pytest.raises(
        SystemExit, match=r"ada_left_angry_open_2\.pgm is no photograph of 64 x 60"
    ):
        cmu_faces.read_photographs(folder)
    imageio.imwrite(path, np.zeros((30, 32), dtype=np.uint8))
    with pytest.raises(
        SystemExit, match=r"ada_left_angry_open_2\.pgm is no photograph of 64 x 60"
    ):
        cmu_faces.read_photographs(folder)


def test_an_unknown_name_is_named(folder):
    (folder / "ada" / "ada_left_2.pgm").write_bytes(
        (folder / "ada" / "ada_left_angry_open_2.pgm").read_bytes()
    )
    with pytest.raises(SystemExit, match=r"ada_left_2\.pgm: expected <person>_<pose>_"):
        cmu_faces.read_photographs(folder)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(SystemExit, match="no photographs in"):
        cmu_faces.read_photographs(tmp_path)


def test_held_out_photographs_are_no_targets(folder, monkeypatch):
    images, factors = cmu_faces.read_photographs(folder)
    held_out = cmu_faces.hold_out(len(images), seed=0)
    assert 0 < held_out.sum() < len(images)
    seen = []
    monkeypatch.setattr(
        cmu_faces, "TrainingPipeline", lambda model, config: lambda data: seen.append(data)
    )
    cmu_faces.train("gated", images, factors, ~held_out, Path("unused"), steps=20, seed=0)
    batch = seen[0].__getitems__(range(len(seen[0]))).columns
    allowed = {image.tobytes() for image in images[~held_out]}
    for key in ("data", "target"):
        shown = (batch[key].numpy() * 255).round().astype(np.uint8)
        assert {image.tobytes() for image in shown} <= allowed


def test_runs_and_leaves_a_table_and_pictures(folder, tmp_path, monkeypatch, capsys):
    lines = run(monkeypatch, folder, tmp_path / "out", "--splits", "1", "--steps", "4")
    assert [line["model"] for line in lines] == ["ungated", "gated"]
    table = (tmp_path / "out" / "cmu_faces.md").read_text()
    assert table in capsys.readouterr().out
    assert "| gated |" in table
    for name in ("cmu_swap_pose", "cmu_swap_person", "cmu_traversals"):
        assert imageio.imread(tmp_path / "out" / f"{name}.png").ndim == 2


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason=f"no photographs in {PHOTOGRAPHS}")
def test_pose_and_person_part_on_held_out_photographs(tmp_path):
    images, factors = cmu_faces.read_photographs(PHOTOGRAPHS)
    runs = []
    for split in range(3):
        held_out = cmu_faces.hold_out(len(images), seed=split)
        model = cmu_faces.train(
            "gated", images, factors, ~held_out, tmp_path, steps=cmu_faces.STEPS, seed=split
        )
        runs.append(cmu_faces.judge(model, images, factors, held_out))
        print(f"\n{runs[-1]}")

    def mean(partition, factor):
        return np.mean([run.scores[partition][factor] for run in runs])

    assert mean("pose", "pose") >= 0.85
    assert mean("pose", "person") <= 0.10
    assert mean("person", "person") >= 0.90
    assert mean("person", "pose") <= 0.40
    assert mean("rest", "pose") <= 0.60
    assert mean("rest", "person") <= 0.45
