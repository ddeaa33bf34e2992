"""The arguments of `PairedDataset`: checked, and read as candidates for pairing."""

import warnings
from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pythae_gated.datasets.labels import Mask, encode_labels, note_missing, read_factors
from pythae_gated.datasets.partners import Candidates, Edges, Groups, Neighbours
from pythae_gated.errors import PairingError
from pythae_gated.partitions import SELF, Partitions

ByName = Mapping[str, Any]  # the name of a partition -> what is given for it


def as_mapping(value: Any, argument: str) -> ByName:
    """A mapping from partition, also of a data frame; None is an empty one."""
    if hasattr(value, "iloc") and hasattr(value, "columns"):  # a data frame
        return dict(value.items())
    if value is not None and not isinstance(value, Mapping):
        raise PairingError(
            f"{argument} is a {type(value).__name__}: expected a mapping from partition, as in "
            f"{argument}={{'pose': ...}}"
        )
    return value or {}


def check_candidates(candidates: Mapping[str, Candidates]) -> None:
    """Refuse partitions without any pair, and warn of items without a partner."""
    for name, found in candidates.items():
        labelled = f"of the {found.n_labelled} items labelled in {name!r}"
        if len(found) == 0:
            by_label = found.n_groups is not None
            how = "share a label:" if by_label else "are partners: raise its tolerance, if any,"
            raise PairingError(
                f"no two {labelled} {how} name {name!r} in the rest, or choose other items for a "
                "split"
            )
        if found.n_alone:
            warnings.warn(
                f"{found.n_alone} {labelled} share their label with no other item, so they are in "
                "none of its pairs",
                stacklevel=4,
            )


def check_partitions(partitions: Partitions | ByName, supervised: Collection[str]) -> Partitions:
    """The partitions, whose rest is exactly the partitions without labels or pairs."""
    declared = isinstance(partitions, Partitions)
    partitions = partitions if isinstance(partitions, Partitions) else Partitions(partitions)
    for name in supervised:
        if name not in partitions.names:
            raise PairingError(
                f"{name!r} has labels but is not a partition, as {', '.join(partitions.names)} "
                "are: name it in partitions= of the model's config"
            )
    rest = [name for name in partitions.names if name not in supervised]
    fix = f"no labels for {rest}: set rest={rest} in the model's config"
    if declared and (labelled := sorted(set(partitions.rest).intersection(supervised))):
        raise PairingError(
            f"there are labels for {labelled}, which the model's config has in the rest: set "
            f"rest={rest} there, or leave them out"
        )
    if declared and set(rest) != set(partitions.rest):
        raise PairingError(f"{fix} (now {list(partitions.rest)}), or give the missing factors")
    if rest and not declared:
        warnings.warn(f"{fix}; pass model.partitions to have it checked", stacklevel=3)
    return Partitions(partitions.sizes, rest)


def check_weights(
    weights: Mapping[str, float], supervised: Collection[str], has_rest: bool
) -> dict[str, float]:
    """The relative frequency of each kind of pair."""
    self_weight = max(len(supervised), 1) if has_rest else 1
    kinds = {**dict.fromkeys(supervised, 1.0), SELF: float(self_weight)}
    for name, weight in weights.items():
        if name not in kinds:
            raise PairingError(f"weights has {name!r}: expected some of {', '.join(kinds)}")
        if not isinstance(weight, Real) or not 0 <= weight < np.inf:
            raise PairingError(f"the weight of {name!r} is {weight!r}: expected a number from 0")
        kinds[name] = float(weight)
    if sum(kinds.values()) == 0:
        raise PairingError(f"all weights are 0: {kinds}; give one kind of pair a weight above 0")
    return kinds


