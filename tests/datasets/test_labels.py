import numpy as np
import pytest
import torch

from pythae_gated.datasets.labels import encode_labels, read_labels


def codes_of(labels, unknown=None):
    return encode_labels(*read_labels(labels, "pose", unknown)).tolist()


class Frame:  # what numpy sees of a data frame's column
    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype or object)


@pytest.mark.parametrize(
    ("labels", "codes"),
    [
        ([3, 1, 3], [0, 1, 0]),
        (["b", "a", "b", None], [0, 1, 0, -1]),
        (["nan", float("nan"), "nan"], [0, -1, 0]),
        ([1.5, None, 1.5, float("nan")], [0, -1, 0, -1]),
        (np.array([3, 1, 3]), [0, 1, 0]),
        (np.array([0.5, np.nan, 0.5]), [0, -1, 0]),
        (np.array(["b", "a", "b"]), [0, 1, 0]),
        (np.array(["b", None, "b"], dtype=object), [0, -1, 0]),
        (torch.tensor([True, False, True]), [0, 1, 0]),
        (Frame(["b", None, "b"]), [0, -1, 0]),
        (np.array(["2001-01-01", "NaT"], dtype="datetime64[D]"), [0, -1]),
    ],
)
def test_labels_of_every_type_are_numbered(labels, codes):
    assert codes_of(labels) == codes


def test_columns_must_all_agree():
    table = np.array([[0, 1], [0, 1], [0, 2], [1, 2]])
    assert codes_of(table) == [0, 0, 1, 2]
    holes = [["a", 1], ["a", None], [None, 1], ["a", 1], ["b", 1]]
    codes = codes_of(holes)
    assert codes[0] == codes[3] >= 0
    assert codes[1:3] == [-1, -1]
    assert codes[4] not in (codes[0], -1)


def test_a_value_can_mean_unknown():
    assert codes_of(np.array([-1, 5, 5]), unknown=-1) == [-1, 0, 0]
    assert codes_of(["", "a", None], unknown="") == [-1, 0, -1]
    assert codes_of(torch.tensor([[1, -1], [1, 2]]), unknown=-1) == [-1, 0]


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.zeros((2, 2, 2)), r"'pose' are a ndarray of shape \(2, 2, 2\)"),
        (3, r"'pose' are a int of shape \(\)"),
        ([], r"'pose' are a list of shape \(0,\)"),
    ],
)
def test_labels_of_another_shape_are_refused(labels, match):
    with pytest.raises(ValueError, match=match):
        read_labels(labels, "pose")
