"""Codes and factors as every metric takes them."""

import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pythae_gated.datasets.frames import check_index
from pythae_gated.datasets.labels import Mask, note_missing, read_factors

Array: TypeAlias = npt.NDArray[Any]
FloatArray: TypeAlias = npt.NDArray[np.float64]
Factors: TypeAlias = Any  # name -> (N,) labels, or a table (N, F); see `as_columns`


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
    known: Mask
    discrete: bool

    @property
    def known_values(self) -> Array:
        """The known values, in order."""
        return self.values[self.known]

    @cached_property
    def n_distinct(self) -> int:
        """The number of different known values."""
        return len(np.unique(self.known_values))

    @property
    def all_differ(self) -> bool:
        """Whether the factor is discrete and each known value occurs once."""
        return self.discrete and self.n_distinct == len(self.known_values)

    @cached_property
    def _numbers(self) -> Array:
        """A number for each value: strings are sorted once, not for each other factor."""
        return np.unique(self.values, return_inverse=True)[1]

    def in_bins(self, n_bins: int) -> "Factor":
        """The same factor with its classes, numbered from 0; a continuous one in bins.

        Raises:
            ValueError: If it has fewer than two classes, or no class twice.
        """
        known = self.known_values if self.discrete else bin_values(self.known_values, n_bins)
        values = np.zeros(len(self.values), dtype=np.int64)
        values[self.known] = np.unique(known, return_inverse=True)[1]
        binned = replace(self, values=values, discrete=True)
        (self if self.discrete else binned).check()
        return binned

    def check(self) -> None:
        """Refuse fewer than two values, or a discrete factor whose values all differ.

        Raises:
            ValueError: With its name.
        """
        known, distinct = self.known_values, self.n_distinct
        if distinct < 2:
            raise ValueError(
                f"factor {self.name!r} takes fewer than 2 values in the {len(known)} rows in "
                "which it is known; leave it out"
            )
        if self.all_differ:
            raise ValueError(
                f"factor {self.name!r} takes {distinct} values in {distinct} rows, each once "
                f"(such as {known[0]}): give it as floats to have it binned, use fewer bins or "
                "more rows, or leave it out"
            )

    def determines(self, other: "Factor") -> bool:
        """Whether each value occurs with a single value of the other factor, and not by accident.

        As a mouse has one genotype. False unless both are discrete, and this factor has more
        values than the other and on average at least two rows for each; False also if random
        values of the other could agree as well with a probability of 0.01 or more.

        Example:
            >>> labels = np.arange(40)
            >>> known = np.ones(40, dtype=bool)
            >>> mouse = Factor("mouse", labels % 10, known, True)
            >>> mouse.determines(Factor("genotype", labels % 2, known, True))
            True
            >>> mouse.determines(Factor("cage", labels % 3, known, True))
            False
        """
        both = self.known & other.known
        values, at = np.unique(self._numbers[both], return_inverse=True)
        others, other_at = np.unique(other._numbers[both], return_inverse=True)
        repeats, pairs = len(at) - len(values), at * len(others) + other_at
        nested = 1 < len(others) < len(values) == len(np.unique(pairs)) <= repeats
        # A random repetition agrees with the first occurrence at most as often as the mode occurs.
        mode = np.bincount(other_at, minlength=1).max() / max(1, len(at))
        return self.discrete and other.discrete and nested and bool(mode**repeats < 0.01)

    def take(self, rows: Array) -> "Factor":
        """The same factor in these rows."""
        return replace(self, values=self.values[rows], known=self.known[rows])


@dataclass(frozen=True, eq=False)
class LabelledCodes:
    """Codes (N, L), in `evaluate` also posteriors (N, 2, L), and factors of the same N rows."""

    codes: Array
    factors: list[Factor]

    @property
    def columns(self) -> dict[str, Array]:
        """The factors as masked arrays, by name."""
        return {each.name: np.ma.array(each.values, mask=~each.known) for each in self.factors}

    def take(self, rows: Array) -> "LabelledCodes":
        """These rows only."""
        return LabelledCodes(self.codes[rows], [factor.take(rows) for factor in self.factors])

    def select(self, names: Collection[str]) -> "LabelledCodes":
        """The same codes with these factors only."""
        return replace(self, factors=[each for each in self.factors if each.name in names])

    def label_alike(self, codes: Array, factors: Factors, unknown: Any) -> "LabelledCodes":
        """Other codes with the same factors, discrete if they are discrete here.

        Raises:
            ValueError: As `as_factors`, or if the names differ.
        """
        columns, names = as_columns(factors, len(codes)), [factor.name for factor in self.factors]
        if columns.keys() != set(names):
            raise ValueError(f"the factors to fit are {names}, those to test {list(columns)}")
        columns = {name: columns[name] for name in names}  # in the same order
        discrete = [factor.name for factor in self.factors if factor.discrete]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is enough if `unknown` occurs in the rows to fit
            return LabelledCodes(codes, as_factors(columns, len(codes), discrete, unknown))


