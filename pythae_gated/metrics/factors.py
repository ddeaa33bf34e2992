"""Factors as the metrics need them: named columns whose unknown values are told apart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
FloatArray: TypeAlias = npt.NDArray[np.float64]
Factors: TypeAlias = Mapping[str, Any] | npt.ArrayLike


@dataclass(frozen=True, eq=False)
class Factor:
    """One factor of variation, as labelled.

    Attributes:
        name: What the factor is called.
        values: Its value in each row, (N,); meaningless where not known.
        known: Whether the label is known, (N,) bool.
        discrete: Whether it is to be classified (and not regressed).
    """

    name: str
    values: Array
    known: npt.NDArray[np.bool_]
    discrete: bool


def as_columns(factors: Factors, rows: int) -> dict[str, Array]:
    """Factors by name, each of shape (N,).

    Args:
        factors: Name -> (N,) values, or an array (N, F), whose columns are called "0", "1", ...
        rows: N, the number of rows expected.

    Raises:
        ValueError: Where there is none, or one has another shape than (N,).

    Example:
        >>> as_columns([[1, 5], [2, 6], [3, 7]], rows=3)
        {'0': array([1, 2, 3]), '1': array([5, 6, 7])}
    """
    if not isinstance(factors, Mapping):
        table = np.asarray(factors)
        if table.ndim != 2:
            raise ValueError(
                f"factors of shape {table.shape}: expected (N, F), or a mapping name -> (N,)"
            )
        factors = {str(column): table[:, column] for column in range(table.shape[1])}
    if not factors:
        raise ValueError("no factors were given")
    columns = {name: np.asarray(values) for name, values in factors.items()}
    for name, values in columns.items():
        if values.shape != (rows,):
            raise ValueError(
                f"factor {name!r} has shape {values.shape}: expected ({rows},), a value a row"
            )
    return columns


def as_factors(factors: Factors, rows: int, discrete: Iterable[str] | None = None) -> list[Factor]:
    """Factors told apart into discrete and continuous, with unknown values marked.

    Ints, bools and texts are discrete, floats continuous. NaN and None are unknown.

    Args:
        factors: Name -> (N,) values, or an array (N, F).
        rows: N, the number of rows expected.
        discrete: Names of the factors that are discrete, if their dtype is not to say.

    Raises:
        ValueError: Where a shape is wrong, a factor's type is not one of these, `discrete` names
            no factor, or texts are to be regressed.
    """
    columns = as_columns(factors, rows)
    chosen = None if discrete is None else set(discrete)
    for name in (chosen or set()) - columns.keys():
        raise ValueError(f"discrete names {name!r}; the factors are {', '.join(columns)}")
    return [
        _as_factor(name, values, None if chosen is None else name in chosen)
        for name, values in columns.items()
    ]


def _as_factor(name: str, values: Array, discrete: bool | None) -> Factor:
    known = np.ones(len(values), dtype=np.bool_)
    if values.dtype.kind == "f":
        known = ~np.isnan(values)
    elif values.dtype.kind == "O":
        known = np.array([value is not None and value == value for value in values])
        labels = np.array(list(values[known]))  # lets numpy find the type of what is known
        values = np.zeros(len(values), dtype=labels.dtype)
        values[known] = labels
    if values.dtype.kind not in "biufUS":
        raise ValueError(
            f"factor {name!r} has dtype {values.dtype}: expected ints, bools, texts or floats"
        )
    if discrete is None:
        discrete = values.dtype.kind != "f"
    if not discrete and values.dtype.kind in "US":
        raise ValueError(f"factor {name!r} holds texts, so it has to be among the discrete ones")
    return Factor(name, values, known, discrete)


def check_varied(factor: Factor, known: Array) -> None:
    """Refuse a factor that takes a single value, or none, in the rows where it is known.

    Raises:
        ValueError: Where it does.
    """
    if len(np.unique(known)) < 2:
        raise ValueError(
            f"factor {factor.name!r} takes fewer than 2 values in the {len(known)} rows that are "
            "known: nothing to tell apart"
        )


def check_repeats(factor: Factor, known: Array) -> None:
    """Refuse a factor whose classes, one for each known row, are all different.

    Raises:
        ValueError: Where they are.
    """
    if len(np.unique(known)) == len(known):
        raise ValueError(
            f"factor {factor.name!r} takes {len(known)} values in {len(known)} rows, each once "
            f"(such as {factor.values[factor.known][0]}), so no code can be seen to go with a "
            "value: give it as floats to have it binned, take fewer bins or more rows, or leave "
            "it out"
        )
