"""Labels of any type as numbers: which items agree, and which are unknown."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pythae_gated.errors import PairingError

UNKNOWN = -1

Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


def encode_labels(labels: Any, name: str, unknown: Any = None) -> Codes:  # (N,)
    """Number the distinct labels of one factor; an unknown one is -1.

    Args:
        labels: Shape (N,), or (N, F) for several columns that must all agree: an array, list,
            tensor or data frame of ints, texts, or floats that agree exactly. NaN and None are
            unknown, and an item unknown in one column is unknown.
        name: The partition that the factor belongs to, for the error's text.
        unknown: A value, such as -1, that means unknown too.

    Raises:
        PairingError: Where the labels have another shape, or all are unknown.

    Example:
        >>> encode_labels(["left", None, "up", "left"], "pose").tolist()
        [0, -1, 1, 0]
    """
    table = _as_table(labels, name)
    columns = [table] if table.ndim == 1 else list(table.T)
    codes = _number(columns[0], unknown)
    for column in columns[1:]:
        more = _number(column, unknown)
        joint = codes * (more.max() + 1) + more  # int64, and at most N distinct values each
        codes = _number(np.where((codes < 0) | (more < 0), UNKNOWN, joint), UNKNOWN)
    if (codes == UNKNOWN).all():
        raise PairingError(_all_unknown(name, len(codes)))
    return codes.astype(np.int32)


def as_numbers(labels: Any, name: str, unknown: Any = None) -> Floats:  # (N, F)
    """Continuous labels of one factor as floats; a row with an unknown value is all NaN.

    Args:
        labels: Shape (N,) or (N, F), of numbers. NaN and None are unknown.
        name: The partition that the factor belongs to, for the error's text.
        unknown: A value, such as -1, that means unknown too.

    Raises:
        PairingError: Where the labels have another shape or are no numbers, or all are unknown.

    Example:
        >>> as_numbers([10, None, 12.5], "pose").tolist()
        [[10.0], [nan], [12.5]]
    """
    table = _as_table(labels, name)
    if table.dtype == object:
        known = [np.nan if _is_hole(value) else value for value in table.flat]
        table = np.array(known).reshape(table.shape)
    if table.dtype.kind not in "biuf":
        raise PairingError(
            f"the labels of {name!r} are of dtype {table.dtype}: a tolerance needs numbers; leave "
            "it out, and labels that are equal make pairs"
        )
    values = table.astype(np.float64).reshape(len(table), -1)
    if unknown is not None:
        values[values == unknown] = np.nan
    values[~np.isfinite(values).all(axis=1)] = np.nan
    if np.isnan(values).all():
        raise PairingError(_all_unknown(name, len(values)))
    return values


def are_floats(labels: Any) -> bool:
    """Whether labels are floats, so that hardly two of them may agree."""
    table = _as_array(labels)
    if table.dtype != object:
        return table.dtype.kind == "f"
    return any(isinstance(value, float) and not _is_hole(value) for value in table.flat)


def _as_array(labels: Any) -> npt.NDArray[Any]:
    if isinstance(labels, Sequence):  # numpy would turn ["a", nan] into texts, 'nan' among them
        return np.array(labels, dtype=object)
    return labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)


def _as_table(labels: Any, name: str) -> npt.NDArray[Any]:
    table = _as_array(labels)
    if table.ndim not in (1, 2) or 0 in table.shape:
        raise PairingError(
            f"the labels of {name!r} have shape {table.shape}: expected (N,) or (N, columns)"
        )
    return table


def _all_unknown(name: str, n: int) -> str:
    return (
        f"all {n} labels of {name!r} are unknown; leave its factor out, and name {name!r} in the "
        "rest"
    )


def _number(column: npt.NDArray[Any], unknown: Any) -> npt.NDArray[np.int64]:
    if column.dtype == object:
        codes: dict[Any, int] = {}
        values = column.tolist()
        holes = (_is_hole(v) or not _differs(v, unknown) for v in values)
        numbers = [
            UNKNOWN if hole else codes.setdefault(v, len(codes))
            for v, hole in zip(values, holes, strict=True)
        ]
        return np.array(numbers, dtype=np.int64)
    hole = column != column  # NaN, NaT
    if unknown is not None:
        hole = hole | (column == unknown)
    if not hole.any():
        return _rank(column)
    ranks = np.full(len(column), UNKNOWN, dtype=np.int64)
    ranks[~hole] = _rank(column[~hole])
    return ranks


def _rank(column: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The place of each value among the distinct ones."""
    if column.dtype.kind in "biu" and len(column):
        low, high = int(column.min()), int(column.max())
        if high - low <= 2 * len(column) and high < 2**63:  # counting is faster than sorting
            offsets = column.astype(np.int64) - low
            ranks: npt.NDArray[np.int64] = (np.bincount(offsets) > 0).cumsum() - 1
            return ranks[offsets]
    return np.unique(column, return_inverse=True)[1].astype(np.int64, copy=False)


def _is_hole(value: Any) -> bool:
    return value is None or _differs(value, value)


def _differs(a: Any, b: Any) -> bool:
    try:
        return bool(a != b)
    except TypeError:  # pandas.NA, which is not even equal to itself
        return a is b
