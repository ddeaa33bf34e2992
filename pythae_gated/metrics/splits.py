"""The rows to fit on and the rows to test on."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit

from pythae_gated.datasets.frames import check_columns
from pythae_gated.datasets.labels import encode_labels, note_missing, read_labels
from pythae_gated.metrics.factors import Factor, Factors, LabelledCodes, as_codes, label_codes
from pythae_gated.metrics.forests import chance


def split_rows(n: int, seed: int, groups: Any = None) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Indices of the rows to fit on and of those to test on, a random quarter.

    Args:
        n: Number of rows.
        seed: Of the split.
        groups: (N,), as from `read_groups`; the rows of a group are on the same side, and a
            quarter of the groups is tested.

    Raises:
        ValueError: If groups have another length or missing labels, or there is only one.
    """
    if groups is not None and (len(groups) != n or np.isnan(groups).any() or groups.max() < 1):
        raise ValueError(
            f"groups of shape {groups.shape}: expected ({n},), 2 groups or more, none missing"
        )
    splitter = ShuffleSplit if groups is None else GroupShuffleSplit
    splits = splitter(1, test_size=0.25, random_state=seed).split(np.zeros(n), groups=groups)
    fit, held_out = next(splits)
    return fit, held_out


def read_groups(groups: npt.ArrayLike) -> npt.NDArray[np.float64]:  # (N,)
    """The number of each row's group; NaN if it is missing, so that the numbers can be read again.

    Warns:
        UserWarning: If some look missing, such as "" or "nan": they would be one group.
    """
    labels = read_labels(groups, "groups")
    if note := note_missing("groups", *labels):
        warnings.warn(f"{note.split(';')[0]} count as one group", stacklevel=3)
    numbers = encode_labels(*labels)
    return np.where(numbers < 0, np.nan, numbers)


def split_codes(
    codes: npt.ArrayLike,
    factors: Factors,
    test: tuple[npt.ArrayLike, Factors] | None,
    discrete: Iterable[str] | None,
    unknown: Any,
    seed: int,
) -> tuple[LabelledCodes, LabelledCodes]:
    """The rows to fit on and the rows to test on: by default a random quarter of all.

    Raises:
        ValueError: As `label_codes`, or if a factor has too few known values on either side.

    Warns:
        UserWarning: If a class to test is not among the fitted ones, one class is far more
            frequent than all others, one value makes up much of the variance, or whole numbers
            with missing values are floats, as pandas reads them.
    """
    fitted = label_codes(codes, factors, discrete, unknown)
    if test is None:
        fit, held_out = split_rows(len(fitted.codes), seed)
        fitted, tested = fitted.take(fit), fitted.take(held_out)
    else:
        check_columns(getattr(codes, "columns", None), test[0])
        tested = fitted.label_alike(as_codes(*test), test[1], unknown)
    known, given = fitted.codes.shape[1], tested.codes.shape[1]
    if known != given:
        raise ValueError(f"codes of {known} dimensions to fit, {given} to test")
    for pair in zip(fitted.factors, tested.factors, strict=True):
        _check_sides(*pair)
    return fitted, tested


def _check_sides(fitted: Factor, tested: Factor) -> None:
    name, known = fitted.name, tested.known_values
    if len(known) < 2:
        raise ValueError(
            f"factor {name!r} is known in {len(known)} of {len(tested.known)} rows to test: at "
            "least 2 are needed"
        )
    fitted.check()
    if (fitted.values.dtype.kind == "U") != (known.dtype.kind == "U"):
        raise ValueError(
            f"factor {name!r} has dtype {fitted.values.dtype} in the rows to fit and "
            f"{known.dtype} in those to test: convert one of them"
        )
    if caution := _caution(fitted) or _caution(tested):
        warnings.warn(f"factor {name!r} has {caution}", stacklevel=4)
    unseen = np.setdiff1d(known, fitted.known_values)
    if fitted.discrete and len(unseen):
        warnings.warn(
            f"factor {name!r} has {len(unseen)} classes in the rows to test that are not in the "
            f"rows to fit, such as {unseen.tolist()[0]!r}: they count as wrong",
            stacklevel=4,
        )


def _caution(factor: Factor) -> str:
    """Why the scores of a factor say little, or nothing."""
    values = factor.known_values
    if len(values) < 30:
        return ""
    if factor.discrete:
        share = chance(factor)
        hint = "accuracy does not show weak predictions, and leakage may be underestimated"
        return f"one class in {share:.0%} of the rows: {hint}" if 0.8 < share < 1 else ""
    if not factor.known.all() and (values == np.round(values)).all():
        return "whole numbers and missing values, and is regressed: give classes as strings"
    squares = np.square(values - values.mean())
    if squares.max() <= 0.3 * squares.sum():
        return ""
    share, extreme = squares.max() / squares.sum(), values[squares.argmax()]
    return (
        f"a value, {extreme:g}, that makes up {share:.0%} of its variance, and so of R2 and "
        "leakage: if it is wrong, name it in unknown=, else evaluate the logarithm"
    )
