import warnings
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pythae_gated.datasets.labels import encode_labels, read_factors, read_labels


def codes_of(labels, unknown=None):
    return encode_labels(*read_labels(labels, "pose", unknown)).tolist()


class Frame:  # converts to an array, as the column of a data frame does
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


MISSING = {
    "None": None,
    "NaN": float("nan"),
    "numpy's NaN": np.float32("nan"),
    "NaT": np.datetime64("NaT"),
    "pandas.NA": pd.NA,
    "pandas.NaT": pd.NaT,
    "masked": np.ma.masked,
    "a tensor of NaN": torch.tensor(float("nan")),
    "-1": -1,
}


@pytest.mark.parametrize("missing", MISSING.values(), ids=MISSING)
@pytest.mark.parametrize("present", [[3, 7], ["a", "b"], [0.5, 2.5]])
def test_a_missing_entry_leaves_the_others_as_they_are(missing, present):
    values, known = read_labels([present[0], missing, present[1]], "pose", unknown=-1)
    assert known.tolist() == [True, False, True]
    assert values[known].tolist() == present
    assert values.dtype.kind == np.array(present).dtype.kind


FORMS = {
    "list": ([3, None, 7], "i"),
    "booleans": ([True, None, False], "b"),
    "masked array": (np.ma.array([3, 5, 7], mask=[0, 1, 0]), "i"),
    "masked strings": (np.ma.array(["a", "b", "c"], mask=[0, 1, 0]), "U"),
    "nullable Series": (pd.Series([3, None, 7], dtype="Int64"), "i"),
    "nullable booleans": (pd.Series([True, None, False], dtype="boolean"), "b"),
    "nullable strings": (pd.Series(["a", None, "b"], dtype="string"), "U"),
    "categories of ints": (pd.Series([3, None, 7]).astype("Int64").astype("category"), "i"),
    "categories of strings": (pd.Categorical(["a", None, "b"]), "U"),
    "Series of floats": (pd.Series([3.5, None, 7.5]), "f"),
    "Series of objects": (pd.Series([3, None, 7], dtype=object), "i"),
    "Series of dates": (pd.Series(pd.to_datetime(["2001-01-01", None, "2001-01-02"])), "M"),
    "Index": (pd.Index(["a", None, "b"]), "U"),
    "0-d tensors": ([torch.tensor(3), None, torch.tensor(7)], "i"),
    "0-d arrays": ([np.array(3), np.ma.masked, np.array(7)], "i"),
    "bytes": ([b"a", None, b"b"], "U"),
    "tensor": (torch.tensor([3.5, float("nan"), 7.5], requires_grad=True), "f"),
    "bfloat16": (torch.tensor([3.5, float("nan"), 7.5], dtype=torch.bfloat16), "f"),
    "float16": (np.array([3.5, np.nan, 7.5], dtype=np.float16), "f"),
    "mixed": ([3, None, "a"], "O"),
}


@pytest.mark.parametrize(("labels", "kind"), FORMS.values(), ids=FORMS)
def test_each_form_of_labels_keeps_its_kind(labels, kind):
    values, known = read_labels(labels, "pose")
    assert values.dtype.kind == kind
    assert known.tolist() == [True, False, True]
    assert codes_of(labels) == [0, -1, 1]


