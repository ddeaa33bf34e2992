"""Who may be whose partner in one partition's pairs: by label, by nearness, or as listed."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from pythae_gated.datasets.labels import UNKNOWN, Codes, Floats

Indices = npt.NDArray[np.int64]


class Source(Protocol):
    """Who may be whose partner, among N items.

    Attributes:
        n_labelled: How many items it says anything of.
        n_alone: How many of these have no partner.
        n_groups: How many different labels there are; None where items share no common label.
    """

    n_labelled: int
    n_alone: int
    n_groups: int | None

    def __len__(self) -> int:
        """How many items have a partner."""

    def has_partner(self, items: Indices) -> npt.NDArray[np.bool_]:  # (n,) -> (n,)
        """Whether these items have a partner."""

    def stand_ins(self, n: int, rng: np.random.Generator) -> Indices:  # (n,)
        """Random items that have a partner."""

    def partners(self, items: Indices, rng: np.random.Generator) -> Indices:  # (n,) -> (n,)
        """A random partner of each item, never itself; each is equally likely."""

    def take(self, chosen: Indices) -> "Source":
        """The same among the chosen items alone, numbered in their order."""


def _rows(
    heads: npt.NDArray[Any], tails: npt.NDArray[Any], shape: tuple[int, int]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The tails of each head, one head after another: where each begins, and the tails.

    A sparse matrix sorts them by counting, in linear time, and merges repetitions.
    """
    ones = np.ones(len(heads), dtype=np.bool_)
    matrix = csr_matrix((ones, (heads, tails)), shape=shape)
    return matrix.indptr, matrix.indices


class Groups:
    """The items that share a label.

    An item of unknown label, or whose group is itself alone, has no partner.

    Args:
        codes: Number of each item's label, -1 where unknown. Shape (N,).
    """

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        known = np.flatnonzero(codes != UNKNOWN)
        sizes = np.bincount(codes[known])
        self.n_labelled = len(known)
        self.n_alone = int((sizes == 1).sum())
        self.n_groups: int | None = int((sizes > 0).sum())
        paired = known[sizes[codes[known]] > 1]
        # Items with a partner, group after group; where each group begins; where an item stands.
        self._starts, self._order = _rows(codes[paired], paired, (len(sizes), len(codes)))
        self._place = np.full(len(codes), UNKNOWN, dtype=np.int32)
        self._place[self._order] = np.arange(len(self._order), dtype=np.int32)

    def __len__(self) -> int:
        return len(self._order)

    def has_partner(self, items: Indices) -> npt.NDArray[np.bool_]:  # (n,) -> (n,)
        known: npt.NDArray[np.bool_] = self._place[items] != UNKNOWN
        return known

    def stand_ins(self, n: int, rng: np.random.Generator) -> Indices:  # (n,)
        return self._order[rng.integers(len(self._order), size=n)].astype(np.int64)

    def partners(self, items: Indices, rng: np.random.Generator) -> Indices:  # (n,) -> (n,)
        group = self.codes[items]
        start, end = self._starts[group], self._starts[group + 1]
        size = end - start
        steps = rng.integers(1, size)  # from 1 to size - 1 places on, round the group
        partners: Indices = self._order[start + (self._place[items] - start + steps) % size]
        return partners.astype(np.int64)

    def take(self, chosen: Indices) -> "Groups":
        return Groups(self.codes[chosen])


