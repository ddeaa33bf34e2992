"""Data frames and series of pandas as images; columns and rows that must match theirs."""

from itertools import zip_longest
from typing import Any

import numpy as np


def from_pandas(data: Any) -> Any:
    """A data frame of numbers as an array, a series of images as a list.

    Raises:
        ValueError: If other columns than numbers are in the data frame.
    """
    if data.ndim == 1:
        return data.tolist() if data.dtype == object else data.to_numpy()
    if any(dtype.kind == "O" for dtype in data.dtypes):  # which may be numbers
        data = data.infer_objects()
    dtypes = data.dtypes
    others = [f"{name!r} of dtype {of}" for name, of in dtypes.items() if of.kind not in "biuf"]
    is_uint8 = {str(each).lower() for each in dtypes} == {"uint8"}
    kind = {"dtype": np.uint8} if is_uint8 else {"dtype": np.float32, "na_value": np.nan}
    try:
        array = data.to_numpy(**kind)
        if others:  # dates, and numbers in strings, are converted
            raise ValueError(", ".join(others[:3]))
        return array
    except ValueError as error:
        raise ValueError(
            f"the data frame has columns that are not numbers ({error}): select those of the "
            "data, or the column of images, as in data['image']"
        ) from error


def to_positions(index: Any, rows: Any) -> Any:
    """The positions of rows in a data frame, if they are given by an index or mask of pandas.

    Args:
        index: Of the data frame, or None.
        rows: An index; a mask in any order of the rows; others are returned as they are.

    Raises:
        IndexError: If the data frame has no such row.
    """
    if index is None:
        return rows
    if hasattr(rows, "get_indexer_for"):
        positions = index.get_indexer_for(rows)
        if (positions < 0).any():
            raise IndexError(f"the data frame has no row {rows[positions < 0].tolist()[0]!r}")
        return positions
    is_mask = hasattr(rows, "iloc") and str(getattr(rows, "dtype", "")).startswith("bool")
    return rows.loc[index] if is_mask and set(rows.index) == set(index) else rows


def check_columns(expected: Any, data: Any) -> None:
    """Refuse a data frame whose columns differ from those of an earlier one, or their order.

    Raises:
        ValueError: With the first columns that differ.
    """
    given = getattr(data, "columns", None)
    if expected is None or given is None:
        return
    for place, (new, old) in enumerate(zip_longest(given, expected, fillvalue="none")):
        if new != old:
            raise ValueError(
                f"column {place} is {new!r} in place of {old!r}: give the same columns in the "
                "same order"
            )


def check_index(data: Any, labels: Any) -> None:
    """Refuse labels whose rows have the names of the data's, in pandas, but in another order.

    Args:
        data: A data frame, or the `ImageReader` of one; others are not checked.
        labels: Name -> labels, or a data frame; others are not checked.

    Raises:
        ValueError: With the name of the labels.
    """
    expected: Any = getattr(data, "index", None)
    if not hasattr(expected, "equals") or not hasattr(labels, "items"):  # a list's is a method
        return
    for name, column in labels.items():
        index = column.index if hasattr(column, "iloc") else expected
        if not index.equals(expected) and set(index) == set(expected):
            raise ValueError(
                f"labels of {name!r} have the index of the data in another order, but rows are "
                "matched by position: use labels.loc[data.index]"
            )
