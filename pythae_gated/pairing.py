"""Which image may be whose target: labels and indices only, no images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pythae_gated.errors import PairingError
from pythae_gated.partitions import SELF

UNKNOWN = -1

Codes = npt.NDArray[np.int32]
Indices = npt.NDArray[np.int64]


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
    table = _as_table(labels)
    if table.ndim not in (1, 2) or 0 in table.shape:
        raise PairingError(
            f"the labels of {name!r} have shape {table.shape}: expected (N,) or (N, columns)"
        )
    columns = [table] if table.ndim == 1 else list(table.T)
    codes = _number(columns[0], unknown)
    for column in columns[1:]:
        more = _number(column, unknown)
        joint = codes * (more.max() + 1) + more  # int64, and at most N distinct values each
        codes = _number(np.where((codes < 0) | (more < 0), UNKNOWN, joint), UNKNOWN)
    if (codes == UNKNOWN).all():
        raise PairingError(
            f"all {len(codes)} labels of {name!r} are unknown; leave its factor out, and name "
            f"{name!r} in the rest"
        )
    return codes.astype(np.int32)


def _as_table(labels: Any) -> npt.NDArray[Any]:
    if isinstance(labels, Sequence):  # numpy would turn ["a", nan] into texts, 'nan' among them
        return np.array(labels, dtype=object)
    return labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)


def _number(column: npt.NDArray[Any], unknown: Any) -> npt.NDArray[np.int64]:
    if column.dtype == object:
        codes: dict[Any, int] = {}
        values = column.tolist()
        holes = (v is None or _differs(v, v) or not _differs(v, unknown) for v in values)
        numbers = [
            UNKNOWN if hole else codes.setdefault(v, len(codes))
            for v, hole in zip(values, holes, strict=True)
        ]
        return np.array(numbers, dtype=np.int64)
    hole = column != column  # NaN, NaT
    if unknown is not None:
        hole = hole | (column == unknown)
    numbers_of = np.full(len(column), UNKNOWN, dtype=np.int64)
    numbers_of[~hole] = np.unique(column[~hole], return_inverse=True)[1]
    return numbers_of


def _differs(a: Any, b: Any) -> bool:
    try:
        return bool(a != b)
    except TypeError:  # pandas.NA, which is not even equal to itself
        return a is b


class Groups:
    """The items that share a label: who may be whose partner in one partition's pairs.

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
        paired = known[sizes[codes[known]] > 1]
        # Items with a partner, group after group; where each group begins; where an item stands.
        self._order = paired[np.argsort(codes[paired], kind="stable")].astype(np.int32)
        self._starts = np.concatenate([[0], np.cumsum(np.where(sizes > 1, sizes, 0))])
        self._place = np.full(len(codes), UNKNOWN, dtype=np.int32)
        self._place[self._order] = np.arange(len(self._order), dtype=np.int32)

    def __len__(self) -> int:
        """How many items have a partner."""
        return len(self._order)

    def has_partner(self, items: Indices) -> npt.NDArray[np.bool_]:  # (n,) -> (n,)
        """Whether these items have a partner."""
        known: npt.NDArray[np.bool_] = self._place[items] != UNKNOWN
        return known

    def stand_ins(self, n: int, rng: np.random.Generator) -> Indices:  # (n,)
        """Random items that have a partner."""
        return self._order[rng.integers(len(self._order), size=n)].astype(np.int64)

    def partners(self, items: Indices, rng: np.random.Generator) -> Indices:  # (n,) -> (n,)
        """A random partner of each item, never itself; each of its group is equally likely."""
        group = self.codes[items]
        start, end = self._starts[group], self._starts[group + 1]
        size = end - start
        steps = rng.integers(1, size)  # from 1 to size - 1 places on, round the group
        partners: Indices = self._order[start + (self._place[items] - start + steps) % size]
        return partners.astype(np.int64)


class Pairing:
    """Draws pairs: first the kind of each, by weight, then an item and its partner.

    Kind k < K shares the k-th source's label; kind K is the self pair.

    Args:
        sources: Partition -> the groups of its pairs.
        weights: Partition or `"self"` -> relative frequency.
    """

    def __init__(self, sources: Mapping[str, Groups], weights: Mapping[str, float]) -> None:
        self._sources = list(sources.values())
        relative = np.array([weights[name] for name in (*sources, SELF)])
        self._weights = relative / relative.sum()

    def draw(
        self,
        items: Indices,  # (n,)
        rng: np.random.Generator,
    ) -> tuple[Indices, Indices, Indices]:  # kinds, items, partners, each (n,)
        """A pair for each item. One that cannot be of the kind drawn gets a stand-in that can."""
        kinds = rng.choice(len(self._weights), size=len(items), p=self._weights)
        items = items.copy()
        partners = items.copy()
        for kind, groups in enumerate(self._sources):
            rows = np.flatnonzero(kinds == kind)
            chosen = items[rows]
            lone = np.flatnonzero(~groups.has_partner(chosen))
            chosen[lone] = groups.stand_ins(len(lone), rng)
            items[rows] = chosen
            partners[rows] = groups.partners(chosen, rng)
        return kinds, items, partners

    def freeze(
        self, n: int, rng: np.random.Generator
    ) -> tuple[Indices, Indices]:  # kinds, partners, each (n,)
        """One pair for each of n items, of a kind that it can take part in."""
        items = np.arange(n)
        can = [groups.has_partner(items) for groups in self._sources]
        weights = self._weights * np.stack([*can, np.ones(n, dtype=bool)], axis=1)
        bounds = weights.cumsum(1)
        kinds = (rng.random((n, 1)) * bounds[:, -1:] >= bounds).sum(1)
        kinds = np.minimum(kinds, len(self._sources))  # without any other pair: with itself
        partners = items.copy()
        for kind, groups in enumerate(self._sources):
            rows = np.flatnonzero(kinds == kind)
            partners[rows] = groups.partners(rows, rng)
        return kinds, partners
