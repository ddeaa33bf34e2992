"""Labels of any type as arrays: which values are known, and which are equal."""

import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UNKNOWN = -1
_LOOK_MISSING = {"", "?", "nan", "nat", "na", "n/a", "<na>", "none", "null", "unknown"}

Codes = NDArray[np.int32]
Mask = NDArray[np.bool_]
Labels = tuple[NDArray[Any], Mask]  # the values, and which are known, both (N,) or (N, F)


def read_labels(labels: Any, name: str, unknown: Any = None) -> Labels:
    """Read labels of any type, and which of them are known.

    None, NaN, NaT, `pandas.NA`, masked entries and the values of `unknown` are missing. The
    values at missing entries are meaningless.

    Args:
        labels: Shape (N,) or (N, F): a list, array, masked array, tensor, Series or data frame.
            One missing entry does not change the type of the others: integers stay integers.
        name: The factor's name, for error messages.
        unknown: A value that stands for a missing label, or a list, tuple or set of such values.
            They are compared in the dtype of the labels, so -99.9 is found in float32 labels;
            the string "-1" matches -1.

    Returns:
        The values, of numpy kind b, i, u, f, U, M or m, or object if types are mixed; and a mask
        of the same shape, True where known.

    Raises:
        ValueError: If the shape is another one, or a label is a container.

    Example:
        >>> values, known = read_labels(["left", None, "up", float("nan")], "pose")
        >>> values.dtype.kind, known.tolist()
        ('U', [True, False, True, False])
    """
    return _read(labels, name, _as_list(unknown))[0]


def read_factors(factors: Mapping[str, Any], unknown: Any = None) -> dict[str, Labels]:
    """Read the labels of several factors as `read_labels` does, name -> (values, known).

    Args:
        factors: Name -> labels.
        unknown: As for `read_labels`, for all factors; or a mapping from name to it.

    Raises:
        ValueError: As `read_labels`, or if `unknown` has another name than the factors.

    Warns:
        UserWarning: If a value of `unknown` occurs in no label, or, unless it is a mapping, in the
            labels of several factors: it may be a real value of one of them.

    Example:
        >>> person, smile = [3, -1, 3], [-1, 0, 1]
        >>> read = read_factors({"person": person, "smile": smile}, unknown={"person": -1})
        >>> read["person"][1].tolist(), read["smile"][1].tolist()
        ([True, False, True], [True, True, True])
    """
    by_name = unknown if isinstance(unknown, Mapping) else dict.fromkeys(factors, unknown)
    for name in by_name.keys() - factors.keys():
        raise ValueError(f"unknown has {name!r}: expected some of {', '.join(factors)}")
    found, counts = {}, defaultdict[tuple[str, str], dict[str, int]](dict)
    for name, labels in factors.items():
        where = f"labels of {name!r}" if by_name is unknown else "labels"
        found[name], hits = _read(labels, name, _as_list(by_name.get(name)))
        for value, count in hits:
            counts[repr(value), where][name] = count
    for (value, where), by_factor in counts.items():
        names = [name for name, count in by_factor.items() if count]
        if not names:
            warnings.warn(f"unknown={value} does not occur in the {where}", stacklevel=4)
        elif len(names) > 1:
            places = " and ".join(f"{name!r} ({by_factor[name]})" for name in names)
            warnings.warn(
                f"unknown={value} occurs in the labels of {places}: give "
                f"unknown={{name: {value}}} for those of them in which it means unknown",
                stacklevel=4,
            )
    return found


def _read(labels: Any, name: str, missing: list[Any]) -> tuple[Labels, list[tuple[Any, int]]]:
    """The labels, and how often each of the missing values occurs."""
    try:
        array = _as_array(labels)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the labels of {name!r} cannot be read ({error}): expected numbers or strings, or "
            "rows of equal length"
        ) from None
    values = np.ma.getdata(array)
    if values.ndim not in (1, 2) or 0 in values.shape or values.dtype.kind in "cV":
        raise ValueError(
            f"the labels of {name!r} are a {type(labels).__name__} of shape {values.shape} and "
            f"dtype {values.dtype}: expected (N,) or (N, columns), N > 0, of numbers or strings"
        )
    known = ~np.ma.getmaskarray(array)
    if values.dtype == object:
        known = ~_each(_is_missing, values)
        values[~known] = None
        values = _narrowed(values, known)
    if values.dtype.kind in "fMm":
        known &= values == values  # NaN and NaT differ from themselves
    equal = [known & _equals(values, value) for value in missing]
    known = known & ~np.any(equal, axis=0)
    counts = [int(mask.sum()) for mask in equal]
    return (_narrowed(values, known), known), list(zip(missing, counts, strict=True))


def encode_labels(values: NDArray[Any], known: Mask) -> Codes:  # (N,)
    """Number the distinct labels in order of appearance; unknown labels are -1.

    Args:
        values: As from `read_labels`, (N,) or (N, F); labels are equal if all columns are.
        known: Of the same shape; a row with an unknown column is unknown.

    Example:
        >>> encode_labels(*read_labels(["left", None, "up", "left"], "pose")).tolist()
        [0, -1, 1, 0]
    """
    rows = np.asarray(known.reshape(len(known), -1).all(axis=1))
    codes = np.zeros(rows.sum(), dtype=np.int64)
    for column in values.reshape(len(known), -1)[rows].T:
        numbers = _number(column)
        codes = _number(codes * len(codes) + numbers) if codes.any() else numbers
    result = np.full(len(rows), UNKNOWN, dtype=np.int32)
    result[rows] = codes
    return result