def make_candidates(
    n: int, factors: ByName, pairs: ByName, tolerance: ByName, unknown: Any, balanced: bool
) -> dict[str, Candidates]:
    """Read the labels of n images and find the candidates of each labelled partition.

    Raises:
        ValueError: If labels, pairs or tolerances do not fit.
    """
    for name in tolerance.keys() - factors.keys():
        raise ValueError(f"tolerance has {name!r}, which has no labels")
    for name in pairs.keys() & factors.keys():
        raise ValueError(f"{name!r} has both labels and pairs: give one of them")
    candidates: dict[str, Candidates] = {}
    for name, (values, known) in read_factors(factors, unknown).items():
        if len(values) != n:
            raise ValueError(f"{len(values)} labels of {name!r} for {n} images: expected {n}")
        if not known.reshape(n, -1).all(axis=1).any():
            raise ValueError(f"all {n} labels of {name!r} are unknown: name {name!r} in the rest")
        if name in tolerance:
            found: Candidates = _by_distance(values, known, name, tolerance[name])
        else:
            found = _by_label(values, known, name, balanced)
        if note := note_missing(name, values, known):
            warnings.warn(note, stacklevel=3)
        if found.n_groups == 1:
            warnings.warn(
                f"the {found.n_labelled} items labelled in {name!r} have one label, so that pairs "
                f"show nothing of the factor: label others, too, or name {name!r} in the rest",
                stacklevel=3,
            )
        found.note = "\n".join(filter(None, [note, found.note]))
        candidates[name] = found
    return candidates | {name: _read_pairs(listed, name, n) for name, listed in pairs.items()}


def _by_label(values: NDArray[Any], known: Mask, name: str, balanced: bool) -> Groups:
    groups = Groups(encode_labels(values, known), balanced)
    if values.dtype.kind == "f" and groups.n_alone > groups.n_labelled / 2:
        spread = float(np.nanstd(np.where(known, values, np.nan), axis=0).mean())
        raise ValueError(
            f"{groups.n_alone} of {groups.n_labelled} labels of {name!r} equal no other, and "
            "only equal floats are paired: round them, or give the largest difference of two "
            f"partners, as in tolerance={{{name!r}: {spread / 5:.1g}}}, a fifth of the standard "
            "deviation"
        )
    columns = zip(np.atleast_2d(values.T), np.atleast_2d(known.T), strict=True)
    if values.dtype == object and any(_mixes_strings(column[seen]) for column, seen in columns):
        raise ValueError(
            f"labels of {name!r} are strings and other types, and '1' does not equal 1: convert "
            "them all, and give those that are missing as None"
        )
    if len(groups) and not balanced:
        low, high = groups.sizes.min(), groups.sizes.max()
        if high >= 10 * low:
            groups.note = f"a label of {name!r} is on {low:,} to {high:,} images; see balanced="
    return groups


def _mixes_strings(labels: NDArray[Any]) -> bool:
    return len({isinstance(label, str) for label in labels}) > 1


def _by_distance(values: NDArray[Any], known: Mask, name: str, tolerance: float) -> Neighbours:
    if not isinstance(tolerance, Real) or not 0 < tolerance < np.inf:
        raise ValueError(f"the tolerance of {name!r} is {tolerance!r}: expected a number above 0")
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"labels of {name!r} are of dtype {values.dtype}: a tolerance needs numbers"
        )
    numbers = np.where(known, values.astype(np.float64), np.nan)
    if np.isinf(numbers).any():
        raise ValueError(f"labels of {name!r} are infinite: pass unknown=inf if they are unknown")
    _warn_if_wide(numbers.reshape(len(numbers), -1), name, tolerance)
    rounding = np.finfo(values.dtype).eps if values.dtype.kind == "f" else 0.0
    return Neighbours(numbers, float(tolerance), float(rounding))


def _warn_if_wide(labels: NDArray[np.float64], name: str, tolerance: float) -> None:
    known = labels[np.isfinite(labels).all(axis=1)]
    first, second = np.random.default_rng(0).choice(known, (2, 10_000))
    with np.errstate(over="ignore"):
        distance = np.linalg.norm(first - second, axis=1)
    distance = distance[distance > 0]
    if (near := int((distance <= tolerance).sum())) > len(distance) / 2:
        warnings.warn(
            f"with a tolerance of {tolerance}, {near / len(distance):.0%} of images whose labels "
            f"of {name!r} differ are partners: it should be small against their range",
            stacklevel=5,
        )


def _read_pairs(listed: Any, name: str, n: int) -> Edges:
    table = np.asarray(listed)
    if table.ndim != 2 or table.shape[1] != 2 or len(table) == 0 or table.dtype.kind not in "iu":
        raise ValueError(
            f"the pairs of {name!r} have shape {table.shape} and dtype {table.dtype}: expected "
            "indices (M, 2), M > 0"
        )
    bad = ((table < 0) | (table >= n) | (table[:, :1] == table[:, 1:])).any(axis=1)
    if bad.any():
        raise ValueError(
            f"the pairs of {name!r} contain {table[bad][0].tolist()}: expected two different "
            f"indices from 0 to {n - 1}"
        )
    return Edges(table, n)
