"""Which image may be whose target: draws of kinds, items and partners, without images."""

from collections.abc import Mapping

import numpy as np

from pythae_gated.datasets.partners import Indices, Source
from pythae_gated.partitions import SELF


class Pairing:
    """Draws pairs: first the kind of each, by weight, then an item and its partner.

    Kind k < K shares the k-th source's label; kind K is the self pair.

    Args:
        sources: Partition -> who may be whose partner in its pairs.
        weights: Partition or `"self"` -> relative frequency.
    """

    def __init__(self, sources: Mapping[str, Source], weights: Mapping[str, float]) -> None:
        self._sources = list(sources.values())
        relative = np.array([weights[name] for name in (*sources, SELF)])
        self._weights = relative / relative.sum()
        self._bounds = self._weights.cumsum()
        self._bounds /= self._bounds[-1]

    def draw(
        self,
        items: Indices,  # (n,)
        rng: np.random.Generator,
    ) -> tuple[Indices, Indices, Indices]:  # kinds, items, partners, each (n,)
        """A pair for each item. One that cannot be of the kind drawn gets a stand-in that can."""
        # As rng.choice does it, without its checks, which cost more than all the rest at batch 64.
        kinds = self._bounds.searchsorted(rng.random(len(items)), side="right")
        items = items.copy()
        partners = items.copy()
        for kind, source in enumerate(self._sources):
            rows = np.flatnonzero(kinds == kind)
            chosen = items[rows]
            lone = np.flatnonzero(~source.has_partner(chosen))
            if len(lone):
                chosen[lone] = source.stand_ins(len(lone), rng)
            items[rows] = chosen
            partners[rows] = source.partners(chosen, rng)
        return kinds, items, partners

    def freeze(
        self, n: int, rng: np.random.Generator
    ) -> tuple[Indices, Indices]:  # kinds, partners, each (n,)
        """One pair for each of n items, of a kind that it can take part in."""
        items = np.arange(n)
        can = [source.has_partner(items) for source in self._sources]
        weights = self._weights * np.stack([*can, np.ones(n, dtype=bool)], axis=1)
        bounds = weights.cumsum(1)
        kinds = (rng.random((n, 1)) * bounds[:, -1:] >= bounds).sum(1)
        kinds = np.minimum(kinds, len(self._sources))  # without any other pair: with itself
        partners = items.copy()
        for kind, source in enumerate(self._sources):
            rows = np.flatnonzero(kinds == kind)
            partners[rows] = source.partners(rows, rng)
        return kinds, partners
