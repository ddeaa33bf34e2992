import sys

import labels
import numpy as np


def test_the_script_prints_both_tables(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    side = np.tile(["left", "right"], 100)
    images = rng.normal(size=(200, 6)).astype(np.float32) + 3 * (side == "left")[:, None]
    np.savez(tmp_path / "data.npz", images=images, f_side=side, f_other=side)
    arguments = ["--data", str(tmp_path / "data.npz"), "--factors", "side", "--steps", "40"]
    arguments += ["--seeds", "1", "--known", "0.5", "--output", str(tmp_path / "output")]
    monkeypatch.setattr(sys, "argv", ["labels.py", *arguments])
    labels.main()
    printed = capsys.readouterr().out
    assert "UNLABELLED IMAGES PREDICTED: accuracy, 50% of the images labelled" in printed
    assert "LABELS THAT LOOK WRONG, 5% of all labels wrong" in printed
    for features in labels.FEATURES:
        assert printed.count(f"\n| side, {features} |") == 2
    assert "f_other" not in printed


def test_replaced_labels_are_others():
    values = np.arange(100) % 4
    changed = labels.replace_some(values, 0.1, np.random.default_rng(0))
    assert (changed != values).sum() == 10
    assert set(changed) == set(values)


def test_a_probability_is_that_of_the_given_label():
    codes = np.repeat([[0.0], [10.0]], 20, axis=0) + np.random.default_rng(0).random((40, 1))
    values = np.repeat([3, 5], 20)
    values[0] = 5
    probability, proposal = labels.out_of_fold(labels.make_classifier("means"), codes, values)
    assert probability.argmin() == 0
    assert proposal[0] == 3
