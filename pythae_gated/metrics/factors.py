"""Codes and factors as every metric takes them, and the rows to fit and to test on."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from pythae_gated.datasets.labels import read_labels

Array: TypeAlias = npt.NDArray[Any]
FloatArray: TypeAlias = npt.NDArray[np.float64]
Factors: TypeAlias = Mapping[str, Any] | npt.ArrayLike


@dataclass(frozen=True, eq=False)
class Factor:
    """One factor of variation.

    Attributes:
        name: Its name.
        values: Its value in each row, (N,); meaningless if unknown.
        known: Whether the value is known, (N,) bool.
        discrete: Whether it is classified, or else regressed.
    """

    name: str
    values: Array
    known: npt.NDArray[np.bool_]
    discrete: bool

    def __len__(self) -> int:
        return len(self.values)

    @property
    def known_values(self) -> Array:
        """The known values, in order."""
        return self.values[self.known]

    def take(self, rows: Array) -> "Factor":
        """The same factor in these rows."""
        return Factor(self.name, self.values[rows], self.known[rows], self.discrete)


@dataclass(frozen=True, eq=False)
class LabelledCodes:
    """Codes (N, L), and factors of the same N rows."""

    codes: Array
    factors: list[Factor]

    def take(self, rows: Array) -> "LabelledCodes":
        """These rows only."""
        return LabelledCodes(self.codes[rows], [factor.take(rows) for factor in self.factors])

    def select(self, names: Iterable[str]) -> "LabelledCodes":
        """The same codes with these factors only."""
        return LabelledCodes(self.codes, [each for each in self.factors if each.name in names])


def as_columns(factors: Factors, rows: int) -> dict[str, Any]:
    """Factors by name.

    Args:
        factors: Name -> (N,) values, a data frame, or an array (N, F) with columns named "0",
            "1", ...
        rows: N, the expected number of rows.

    Raises:
        ValueError: If there is no factor, or one has another shape than (N,).

    Example:
        >>> as_columns([[1, 5], [2, 6], [3, 7]], rows=3)
        {'0': array([1, 2, 3]), '1': array([5, 6, 7])}
    """
    frame: Any = factors
    if hasattr(frame, "iloc"):  # of pandas
        factors = {str(column): frame[column] for column in frame.columns}
    if not isinstance(factors, Mapping):
        table: Array = np.asanyarray(factors)  # keeps a mask
        if table.ndim != 2:
            raise ValueError(
                f"factors of shape {table.shape}: expected (N, F), or a mapping name -> (N,)"
            )
        factors = {str(column): table[:, column] for column in range(table.shape[1])}
    if not factors:
        raise ValueError("there are no factors")
    for name, values in factors.items():
        shape = (len(values),) if isinstance(values, Factor) else np.shape(values)
        if shape != (rows,):
            raise ValueError(f"factor {name!r} has shape {shape}: expected ({rows},)")
    return dict(factors)


def as_factors(
    factors: Factors, rows: int, discrete: Iterable[str] | None = None, unknown: Any = None
) -> list[Factor]:
    """Read the labels of each factor.

    Ints, bools and strings are discrete, floats continuous. None, NaN, NaT, pandas.NA, masked
    entries and the values of `unknown` are unknown.

    Args:
        factors: As for `as_columns`; values may be `Factor`s already.
        rows: N, the expected number of rows.
        discrete: Names of the discrete factors; None: by their dtype.
        unknown: A value, or several, that mean unknown; or a mapping factor -> these.

    Raises:
        ValueError: If a factor has another length or type, `discrete` names no factor, or strings
            are to be regressed.
    """
    columns = as_columns(factors, rows)
    chosen = None if discrete is None else set(discrete)
    for name in (chosen or set()) - columns.keys():
        raise ValueError(f"discrete has {name!r}; the factors are {', '.join(columns)}")
    return [
        values
        if isinstance(values, Factor)
        else _read_factor(
            name,
            values,
            None if chosen is None else name in chosen,
            unknown.get(name) if isinstance(unknown, Mapping) else unknown,
        )
        for name, values in columns.items()
    ]


def _read_factor(name: str, labels: Any, discrete: bool | None, unknown: Any) -> Factor:
    values, known = read_labels(labels, name, unknown)
    if not known.any():
        values = values.astype(np.float64) if values.dtype.kind == "O" else values
    if values.dtype.kind not in "biufU":
        raise ValueError(
            f"factor {name!r} has dtype {values.dtype}: expected ints, bools, strings or floats"
        )
    if discrete is None:
        discrete = values.dtype.kind != "f"
    if not discrete and values.dtype.kind == "U":
        raise ValueError(f"factor {name!r} has strings, so it must be among the discrete factors")
    return Factor(name, values, known, discrete)


def label_codes(
    codes: npt.ArrayLike, factors: Factors, discrete: Iterable[str] | None, unknown: Any = None
) -> LabelledCodes:
    """Codes (N, L) as floats, with their factors.

    Raises:
        ValueError: If codes are not finite numbers (N, L), or as `as_factors`.
    """
    if np.ma.is_masked(codes):
        raise ValueError("codes have masked entries: expected finite numbers")
    table = np.asarray(codes)
    if table.ndim != 2 or 0 in table.shape or table.dtype.kind not in "biuf":
        raise ValueError(
            f"codes of shape {table.shape} and dtype {table.dtype}: expected numbers (N, L), "
            "with at least one row and one dimension"
        )
    if not np.isfinite(table).all():
        row, dimension = np.argwhere(~np.isfinite(table))[0]
        raise ValueError(
            f"the code in row {row}, dimension {dimension}, is {table[row, dimension]}: "
            "expected finite numbers"
        )
    if table.dtype not in (np.float32, np.float64):
        table = table.astype(np.float64)
    return LabelledCodes(table, as_factors(factors, len(table), discrete, unknown))


def split_codes(
    codes: npt.ArrayLike,
    factors: Factors,
    test: tuple[npt.ArrayLike, Factors] | None,
    discrete: Iterable[str] | None,
    seed: int,
    unknown: Any = None,
) -> tuple[LabelledCodes, LabelledCodes]:
    """The rows to fit on and the rows to test on: by default a random quarter of all.

    Raises:
        ValueError: As `label_codes`, or if a factor has too few known values on either side.

    Warns:
        UserWarning: If a class to test is not among the fitted ones.
    """
    fitted = label_codes(codes, factors, discrete, unknown)
    if test is None:
        fit, held_out = train_test_split(np.arange(len(fitted.codes)), random_state=seed)
        fitted, tested = fitted.take(fit), fitted.take(held_out)
    else:
        names = [factor.name for factor in fitted.factors if factor.discrete]
        tested = label_codes(*test, discrete=names, unknown=unknown)
    if fitted.codes.shape[1] != tested.codes.shape[1]:
        raise ValueError(
            f"codes of {fitted.codes.shape[1]} dimensions to fit, {tested.codes.shape[1]} to test"
        )
    names, test_names = ([factor.name for factor in side.factors] for side in (fitted, tested))
    if names != test_names:
        raise ValueError(f"the factors to fit are {names}, those to test {test_names}")
    for pair in zip(fitted.factors, tested.factors, strict=True):
        _check_sides(*pair)
    return fitted, tested


def _check_sides(fitted: Factor, tested: Factor) -> None:
    name, kinds = fitted.name, [side.values.dtype.kind for side in (fitted, tested)]
    if len(tested.known_values) < 2:
        raise ValueError(
            f"factor {name!r} is known in {tested.known.sum()} of {len(tested)} rows to test: at "
            "least 2 are needed"
        )
    check_varied(fitted)
    if not fitted.discrete:
        return
    check_repeats(fitted)
    if (kinds[0] == "U") != (kinds[1] == "U"):
        raise ValueError(
            f"factor {name!r} has dtype {fitted.values.dtype} in the rows to fit and "
            f"{tested.values.dtype} in those to test: convert one of them"
        )
    unseen = np.setdiff1d(tested.known_values, fitted.known_values)
    if len(unseen):
        warnings.warn(
            f"factor {name!r} has {len(unseen)} classes in the rows to test that are not in the "
            f"rows to fit, such as {unseen.tolist()[0]!r}: they count as wrong",
            stacklevel=4,
        )


def check_varied(factor: Factor) -> None:
    """Refuse a factor with fewer than two known values.

    Raises:
        ValueError: With its name.
    """
    if len(np.unique(factor.known_values)) < 2:
        raise ValueError(
            f"factor {factor.name!r} takes fewer than 2 values in the {factor.known.sum()} rows "
            "in which it is known; leave it out"
        )


def check_repeats(factor: Factor) -> None:
    """Refuse a discrete factor whose values are all different.

    Raises:
        ValueError: With its name.
    """
    known = factor.known_values
    if len(np.unique(known)) == len(known):
        raise ValueError(
            f"factor {factor.name!r} takes {len(known)} values in {len(known)} rows, each once "
            f"(such as {known[0]}): give it as floats to have it binned, use fewer bins or more "
            "rows, or leave it out"
        )