def note_missing(name: str, values: NDArray[Any], known: Mask) -> str:
    """A remark on known labels that probably mean unknown: such as "nan", or -1 before 0, 1, 2."""
    found: list[Any] = []
    given, kind = values[known], values.dtype.kind
    numbers = given if kind in "if" else np.zeros(0)
    if kind in "OU":
        strings = sorted({label for label in given.tolist() if isinstance(label, str)})
        found = [label for label in strings if label.strip().casefold() in _LOOK_MISSING]
        with suppress(ValueError):
            numbers = np.array(strings, dtype=np.float64)
    elif values.ndim == 2 and kind in "biuf" and set(values.sum(axis=1)) == {0, 1} == set(given):
        found = ["rows of zeros (one-hot: give NaN)"]
    if (numbers == numbers.round()).all() and numbers.min(initial=0) == -1 and numbers.max() > 1:
        found.append(-1)
    return f"labels of {name!r} that look missing: {found}; see unknown=" if found else ""


def _as_array(labels: Any) -> NDArray[Any]:
    """A plain or masked array; an array of object if it comes from Python objects."""
    if isinstance(labels, Tensor):
        return (labels.float() if labels.dtype == torch.bfloat16 else labels).numpy(force=True)
    if hasattr(labels, "isna"):  # pandas: arrays of float would lose integers beside NA
        array = np.asarray(labels)
        labels = np.asarray(labels.astype(object)) if array.dtype.kind == "f" else array
    elif isinstance(labels, str) or not isinstance(labels, (Sequence, np.ndarray)):
        labels = np.asarray(labels)
    if isinstance(labels, np.ndarray):
        if labels.ndim == 0 or labels.dtype.kind not in "OST":
            return labels
        labels = labels.tolist()
    rows = [_unwrap(row) for row in labels]
    if rows and all(isinstance(row, np.ndarray) for row in rows):
        return np.ma.stack(rows)
    array = np.array(rows, dtype=object)
    set(array.flat)  # raises a TypeError if a label is not hashable, such as a row of other length
    return array


def _unwrap(value: Any) -> Any:
    """A scalar in place of a 0-d tensor or array, None in place of a masked entry."""
    if isinstance(value, (list, tuple)):
        return [_unwrap(element) for element in value]
    if isinstance(value, Tensor):
        value = _as_array(value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    return None if value is np.ma.masked else value


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA has no truth value
        return True


def _narrowed(values: NDArray[Any], known: Mask) -> NDArray[Any]:
    """Objects in the dtype that numpy finds for the known ones, if it keeps them as they are."""
    if values.dtype != object:
        return values
    found = values[known].tolist()
    plain = np.array(found)
    if plain.dtype.kind not in "biufU" or plain.tolist() != found:
        return values
    narrow = np.zeros(values.shape, dtype=plain.dtype)
    narrow[known] = plain
    return narrow


def _as_list(unknown: Any) -> list[Any]:
    unknown = _unwrap(unknown)
    if isinstance(unknown, str) or not isinstance(unknown, Collection):
        unknown = [unknown]
    return [value for value in map(_unwrap, unknown) if not _is_missing(value)]


def _equals(values: NDArray[Any], value: Any) -> Mask:
    """Where labels equal a value, in their own dtype; the string "-1" equals the number -1."""
    if values.dtype.kind in "OU" or isinstance(value, str):
        same = {label for label in set(values.flat) if _is_same(label, value)}
        return _each(same.__contains__, values)
    equal: Mask = values == value
    if values.dtype.kind == "f" and isinstance(value, Real):
        with np.errstate(over="ignore"):  # Python floats may come from float32 labels
            equal |= (values == values.dtype.type(value)) | (values == np.float32(value))
    return equal


def _is_same(a: Any, b: Any) -> bool:
    if isinstance(a, str) == isinstance(b, str):
        return bool(a == b)
    with suppress(TypeError, ValueError):
        return float(a) == float(b)
    return False


def _each(function: Callable[[Any], bool], values: NDArray[Any]) -> Mask:
    return np.fromiter(map(function, values.flat), np.bool_, values.size).reshape(values.shape)


def _number(column: NDArray[Any]) -> NDArray[np.int64]:
    """The place of each value among the distinct ones, in order of appearance."""
    if column.dtype == object:
        places: dict[Any, int] = {}
        return np.array([places.setdefault(value, len(places)) for value in column])
    if column.dtype.kind in "biu" and len(column):
        low, high = int(column.min()), int(column.max())
        if high - low <= 2 * len(column) and high < 2**63:  # counting is faster than sorting
            offsets = column.astype(np.int64) - low
            first = np.full(high - low + 1, len(column))
            first[offsets[::-1]] = np.arange(len(column))[::-1]
            return first.argsort().argsort()[offsets]
    _, first, inverse = np.unique(column, return_index=True, return_inverse=True)
    return first.argsort().argsort()[inverse]