def as_columns(factors: Factors, rows: int) -> dict[str, Any]:
    """Factors by name.

    Args:
        factors: Name -> (N,) values, a data frame, or an array (N, F) with columns named "0",
            "1", ...
        rows: N, the expected number of rows.

    Raises:
        ValueError: If there is no factor, one has another shape than (N,), or two have one name.

    Example:
        >>> as_columns(np.array([[1, 5], [2, 6], [3, 7]]), rows=3)
        {'0': array([1, 2, 3]), '1': array([5, 6, 7])}
    """
    if hasattr(factors, "items") and getattr(factors, "ndim", 2) == 2:
        pairs = [(str(name), values) for name, values in factors.items()]  # or a data frame's
        columns = dict(pairs)
        if len(columns) < len(pairs):
            raise ValueError(f"two factors have one name: {[name for name, _ in pairs]}")
    else:
        # A list keeps its objects, so that None and NaN do not become strings.
        kept = np.array(factors, dtype=object) if isinstance(factors, (list, tuple)) else factors
        table: Array = np.asanyarray(kept)  # keeps a mask
        if table.ndim != 2:
            raise ValueError(f"factors of shape {table.shape}: expected (N, F), or name -> (N,)")
        columns = {str(column): table[:, column] for column in range(table.shape[1])}
    if not columns:
        raise ValueError("there are no factors")
    for name, values in columns.items():
        if np.shape(values) != (rows,):
            raise ValueError(
                f"factor {name!r} has shape {np.shape(values)}: expected ({rows},), so "
                "give each of several columns a name"
            )
    return columns


def as_factors(
    factors: Factors, rows: int, discrete: Iterable[str] | None = None, unknown: Any = None
) -> list[Factor]:
    """Read the labels of each factor.

    Ints, bools and strings are discrete, floats continuous. None, NaN, NaT, pandas.NA, masked
    entries and the values of `unknown` are unknown.

    Args:
        factors: As for `as_columns`.
        rows: N, the expected number of rows.
        discrete: Names of the discrete factors; None: by their dtype.
        unknown: A label, or several, that mean unknown; or a mapping factor -> these.

    Raises:
        ValueError: If a factor has another length or type, `discrete` or `unknown` names no
            factor, or strings are to be regressed.

    Warns:
        UserWarning: If a value of `unknown` occurs in no label, or in several factors although
            `unknown` is not a mapping; or if strings such as "nan" look like missing labels.
    """
    read = read_factors(as_columns(factors, rows), unknown)
    if discrete is None:
        discrete = [name for name, (values, _) in read.items() if values.dtype.kind != "f"]
    chosen = set(discrete)
    for name in chosen - read.keys():
        raise ValueError(f"discrete has {name!r}; the factors are {', '.join(read)}")
    for name, labels in read.items():
        if note := note_missing(name, *labels):
            warnings.warn(note, stacklevel=3)
    return [_as_factor(name, *labels, name in chosen) for name, labels in read.items()]


def _as_factor(name: str, values: Array, known: Mask, discrete: bool) -> Factor:
    kind = values.dtype.kind
    if kind not in "biufU":
        raise ValueError(
            f"factor {name!r} has dtype {values.dtype}: expected ints, bools, strings or floats, "
            "so convert it, as in values.astype(str)"
        )
    if not discrete and kind == "U":
        raise ValueError(f"factor {name!r} has strings, so it must be among the discrete factors")
    if not discrete and not np.isfinite(values[known].astype(np.float64)).all():
        raise ValueError(f"factor {name!r} has infinite values: expected finite ones")
    return Factor(name, values, known, discrete)


def label_codes(
    codes: npt.ArrayLike, factors: Factors, discrete: Iterable[str] | None, unknown: Any
) -> LabelledCodes:
    """Codes with their factors; see `as_codes` and `as_factors`."""
    table = as_codes(codes, factors)
    return LabelledCodes(table, as_factors(factors, len(table), discrete, unknown))


def as_codes(codes: npt.ArrayLike, factors: Factors) -> Array:  # (N, L)
    """Codes in single or double precision.

    Raises:
        ValueError: If they are not finite numbers (N, L), or codes and factors are data frames
            whose rows have the same names in another order.
    """
    check_index(codes, factors)
    if np.ma.is_masked(codes):
        raise ValueError("codes have masked entries: expected finite numbers")
    table = np.asarray(codes)
    if table.ndim != 2 or 0 in table.shape or table.dtype.kind not in "biuf":
        raise ValueError(
            f"codes of shape {table.shape} and dtype {table.dtype}: expected numbers (N, L), "
            "with at least one row and one dimension"
        )
    if not np.isfinite(table).all():
        row, at = np.argwhere(~np.isfinite(table))[0]
        raise ValueError(
            f"the code in row {row}, dimension {at}, is {table[row, at]}: expected finite numbers"
        )
    return table if table.dtype in (np.float32, np.float64) else table.astype(np.float64)


def bin_values(values: Array, n_bins: int) -> Array:
    """The bin of each value, from 0, of bins of equal width between the extremes.

    Values that differ by no more than rounding errors are in one bin.

    Raises:
        ValueError: If there are fewer than two bins.

    Example:
        >>> bin_values(np.array([0.0, 0.4, 0.6, 1.0]), n_bins=2)
        array([0, 0, 1, 1])
    """
    if n_bins < 2:
        raise ValueError(f"n_bins={n_bins}: expected at least 2")
    values = values.astype(np.result_type(values, np.float32))
    rounding = np.finfo(values.dtype).eps * np.abs(values).max(initial=0)
    if len(values) == 0 or np.ptp(values) <= n_bins * rounding:
        return np.zeros(len(values), dtype=np.int64)
    return np.digitize(values, np.histogram(values, n_bins)[1][1:-1])