TABLES = {
    "array": np.array([[3, 1], [-1, 2], [3, 1]]),
    "list": [[3, 1], [None, 2], [3, 1]],
    "list of arrays": [np.array([3, 1]), np.array([-1, 2]), np.array([3, 1])],
    "list of masked arrays": [np.ma.array([3, 1], mask=[m, 0]) for m in (0, 1, 0)],
    "list of tensors": list(torch.tensor([[3, 1], [-1, 2], [3, 1]])),
    "list of lists of tensors": [[torch.tensor(3), 1], [None, 2], [torch.tensor(3), 1]],
    "data frame": pd.DataFrame({"a": [3, None, 3], "b": [1, 2, 1]}).astype("Int64"),
    "data frame of unlike columns": pd.DataFrame({"a": ["x", None, "x"], "b": [1, 2, 1]}),
    "masked array": np.ma.array([[3, 1], [5, 2], [3, 1]], mask=[[0, 0], [1, 0], [0, 0]]),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_each_form_of_a_table_is_read(table):
    values, known = read_labels(table, "pose", unknown=-1)
    assert values.shape == known.shape == (3, 2)
    assert known.tolist() == [[True, True], [False, True], [True, True]]
    assert codes_of(table, unknown=-1) == [0, -1, 0]


@pytest.mark.parametrize(
    ("labels", "unknown", "known"),
    [
        (np.array([1.0, -99.9], dtype=np.float32), -99.9, [1, 0]),
        (np.array([1.0, -99.9], dtype=np.float16), -99.9, [1, 0]),
        (torch.tensor([1.0, -99.9]), -99.9, [1, 0]),
        (torch.tensor([1.0, -99.9]).tolist(), -99.9, [1, 0]),
        (pd.Series([1.0, -99.9], dtype="float32"), -99.9, [1, 0]),
        (["1", "-1"], -1, [1, 0]),
        (["1", "-1.0"], -1, [1, 0]),
        ([1, -1], "-1", [1, 0]),
        (["a", -1], -1, [1, 0]),
        (["a", "-1"], "-1", [1, 0]),
        ([0, 1, -1, 99], [-1, 99], [1, 1, 0, 0]),
        ([0, 1, -1, 99], (-1, 99), [1, 1, 0, 0]),
        ([0, 1, -1, 99], {-1, 99}, [1, 1, 0, 0]),
        ([0, 1, -1, 99], np.array([-1, 99]), [1, 1, 0, 0]),
        ([0, 1, -1, 99], np.array(-1), [1, 1, 0, 1]),
        ([0, 1, -1, 99], torch.tensor([-1, 99]), [1, 1, 0, 0]),
        (np.array([1, 255], dtype=np.uint8), -1, [1, 1]),
        (["", "a", None], "", [0, 1, 0]),
        (["nan", "a"], float("nan"), [1, 1]),
        ([1, 2], pd.NA, [1, 1]),
        ([2**63 + 5, 2**63 + 6, -1], -1, [1, 1, 0]),
        ([3, "b", -1], "b", [1, 0, 1]),
        ([True, False, None], None, [1, 1, 0]),
    ],
)
def test_unknown_is_compared_in_the_dtype_of_the_labels(labels, unknown, known):
    assert read_labels(labels, "pose", unknown)[1].tolist() == [bool(k) for k in known]


def test_large_integers_beside_a_missing_value_stay_exact():
    values, known = read_labels([2**63 + 5, 2**63 + 6, -1, None], "pose", unknown=-1)
    assert values.dtype == np.uint64
    assert values[known].tolist() == [2**63 + 5, 2**63 + 6]
    assert codes_of([2**63 + 5, 2**63 + 6, -1]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([[1], [1, 2]], r"'pose' cannot be read \(unhashable type: 'list'\): .* equal length"),
        ([np.zeros(1), np.zeros(2)], r"'pose' cannot be read \(all input arrays must have the"),
        ([{"a": 1}, {"a": 2}], r"unhashable type: 'dict'"),
        ({3, 5}, r"'pose' are a set of shape \(\)"),
        ({"a": 1}, r"'pose' are a dict of shape \(\)"),
        ("abc", r"'pose' are a str of shape \(\)"),
        ((value for value in "ab"), r"'pose' are a generator of shape \(\)"),
        (np.array([1 + 2j]), "dtype complex128"),
        (np.zeros(2, dtype="i4,f4"), "dtype .*: expected"),
        (torch.eye(2).to_sparse(), r"Use Tensor\.to_dense\(\) first"),
    ],
)
def test_labels_that_cannot_be_compared_are_refused(labels, match):
    with pytest.raises(ValueError, match=match):
        read_labels(labels, "pose")


