"""What a user says about pairs, checked and turned into sources of partners."""

import warnings
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from pythae_gated.datasets import labels as reading
from pythae_gated.datasets.labels import are_floats
from pythae_gated.datasets.partners import Edges, Groups, Indices, Neighbours, Source
from pythae_gated.errors import PairingError
from pythae_gated.partitions import SELF, Partitions


def make_sources(
    n: int,
    factors: Mapping[str, Any],
    pairs: Mapping[str, Any],
    tolerance: Mapping[str, float],
    unknown: Any,
) -> dict[str, Source]:
    """Who may be whose partner in each partition that is spoken of, among n images.

    Raises:
        PairingError: Where labels, pairs or tolerances do not fit.
    """
    for name, reach in tolerance.items():
        if name not in factors:
            raise PairingError(f"a tolerance for {name!r}, which has no labels")
        if not 0 < reach < float("inf"):
            raise PairingError(
                f"the tolerance of {name!r} is {reach}: expected more than 0; without one, labels "
                "that are equal make pairs"
            )
    sources: dict[str, Source] = {}
    for name, labels in factors.items():
        if name in pairs:
            raise PairingError(f"{name!r} has both labels and pairs: give one of them")
        if name in tolerance:
            values = _as_pairing_error(reading.as_numbers, labels, name, unknown)
            check_length(values, n, f"labels of {name!r}")
            sources[name] = Neighbours(values, tolerance[name])
            continue
        codes = _as_pairing_error(reading.encode_labels, labels, name, unknown)
        check_length(codes, n, f"labels of {name!r}")
        groups = sources[name] = Groups(codes)
        if are_floats(labels) and groups.n_alone > groups.n_labelled / 2:
            raise PairingError(
                f"{groups.n_alone} of {groups.n_labelled} labels of {name!r} agree with no other, "
                "and floats pair only where they agree exactly; say how far apart they may be, as "
                f"in tolerance={{{name!r}: 5.0}}, or round them"
            )
    return sources | {name: Edges(_as_edges(edges, name, n), n) for name, edges in pairs.items()}


def _as_pairing_error(read: Any, *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except ValueError as error:
        raise PairingError(str(error)) from None


def check_length(values: Any, n: int, what: str) -> None:
    """Refuse what is not one for each of n images.

    Raises:
        PairingError: With both numbers.
    """
    if len(values) != n:
        raise PairingError(f"{len(values)} {what} for {n} images: expected as many")


def _as_edges(edges: Any, name: str, n: int) -> Indices:
    table = np.asarray(edges)
    if table.ndim != 2 or table.shape[1] != 2 or len(table) == 0 or table.dtype.kind not in "iu":
        raise PairingError(
            f"the pairs of {name!r} have shape {table.shape} and dtype {table.dtype}: expected "
            "indices (M, 2), M > 0"
        )
    table = table.astype(np.int64)
    outside = (table < 0) | (table >= n)
    if outside.any():
        raise PairingError(
            f"the pairs of {name!r} name item {table[outside][0]}: expected 0 to {n - 1}"
        )
    itself = table[:, 0] == table[:, 1]
    if itself.any():
        raise PairingError(
            f"the pairs of {name!r} pair item {table[itself][0, 0]} with itself; self pairs need "
            "not be named"
        )
    return table


def check_sources(sources: Mapping[str, Source]) -> None:
    """Refuse partitions without any pair, and warn of items without a partner.

    Raises:
        PairingError: Where nobody has a partner.
    """
    for name, source in sources.items():
        if len(source) == 0:
            raise PairingError(
                f"no two of the {source.n_labelled} items labelled in {name!r} share a label; "
                f"leave its factor out, and name {name!r} in the rest"
            )
        if source.n_alone:
            warnings.warn(
                f"{source.n_alone} of the {source.n_labelled} items labelled in {name!r} share "
                "their label with no other, so take no part in its pairs",
                stacklevel=4,
            )


def check_partitions(
    partitions: Partitions | Mapping[str, int], spoken_of: Collection[str]
) -> Partitions:
    """The partitions, whose rest is just those that nothing speaks of.

    Raises:
        PairingError: Where that is not so, naming the rest to declare.
    """
    declared = isinstance(partitions, Partitions)
    partitions = partitions if isinstance(partitions, Partitions) else Partitions(partitions)
    for name in spoken_of:
        if name not in partitions.names:
            raise PairingError(
                f"factors speak of {name!r}, which is no partition; there are "
                f"{', '.join(partitions.names)}"
            )
    rest = [name for name in partitions.names if name not in spoken_of]
    if not declared:
        if rest:
            warnings.warn(
                f"no factor speaks of {', '.join(rest)}: the model's config must carry "
                f"rest={rest}; pass model.partitions, and this is checked",
                stacklevel=3,
            )
        return Partitions(partitions.sizes, rest)
    if set(rest) != set(partitions.rest):
        raise PairingError(
            f"no factor speaks of {rest}, and the model's rest is {list(partitions.rest)}; set "
            f"rest={rest} in the model's config, or give the factors that are missing"
        )
    return partitions


def check_weights(
    weights: Mapping[str, float] | None, spoken_of: Collection[str]
) -> dict[str, float]:
    """The relative frequency of each kind of pair, 1 where nothing is said.

    Raises:
        PairingError: Where a name or a weight does not fit.
    """
    kinds = dict.fromkeys((*spoken_of, SELF), 1.0)
    for name, weight in (weights or {}).items():
        if name not in kinds:
            raise PairingError(
                f"weights speak of {name!r}; expected {', '.join(kinds)} (partitions with labels "
                f"or pairs, and {SELF!r})"
            )
        if not 0 <= weight < float("inf"):
            raise PairingError(f"the weight of {name!r} is {weight}: expected 0 or more")
        kinds[name] = float(weight)
    if sum(kinds.values()) == 0:
        raise PairingError(f"all weights are 0: {kinds}; give at least one kind of pair more")
    return kinds


def check_indices(indices: Any, n: int) -> Indices:
    """Which items a split holds, as distinct indices.

    Raises:
        PairingError: Where there is none, or one is out of range or named twice.
    """
    chosen = np.asarray(indices)
    if chosen.dtype == bool and chosen.shape == (n,):
        chosen = np.flatnonzero(chosen)
    if chosen.ndim != 1 or len(chosen) == 0:
        raise PairingError(f"a split of shape {chosen.shape}: expected at least one index")
    if chosen.dtype.kind not in "iu":
        raise PairingError(f"a split of dtype {chosen.dtype}: expected ints, or a mask ({n},)")
    if chosen.min() < 0 or chosen.max() >= n:
        raise PairingError(
            f"a split from index {chosen.min()} to {chosen.max()}: expected 0 to {n - 1}"
        )
    if len(np.unique(chosen)) < len(chosen):
        raise PairingError("a split names an item twice; an item cannot be its own partner")
    return chosen.astype(np.int64)