class Edges:
    """The items that are known to share something, pair by pair.

    Args:
        edges: Pairs of different items, shape (M, 2). Their order and repetitions do not matter.
        n: N, the number of items.
    """

    n_alone = 0
    n_groups: int | None = None

    def __init__(self, edges: Indices, n: int) -> None:
        edges = edges.astype(np.int32)
        heads, tails = (np.concatenate([edges[:, i], edges[:, 1 - i]]) for i in (0, 1))
        self._starts, self._neighbours = _rows(heads, tails, (n, n))
        self._members = np.flatnonzero(np.diff(self._starts)).astype(np.int32)
        self.n_labelled = len(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def has_partner(self, items: Indices) -> npt.NDArray[np.bool_]:  # (n,) -> (n,)
        linked: npt.NDArray[np.bool_] = self._starts[items + 1] > self._starts[items]
        return linked

    def stand_ins(self, n: int, rng: np.random.Generator) -> Indices:  # (n,)
        return self._members[rng.integers(len(self._members), size=n)].astype(np.int64)

    def partners(self, items: Indices, rng: np.random.Generator) -> Indices:  # (n,) -> (n,)
        places = rng.integers(self._starts[items], self._starts[items + 1])
        return self._neighbours[places].astype(np.int64)

    def take(self, chosen: Indices) -> "Edges":
        n = len(self._starts) - 1
        number = np.full(n, UNKNOWN, dtype=np.int64)
        number[chosen] = np.arange(len(chosen))
        heads = number[np.repeat(np.arange(n), np.diff(self._starts))]
        tails = number[self._neighbours]
        kept = (heads != UNKNOWN) & (tails != UNKNOWN)
        return Edges(np.stack([heads[kept], tails[kept]], axis=1), len(chosen))


class Neighbours:
    """The items whose continuous labels lie within a tolerance (Euclidean).

    Labels lie in a grid of cells at least as wide as the tolerance, so that whoever is near lies
    in the same cell or one beside it. A partner is drawn from these, and drawn again until it is
    near enough: each that is, is equally likely.

    Args:
        values: Labels, shape (N, F); a row with NaN is unknown.
        tolerance: How far apart two labels may be, above 0.
    """

    n_groups: int | None = None
    _rounds = 100  # of drawing again, before all candidates of an item are looked at

    def __init__(self, values: Floats, tolerance: float) -> None:
        self._values, self._tolerance = values, tolerance
        known = np.flatnonzero(np.isfinite(values).all(axis=1))
        largest = np.abs(values[known]).max(initial=0.0)
        self._reach = tolerance * (1 + 1e-9) + 4 * np.finfo(np.float64).eps * largest
        self._key = np.full(len(values), UNKNOWN, dtype=np.int64)
        self._key[known], self._offsets = _grid(values[known], self._reach)
        self._order = known[np.argsort(self._key[known], kind="stable")].astype(np.int32)
        self._cells, starts = np.unique(self._key[self._order], return_index=True)
        self._starts = np.append(starts, len(self._order))
        self._near = np.zeros(len(values), dtype=bool)
        if len(known) > 1:
            nearest = cKDTree(values[known]).query(values[known], k=2, workers=-1)[0][:, 1]
            self._near[known] = nearest <= self._reach
        self._members = np.flatnonzero(self._near).astype(np.int32)
        self.n_labelled = len(known)
        self.n_alone = len(known) - len(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def has_partner(self, items: Indices) -> npt.NDArray[np.bool_]:  # (n,) -> (n,)
        near: npt.NDArray[np.bool_] = self._near[items]
        return near

    def stand_ins(self, n: int, rng: np.random.Generator) -> Indices:  # (n,)
        return self._members[rng.integers(len(self._members), size=n)].astype(np.int64)

    def partners(self, items: Indices, rng: np.random.Generator) -> Indices:  # (n,) -> (n,)
        starts, ends = self._ranges(items)
        partners = np.empty_like(items)
        waiting = np.arange(len(items))
        for _ in range(self._rounds):
            if len(waiting) == 0:
                return partners
            bounds = (ends[waiting] - starts[waiting]).cumsum(axis=1)
            draw = rng.integers(bounds[:, -1])
            cell = (draw[:, None] >= bounds).sum(axis=1)
            rows = np.arange(len(waiting))
            place = ends[waiting, cell] - (bounds[rows, cell] - draw)
            drawn = self._order[place].astype(np.int64)
            good = self._are_near(items[waiting], drawn)
            partners[waiting[good]] = drawn[good]
            waiting = waiting[~good]
        for row in waiting:
            around = [self._order[a:b] for a, b in zip(starts[row], ends[row], strict=True)]
            candidates = np.concatenate(around).astype(np.int64)
            near = candidates[self._are_near(np.full_like(candidates, items[row]), candidates)]
            partners[row] = near[rng.integers(len(near))]
        return partners

    def take(self, chosen: Indices) -> "Neighbours":
        return Neighbours(self._values[chosen], self._tolerance)

    def _ranges(self, items: Indices) -> tuple[Indices, Indices]:
        """Where in the order the cells around each item begin and end, (n, 3^F) each."""
        keys = self._key[items][:, None] + self._offsets
        cell = np.searchsorted(self._cells, keys).clip(max=len(self._cells) - 1)
        there = self._cells[cell] == keys
        return self._starts[cell], np.where(there, self._starts[cell + 1], self._starts[cell])

    def _are_near(self, items: Indices, others: Indices) -> npt.NDArray[np.bool_]:
        apart = np.linalg.norm(self._values[items] - self._values[others], axis=1)
        near: npt.NDArray[np.bool_] = (apart <= self._reach) & (items != others)
        return near


def _grid(values: Floats, reach: float) -> tuple[Indices, Indices]:
    """The number of each label's cell (N,), and what to add for those around it (3^F,)."""
    columns = values.shape[1]
    if len(values) == 0:
        return np.empty(0, dtype=np.int64), np.zeros(3**columns, dtype=np.int64)
    low, span = values.min(axis=0), np.ptp(values, axis=0)
    width = np.maximum(reach, span / 2.0 ** (60 // columns - 1))  # so that numbers fit in 63 bits
    places = ((values - low) / width).astype(np.int64) + 1  # a margin of one cell all round
    sizes = places.max(axis=0) + 2
    strides = np.append(np.cumprod(sizes[::-1])[-2::-1], 1)
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * columns), axis=-1).reshape(-1, columns)
    return places @ strides, steps @ strides