class TestSeveralFactors:
    FACTORS: ClassVar = {"person": [3, -1, 3], "smile": np.array([-1.0, 0.0, 1.0])}

    def known(self, unknown):
        read = read_factors(self.FACTORS, unknown)
        return {name: known.tolist() for name, (_, known) in read.items()}

    def test_one_value_is_unknown_in_all_of_them(self):
        expected = {"person": [False, True, False], "smile": [True] * 3}
        assert self.known(3) == expected
        assert self.known([3]) == expected

    @pytest.mark.parametrize("unknown", [-1, [-1]])
    def test_a_value_in_several_of_them_gives_one_warning(self, unknown):
        with pytest.warns(UserWarning, match="occurs in the labels of") as caught:
            known = self.known(unknown)
        assert known == {"person": [True, False, True], "smile": [False, True, True]}
        assert [str(warning.message) for warning in caught] == [
            "unknown=-1 occurs in the labels of 'person' (1) and 'smile' (1): give "
            "unknown={name: -1} for those of them in which it means unknown"
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert self.known({"person": -1, "smile": -1}) == known

    def test_a_mapping_names_values_by_factor(self):
        assert self.known({"person": -1}) == {"person": [True, False, True], "smile": [True] * 3}
        assert self.known({"person": [-1], "smile": [0, 1]})["smile"] == [True, False, False]

    def test_a_value_that_never_occurs_gives_a_warning(self):
        with pytest.warns(UserWarning, match="unknown=9 does not occur in the labels$"):
            self.known([9, 3])
        with pytest.warns(UserWarning, match="unknown=0 does not occur in the labels of 'person'"):
            self.known({"person": [0, -1], "smile": 0})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.known([3, 0])

    def test_a_name_that_is_no_factor_is_refused(self):
        with pytest.raises(ValueError, match="unknown has 'hair': expected some of person, smile"):
            self.known({"hair": -1})


scalars = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.sampled_from([0.5, -99.9, float("nan"), float("inf")]),
    st.sampled_from(["a", "b", "-1", "nan", ""]),
    st.booleans(),
)


@given(st.lists(scalars, min_size=1, max_size=20), st.sampled_from([None, -1, [-1, "a"], 0.5]))
@settings(max_examples=300, deadline=None)
def test_labels_agree_with_a_comparison_in_python(labels, unknown):
    values, known = read_labels(labels, "pose", unknown)
    missing = [unknown] if not isinstance(unknown, list) else unknown
    missing = [*missing, *(str(value) for value in missing)]
    expected = [
        label is not None and label == label and label not in [m for m in missing if m is not None]
        for label in labels
    ]
    assert known.tolist() == expected
    codes = encode_labels(values, known)
    for i, a in enumerate(labels):
        for j, b in enumerate(labels):
            same = expected[i] and expected[j] and a == b
            assert (codes[i] == codes[j] and codes[i] >= 0) == same


@pytest.mark.parametrize(
    "values",
    [
        np.array([7, -3, 7, 0, -3]),
        np.array([2**40, -(2**40), 2**40, 0, -(2**40)]),  # sorted, since they are far apart
        np.array([9, 250, 9, 3, 250], dtype=np.uint8),
        np.array([2**63 + 1, 2**63, 2**63 + 1, 2**63 + 2, 2**63], dtype=np.uint64),
        np.array(["b", "a", "b", "c", "a"]),
    ],
)
def test_distinct_labels_are_numbered_in_order_of_appearance(values):
    known = np.array([True, True, True, True, False])
    assert encode_labels(values, np.ones(5, bool)).tolist() == [0, 1, 0, 2, 1]
    assert encode_labels(values, known).tolist() == [0, 1, 0, 2, -1]
    columns = np.stack([values, values[::-1]], axis=1)
    assert encode_labels(columns, np.ones((5, 2), bool)).tolist() == [0, 1, 2, 3, 4]


def test_booleans_are_numbered_in_order_of_appearance():
    assert encode_labels(np.array([True, False, True]), np.ones(3, bool)).tolist() == [0, 1, 0]
