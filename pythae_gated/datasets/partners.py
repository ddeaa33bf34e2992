"""Candidates for pairing, by equal label, by distance or from a list; and the draw of pairs."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from pythae_gated.datasets.labels import UNKNOWN, Codes, Mask

Indices = NDArray[Any]  # of integers
Floats = NDArray[np.float64]

_ROUNDS, _DRAWS = 10, 4  # rejected draws before the partners of an item are listed
_STRIDES = np.array([0x2545F4914F6CDD1D, -0x61C8864680B583EB, 1])  # random, modulo 2^64


class Candidates(ABC):
    """The items, among N, that can be paired in one partition.

    Args:
        has_partner: As the attribute.
        n_labelled: Number of items with a label, in pairs or not.
        n_groups: Number of distinct labels; None if they are not compared for equality.

    Attributes:
        balanced: Whether all items of pairs are drawn by `sample`, whatever items are asked for.
        has_partner: Whether each item has a partner, (N,).
        n_alone: Number of labelled items without a partner.
        note: A remark on the labels, for `PairedDataset.summary`.
    """

    balanced = False
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
    """Items are partners if their labels, numbers (N,), are equal; -1 is unknown.

    If `balanced`, `sample` draws each label equally often, not each item.

    Attributes:
        sizes: The number of items of each label that several have.
    """

    def __init__(self, codes: Codes, balanced: bool = False) -> None:
        self._codes, self.balanced = codes, balanced
        known = codes != UNKNOWN
        sizes = np.bincount(codes[known], minlength=1)
        super().__init__(known & (sizes[codes] > 1), int(known.sum()), int((sizes > 0).sum()))
        # A sparse matrix sorts by counting, in linear time.
        members, shape = self._members, (len(sizes), len(codes))
        table = csr_matrix((np.ones(len(members), bool), (codes[members], members)), shape=shape)
        self._starts: Indices = table.indptr
        self._order: Indices = table.indices  # items, one group after another
        self._repeated = np.flatnonzero(sizes > 1).astype(np.int32)  # labels that several have
        self.sizes = sizes[self._repeated].astype(np.int32)

    def sample(self, n: int, rng: np.random.Generator) -> Indices:
        if not self.balanced:
            return super().sample(n, rng)
        group = self._repeated[rng.integers(len(self._repeated), size=n)]
        return self._order[rng.integers(self._starts[group], self._starts[group + 1])]

    def partners(self, items: Indices, rng: np.random.Generator) -> Indices:
        group = self._codes[items]
        last = self._starts[group + 1] - 1
        drawn = self._order[rng.integers(self._starts[group], last)]  # any but the last
        return np.where(drawn == items, self._order[last], drawn)

    def subset(self, indices: Indices) -> "Groups":
        return Groups(self._codes[indices], self.balanced)


class Edges(Candidates):
    """Items are partners if they are listed as a pair.

    Args:
        edges: Pairs of different items, shape (M, 2). Order and repetitions do not matter.
        n: N, the number of items.
    """

    def __init__(self, edges: Indices, n: int) -> None:
        heads, tails = np.concatenate([edges, edges[:, ::-1]]).astype(np.int32).T
        self._graph: Any = csr_matrix((np.ones(len(heads), bool), (heads, tails)), shape=(n, n))
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
        rounding: The relative rounding error of the labels, as that of float32.
    """

    def __init__(self, values: Floats, tolerance: float, rounding: float = 0.0) -> None:
        self._rounding = rounding
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
        steps = np.array([*product((-1, 0, 1), repeat=len(strides) - 1)], dtype=np.int64)
        return np.floor(columns / side).astype(np.int64) @ strides, steps @ strides[:-1]

    def _radius(self, labels: Floats) -> Floats:  # (n, F) -> (n,)
        """The tolerance, and the rounding error of a label and of one so far from it."""
        largest: Floats = np.abs(labels).max(axis=1)
        rounding = self._rounding + 4 * np.finfo(np.float64).eps
        return self._tolerance * (1 + 1e-9) + rounding * largest

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
        return Neighbours(self._values[indices], self._tolerance, self._rounding)


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
            that has one, as is each item of balanced candidates. Otherwise each item is in a
            pair, of a kind that this item can be in.
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
        alone = ~found.has_partner[chosen] | (replace and found.balanced)
        if alone.any():
            chosen[alone] = found.sample(int(alone.sum()), rng)
            items[rows] = chosen
        partners[rows] = found.partners(chosen, rng)
    return kinds, items, partners
