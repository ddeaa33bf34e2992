import numpy as np
import pandas as pd
import pytest
import torch

from pythae_gated.datasets import make_faces
from pythae_gated.metrics import dci, mig, sap
from pythae_gated.metrics.factors import as_columns, as_factors


@pytest.mark.parametrize(
    ("values", "discrete"),
    [
        ([1, 2, 3], True),
        ([True, False, True], True),
        (["left", "up", "left"], True),
        ([0.5, 1.0, 2.0], False),
        (np.array([0.5, 1.0, 2.0], dtype=np.float16), False),
        (["left", None, "up"], True),
        ([1, None, 2], True),
        ([0.5, None, 2.0], False),
    ],
)
def test_dtype_says_what_is_discrete(values, discrete):
    (factor,) = as_factors({"pose": values}, rows=3)
    assert factor.discrete is discrete


def test_the_caller_overrules_the_dtype():
    factors = as_factors({"yaw": [0.5, 1.5], "person": [1, 2]}, rows=2, discrete=["yaw"])
    assert [factor.discrete for factor in factors] == [True, False]


def test_strings_that_look_missing_are_warned_of():
    labels = {"pose": np.array(["left", np.nan, "up"]), "eyes": ["open", "None", "shut"]}
    match = r"labels of 'pose' that look missing: \['nan'\]; see unknown="
    with pytest.warns(UserWarning, match=match), pytest.warns(UserWarning, match="of 'eyes'"):
        as_factors(labels, rows=3)
    assert not as_factors(labels, rows=3, unknown={"pose": "nan", "eyes": "None"})[0].known[1]


@pytest.mark.parametrize("values", [[0.5, np.nan, 2.0], ["left", None, "up"], [1, None, 2]])
def test_nan_and_none_are_unknown(values):
    (factor,) = as_factors({"pose": values}, rows=3)
    assert factor.known.tolist() == [True, False, True]
    assert factor.values[factor.known].tolist() == [values[0], values[2]]


@pytest.mark.parametrize(
    ("factors", "discrete", "match"),
    [
        ({"yaw": [1, 2]}, None, r"'yaw' has shape \(2,\): expected \(3,\)"),
        ({"yaw": [[1], [2], [3]]}, None, r"shape \(3, 1\): expected \(3,\), so give each"),
        (np.zeros(3), None, r"factors of shape \(3,\)"),
        ({}, None, "there are no factors"),
        ({"yaw": [1, 2, 3]}, ["pitch"], "discrete has 'pitch'; the factors are yaw"),
        ({"pose": ["a", "b", "c"]}, [], "'pose' has strings"),
        ({"yaw": [1j, 2j, 3j]}, None, "'yaw' has dtype object: .* as in values.astype"),
        ({"yaw": [{}, {}, {}]}, None, "the labels of 'yaw' cannot be read"),
    ],
)
def test_bad_factors_are_named(factors, discrete, match):
    with pytest.raises(ValueError, match=match):
        as_factors(factors, rows=3, discrete=discrete)


def test_an_array_names_its_columns_by_number():
    assert list(as_columns(np.zeros((4, 2)), rows=4)) == ["0", "1"]


@pytest.mark.parametrize(
    "values",
    [
        np.ma.array([0.5, 9.0, 2.0], mask=[False, True, False]),
        pd.Series([0.5, None, 2.0]),
        [0.5, pd.NA, 2.0],
        torch.tensor([0.5, torch.nan, 2.0], dtype=torch.bfloat16),
    ],
    ids=["masked", "Series", "NA", "bfloat16"],
)
def test_every_kind_of_missing_value_is_unknown(values):
    (factor,) = as_factors({"yaw": values}, rows=3)
    assert factor.known.tolist() == [True, False, True]
    assert factor.known_values.tolist() == [0.5, 2.0]
    assert not factor.discrete


def test_columns_keep_their_kind():
    table = {
        "Int64": pd.Series([1, None, 2], dtype="Int64"),
        "categorical": pd.Series(["left", None, "up"], dtype="category"),
        "strings": ["left", float("nan"), "up"],
    }
    factors = as_factors(table, rows=3)
    assert [factor.values.dtype.kind for factor in factors] == ["i", "U", "U"]
    assert all(factor.discrete for factor in factors)
    assert all(factor.known.tolist() == [True, False, True] for factor in factors)


def test_a_masked_table_of_factors_keeps_its_mask():
    table = np.ma.array([[1, 5], [2, 6], [1, 5]], mask=[[0, 0], [1, 0], [0, 0]])
    first, second = as_factors(table, rows=3)
    assert first.known.tolist() == [True, False, True]
    assert second.known.all()


def test_a_data_frame_names_its_columns():
    frame = pd.DataFrame({"pose": ["left", None, "up"], "yaw": [0.5, 1.0, None]})
    pose, yaw = as_factors(frame, rows=3)
    assert (pose.name, yaw.name) == ("pose", "yaw")
    assert pose.known.tolist() == [True, False, True]
    assert yaw.known.tolist() == [True, True, False]


