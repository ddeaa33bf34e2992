import numpy as np
import pytest

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


@pytest.mark.parametrize("values", [[0.5, np.nan, 2.0], ["left", None, "up"], [1, None, 2]])
def test_nan_and_none_are_unknown(values):
    (factor,) = as_factors({"pose": values}, rows=3)
    assert factor.known.tolist() == [True, False, True]
    assert factor.values[factor.known].tolist() == [values[0], values[2]]


@pytest.mark.parametrize(
    ("factors", "discrete", "match"),
    [
        ({"yaw": [1, 2]}, None, r"'yaw' has shape \(2,\): expected \(3,\)"),
        ({"yaw": [[1], [2], [3]]}, None, r"'yaw' has shape \(3, 1\)"),
        (np.zeros(3), None, r"factors of shape \(3,\)"),
        ({}, None, "no factors"),
        ({"yaw": [1, 2, 3]}, ["pitch"], "discrete names 'pitch'; the factors are yaw"),
        ({"pose": ["a", "b", "c"]}, [], "'pose' holds texts"),
        ({"yaw": [1j, 2j, 3j]}, None, "'yaw' has dtype complex128"),
        ({"yaw": [{}, {}, {}]}, None, "'yaw' has dtype object"),
    ],
)
def test_bad_factors_are_named(factors, discrete, match):
    with pytest.raises(ValueError, match=match):
        as_factors(factors, rows=3, discrete=discrete)


def test_an_array_names_its_columns_by_number():
    assert list(as_columns(np.zeros((4, 2)), rows=4)) == ["0", "1"]
