"""The examples on digits, speech and proteins, in a few steps on small or made-up data."""

import sys

import digits
import imageio.v3 as imageio
import numpy as np
import proteins
import pytest
import speech

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:all units of"),  # after 20 steps
]
rng = np.random.default_rng(0)


def run(script, tmp_path, monkeypatch, **data):
    arguments = [script.__file__, "--output", str(tmp_path / "out"), "--steps", "20"]
    if data:
        np.savez(tmp_path / "data.npz", **data)
        arguments += ["--data", str(tmp_path / "data.npz")]
    monkeypatch.setattr(sys, "argv", arguments)
    return script.main()


def test_digits(tmp_path, monkeypatch, capsys):
    found = run(digits, tmp_path, monkeypatch)
    assert found["gated"].intended == {"digit": "digit"}
    assert found["gated"].fitted_images + found["gated"].tested_images == 1_797
    printed = capsys.readouterr().out
    assert "start with beta=0.012" in printed
    assert "SIDE BY SIDE" in printed
    assert (tmp_path / "out/report/report.html").exists()
    assert imageio.imread(tmp_path / "out/swap_digit.png").ndim == 2


def test_proteins_are_split_by_animal(tmp_path, monkeypatch, capsys):
    mouse = np.repeat(np.arange(20), 6)
    found = run(
        proteins,
        tmp_path,
        monkeypatch,
        images=rng.normal(size=(120, 7)).astype(np.float32),
        f_genotype=np.where(mouse % 2, "a", "b"),
        f_behavior=np.where(mouse % 4 < 2, "c", "d"),
        f_mouse=mouse,
    )
    assert found["gated"].tested_images == 24  # four whole animals
    assert set(found["ungated"].scores) == {"genotype", "behavior", "rest"}
    assert "24 of 120 rows held out, of 4 animals" in capsys.readouterr().out


def test_speech_holds_a_speaker_out(tmp_path, monkeypatch, capsys):
    n = 240
    speaker = np.array(["ann", "bob", "theo"])[np.arange(n) % 3]
    found = run(
        speech,
        tmp_path,
        monkeypatch,
        images=rng.integers(0, 256, (n, 1, 32, 32), dtype=np.uint8),
        f_digit=np.arange(n) // 3 % 4,
        f_speaker=speaker,
    )
    assert found["gated"].fitted_images + found["gated"].tested_images == 160
    printed = capsys.readouterr().out
    lines = printed.split("WHOM THE MODEL HAS NEVER HEARD\n")[1].splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["digit", "speaker", "rest", "all"]
    assert all(0 <= float(line.split()[1]) <= 1 for line in lines[1:5])
    assert sum("of new speaker" in line for line in lines) == 1
    assert (tmp_path / "out/swap_speaker.png").exists()