def test_a_data_frame_without_names_has_those_of_an_array():
    table = np.array([[1, 5], [2, 6], [1, 5]])
    first, second = as_factors(pd.DataFrame(table), rows=3)
    assert [first.name, second.name] == [each.name for each in as_factors(table, rows=3)]


def test_sides_of_unlike_types_are_refused():
    codes = np.random.default_rng(0).normal(size=(40, 2))
    person = np.arange(40) % 2
    with pytest.raises(ValueError, match=r"'person' has dtype int64 .* <U\d+ in those to"):
        dci(codes, {"person": person}, test=(codes, {"person": person.astype(str)}))


def test_masked_codes_are_refused():
    codes = np.ma.array(np.zeros((8, 2)), mask=np.eye(8, 2, dtype=bool))
    with pytest.raises(ValueError, match="codes have masked entries"):
        dci(codes, {"yaw": np.arange(8.0)})


MOUSE = np.arange(60) % 12


@pytest.mark.parametrize(
    ("fine", "coarse", "expected"),
    [
        (MOUSE, MOUSE % 2, True),
        (MOUSE.astype(str), np.array(["wild", "mutant"])[MOUSE % 2], True),
        (MOUSE % 2, MOUSE, False),
        (MOUSE, 11 - MOUSE, False),  # the same but for the names
        (MOUSE, MOUSE % 5 == 20, False),  # one value
        (MOUSE, (MOUSE % 2).astype(float), False),
        (MOUSE.astype(float), MOUSE % 2, False),
        (MOUSE, np.append((MOUSE % 2)[:-1], 0), False),  # one mouse of both genotypes
        (np.arange(60) % 40, np.arange(60) % 40 % 2, False),  # rarely repeated
        (MOUSE[:6] % 3, MOUSE[:6] % 3 % 2, False),  # few rows
        (np.tile(MOUSE, 2), np.tile(MOUSE == 3, 2), True),
        (MOUSE[:24], MOUSE[:24] == 3, False),  # a rare value: by accident
    ],
)
def test_a_finer_factor_determines_a_coarser_one(fine, coarse, expected):
    a, b = as_factors({"fine": fine, "coarse": coarse}, len(fine))
    assert a.determines(b) is expected


def test_the_values_of_a_factor_are_numbered_once(monkeypatch):
    """Strings are sorted slowly, and each factor is compared with all others."""
    table = {str(k): (MOUSE % (k + 2)).astype(str) for k in range(5)}
    read, sorted_strings = as_factors(table, len(MOUSE)), []

    def unique(values, unique=np.unique, **kwargs):
        sorted_strings.append(values.dtype.kind == "U")
        return unique(values, **kwargs)

    monkeypatch.setattr(np, "unique", unique)
    assert any(a.determines(b) for a in read for b in read if a is not b)
    assert sum(sorted_strings) == len(table)


def test_crossed_factors_do_not_determine_each_other():
    rng = np.random.default_rng(0)
    digits, speakers = as_factors(rng.integers(0, [10, 60], (400, 2)), 400)
    assert not digits.determines(speakers)
    assert not speakers.determines(digits)
    factors = make_faces(60, image_size=16)[1]
    read = as_factors(factors, 60)
    assert not any(a.determines(b) for a in read for b in read)


def test_nothing_is_determined_where_never_both_are_known():
    even = np.arange(60) % 2 == 0
    a, b = as_factors(
        {"a": np.ma.array(MOUSE, mask=even), "b": np.ma.array(MOUSE % 2, mask=~even)}, 60
    )
    assert not a.determines(b)


def test_two_factors_of_one_name_are_refused():
    frame = pd.DataFrame([[1, 5], [2, 6], [1, 5]], columns=["pose", "pose"])
    with pytest.raises(ValueError, match=r"two factors have one name: \['pose', 'pose'\]"):
        as_factors(frame, rows=3)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.filterwarnings("error")
def test_few_rows_of_a_class_are_no_reason_for_warnings(rng):
    codes, labels = rng.normal(size=(80, 2)), {"person": np.arange(80) % 50}
    for metric in (dci, sap):
        metric(codes, labels, test=(codes, labels))


class TestDataFrames:
    """Codes in a data frame, as transformers of scikit-learn return them."""

    def test_rows_in_another_order_are_refused(self, rng):
        table = pd.DataFrame(rng.normal(size=(1000, 2)), index=[f"row {i}" for i in range(1000)])
        labels = pd.DataFrame({"yaw": table[0], "pitch": table[1]})
        assert mig(table, labels).score > 0.7
        with pytest.raises(ValueError, match=r"labels of 'yaw' .* in another order"):
            mig(table[::-1], labels)
        with pytest.raises(ValueError, match=r"labels of 'yaw' .* in another order"):
            dci(table, labels, test=(table[::-1], labels))

    def test_columns_to_test_in_another_order_are_refused(self, rng):
        table = pd.DataFrame(rng.normal(size=(40, 2)), columns=["pose 0", "pose 1"])
        labels = {"yaw": table["pose 0"].to_numpy()}
        with pytest.raises(ValueError, match="column 0 is 'pose 1' in place of 'pose 0'"):
            dci(table, labels, test=(table[["pose 1", "pose 0"]], labels))
