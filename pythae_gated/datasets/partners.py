"""Candidates for pairing, by equal label, by distance or from a list; and the draw of pairs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from pythae_gated.datasets.labels import UNKNOWN, Codes, Mask, encode_labels, read_factors

Indices = NDArray[Any]  # of integers
Floats = NDArray[np.float64]

_LOOK_MISSING = {"", " ", "nan", "NaN", "NA", "N/A", "<NA>", "None", "null"}
_ROUNDS, _DRAWS = 10, 4  # rejected draws before the partners of an item are listed
_STRIDES = np.array([0x2545F4914F6CDD1D, -0x61C8864680B583EB, 1])  # random, modulo 2^64


class Candidates(ABC):
    """The items, among N, that can be paired in one partition.

    Args:
        has_partner: As the attribute.
        n_labelled: Number of items with a label, in pairs or not.
        n_groups: Number of distinct labels; None if they are not compared for equality.

    Attributes:
        has_partner: Whether each item has a partner, (N,).
        n_alone: Number of labelled items without a partner.
        note: A remark on the labels, for `PairedDataset.summary`.
    """

    note = ""

    def __init__(self, has_partner: Mask, n_labelled: int, n_groups: int | None = None) -> None:
        self.has_partner = has_partner
        self._members = np.flatnonzero(has_partner).astype(np.int32)
        self.n_labelled, self.n_groups = n_labelled, n_groups
        self.n_alone = n_labelled - len(self._members)

    def __len__(self) -> int:
        """The number of items that have a partner."""
        return len(self._members)

    def sample(self, n: int, rng: np.random.Generator) -> Indices:  # (n,)
        """Draw n items uniformly from those that have a partner."""
        return self._members[rng.integers(len(self._members), size=n)]

    @abstractmethod
    def partners(self, items: Indices, rng: np.random.Generator) -> Indices:  # (n,) -> (n,)
        """Draw a partner of each item, uniformly from its partners; never the item itself."""

    @abstractmethod
    def subset(self, indices: Indices) -> "Candidates":
        """The candidates among these items only, renumbered in their order."""


class Groups(Candidates):
    """Items are partners if their labels, numbers (N,), are equal; -1 is unknown."""

    def __init__(self, codes: Codes) -> None:
        self._codes = codes
        known = codes != UNKNOWN
        sizes = np.bincount(codes[known], minlength=1)
        super().__init__(known & (sizes[codes] > 1), int(known.sum()), int((sizes > 0).sum()))
        # A sparse matrix sorts by counting, in linear time.
        members, shape = self._members, (len(sizes), len(codes))
        table = csr_matrix((np.ones(len(members), bool), (codes[members], members)), shape=shape)
        self._starts, self._order = table.indptr, table.indices  # items, one group after another

    def partners(self, items: Indices, rng: np.random.Generator) -> Indices:
        group = self._codes[items]
        last = self._starts[group + 1] - 1
        drawn = self._order[rng.integers(self._starts[group], last)]  # any but the last
        partners: Indices = np.where(drawn == items, self._order[last], drawn)
        return partners

    def subset(self, indices: Indices) -> "Groups":
        return Groups(self._codes[indices])


class Edges(Candidates):
    """Items are partners if they are listed as a pair.

    Args:
        edges: Pairs of different items, shape (M, 2). Order and repetitions do not matter.
        n: N, the number of items.
    """

    def __init__(self, edges: Indices, n: int) -> None:
        heads, tails = np.concatenate([edges, edges[:, ::-1]]).astype(np.int32).T
        self._graph = csr_matrix((np.ones(len(heads), bool), (heads, tails)), shape=(n, n))
        linked = np.diff(self._graph.indptr) > 0
        super().__init__(linked, n_labelled=int(linked.sum()))

    def partners(self, items: Indices, rng: np.random.Generator) -> Indices:
        starts = self._graph.indptr
        partners: Indices = self._graph.indices[rng.integers(starts[items], starts[items + 1])]
        return partners

    def subset(self, indices: Indices) -> "Edges":
        kept = self._graph[indices][:, indices].nonzero()
        return Edges(np.stack(kept, axis=1), len(indices))


class Neighbours(Candidates):
    """Items are partners if the Euclidean distance of their labels is within a tolerance.

    Items are sorted by the cells of a grid over up to three columns. Partners are drawn from the
    cells around an item until one is near; failing that, its neighbours are listed by a k-d tree.

    Args:
        values: Labels, shape (N,) or (N, F); a row with NaN is unknown.
        tolerance: The largest distance of two partners, above 0.
    """

    def __init__(self, values: Floats, tolerance: float) -> None:
        values = values.reshape(len(values), -1).clip(-1e150, 1e150)  # distances must be finite
        self._values, self._tolerance = values, tolerance
        known = np.flatnonzero(np.isfinite(values).all(axis=1))
        cells, lines = self._make_grid(values[known])
        order = np.lexsort((*values[known].T, cells))
        self._order, cells = known[order], cells[order]  # equal labels follow one another
        labels, is_first = values[self._order], np.ones(len(order), dtype=np.bool_)
        is_first[1:] = (labels[1:] != labels[:-1]).any(axis=1)
        self._starts = np.append(np.flatnonzero(is_first), len(order))
        labels, counts = labels[is_first], np.diff(self._starts)
        self._tree = cKDTree(labels)
        nearest = self._tree.query(labels, k=2, workers=-1)[0][:, 1]
        paired = np.zeros(len(values), dtype=np.bool_)
        paired[self._order] = ((counts > 1) | (nearest <= self._radius(labels))).repeat(counts)
        super().__init__(paired, n_labelled=len(known))
        distinct, cell = np.unique(cells, return_inverse=True)
        self._cell = np.zeros(len(values), dtype=np.int32)
        self._cell[self._order] = cell
        around = distinct[:, None] + lines
        first, end = cells.searchsorted(around - 1), cells.searchsorted(around + 1, side="right")
        self._ends = (end - first).cumsum(axis=1, dtype=np.int32)
        self._shifts = (end - self._ends).astype(np.int32)

    def _make_grid(self, labels: Floats) -> tuple[Indices, Indices]:
        """The number of each label's cell, and the differences to the lines of cells around it.

        Cells of a line have successive numbers. Distant cells may have the same number.
        """
        span = labels.max(axis=0, initial=-np.inf) - labels.min(axis=0, initial=np.inf)
        side = 1.01 * self._tolerance  # neighbours are in the same or in adjacent cells
        columns = labels[:, span.argsort()[-3:]].clip(-1e15 * side, 1e15 * side)
        strides = _STRIDES[-columns.shape[1] :]
        lines = np.zeros(1, dtype=np.int64)
        for stride in strides[:-1]:
            lines = np.add.outer(lines, [-stride, 0, stride]).ravel()
        return np.floor(columns / side).astype(np.int64) @ strides, lines

    def _radius(self, labels: Floats) -> Floats:  # (n, F) -> (n,)
        """The tolerance, and the rounding error of a label and of one so far from it."""
        largest: Floats = np.abs(labels).max(axis=1)
        return self._tolerance * (1 + 1e-9) + 4 * np.finfo(np.float64).eps * largest

    def partners(self, items: Indices, rng: np.random.Generator) -> Indices:
        """As in the base class."""
        labels, partners = self._values[items], items.copy()
        radius = self._radius(labels) * (1 + 1e-12)  # numpy and the tree round differently
        # Others have rounding errors that may be larger than a cell.
        waiting = np.flatnonzero(radius < 1.005 * self._tolerance)
        for _ in range(_ROUNDS):
            rows = waiting.repeat(_DRAWS)
            cells = self._cell[items[rows]]
            places = rng.integers(self._ends[cells, -1])
            line = (places[:, None] >= self._ends[cells]).sum(axis=1)
            drawn = self._order[places + self._shifts[cells, line]]
            distance = np.linalg.norm(labels[rows] - self._values[drawn], axis=1)
            near = (distance <= radius[rows]) & (drawn != items[rows])
            partners[rows[near]] = drawn[near]
            waiting = waiting[partners[waiting] == items[waiting]]
            if len(waiting) == 0:
                break
        rows = np.flatnonzero(partners == items)
        listed = self._tree.query_ball_point(labels[rows], radius[rows], return_sorted=False)
        for row, places in zip(rows, listed, strict=True):
            slices = [self._order[self._starts[p] : self._starts[p + 1]] for p in places]
            found = np.concatenate(slices)
            partners[row] = rng.choice(found[found != items[row]])
        return partners

    def subset(self, indices: Indices) -> "Neighbours":
        return Neighbours(self._values[indices], self._tolerance)


def draw_pairs(
    candidates: Sequence[Candidates],
    weights: Floats,  # (K + 1,)
    items: Indices,  # (n,)
    rng: np.random.Generator,
    *,
    replace: bool,
) -> tuple[Indices, Indices, Indices]:  # kinds, items, partners, each (n,)
    """Draw the kind of each pair, by weight, then its item and a partner of it.

    Kind k < K is a shared pair of the k-th candidates, kind K a self pair.

    Args:
        candidates: The items that can be paired in each of K partitions.
        weights: The relative frequency of each kind.
        items: The items asked for.
        rng: The generator of all draws.
        replace: Whether an item without a partner of the kind drawn is replaced by a random one
            that has one. Otherwise each item is in a pair, of a kind that this item can be in.
    """
    if not replace:
        possible = [*(found.has_partner[items] for found in candidates), np.ones_like(items, bool)]
        weights = weights * np.stack(possible, axis=1)
    bounds = weights.cumsum(axis=-1)  # (K + 1,) or (n, K + 1)
    kinds = (rng.random((len(items), 1)) * bounds[..., -1:] >= bounds[..., :-1]).sum(1)
    items, partners = items.copy(), items.copy()
    for kind, found in enumerate(candidates):
        (rows,) = (kinds == kind).nonzero()
        chosen = items[rows]
        alone = ~found.has_partner[chosen]
        if alone.any():
            chosen[alone] = found.sample(int(alone.sum()), rng)
            items[rows] = chosen
        partners[rows] = found.partners(chosen, rng)
    return kinds, items, partners


def make_candidates(
    n: int,
    factors: Mapping[str, Any],
    pairs: Mapping[str, Any],
    tolerance: Mapping[str, float],
    unknown: Any,
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
            candidates[name] = _measure_distance(values, known, name, tolerance[name])
        else:
            candidates[name] = _group(values, known, name)
    return candidates | {name: _read_pairs(listed, name, n) for name, listed in pairs.items()}


def _group(values: NDArray[Any], known: Mask, name: str) -> Groups:
    groups = Groups(encode_labels(values, known))
    if values.dtype.kind == "f" and groups.n_alone > groups.n_labelled / 2:
        raise ValueError(
            f"{groups.n_alone} of {groups.n_labelled} labels of {name!r} equal no other, and "
            "only equal floats are paired: round them, or give the largest difference of two "
            f"partners, as in tolerance={{{name!r}: 5.0}}"
        )
    if values.dtype.kind in "OU" and (found := _LOOK_MISSING & set(values[known].tolist())):
        groups.note = f"labels of {name!r} that look missing: {sorted(found)}; see unknown="
    return groups


def _measure_distance(
    values: NDArray[Any], known: Mask, name: str, tolerance: float
) -> Neighbours:
    if not isinstance(tolerance, Real) or not 0 < tolerance < np.inf:
        raise ValueError(f"the tolerance of {name!r} is {tolerance!r}: expected a number above 0")
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"labels of {name!r} are of dtype {values.dtype}: a tolerance needs numbers"
        )
    numbers = np.where(known, values.astype(np.float64), np.nan)
    if np.isinf(numbers).any():
        raise ValueError(f"labels of {name!r} are infinite: pass unknown=inf if they are unknown")
    return Neighbours(numbers, float(tolerance))


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
