"""PairedDataset: images with targets that share a labelled factor, fetched in whole batches."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pythae.data.datasets import DatasetOutput
from torch import Tensor
from torch.utils.data import Dataset

from pythae_gated.datasets.batches import Batch
from pythae_gated.datasets.checks import (
    check_indices,
    check_length,
    check_partitions,
    check_sources,
    check_weights,
    make_sources,
)
from pythae_gated.datasets.images import Data, MemmapFile, check_data, gather
from pythae_gated.datasets.pairing import Pairing
from pythae_gated.datasets.partners import Indices, Source
from pythae_gated.partitions import SELF, Partitions


class PairedDataset(Dataset[DatasetOutput]):
    """Pairs of images for a gated model, from labels that may be partial.

    Item i is a `DatasetOutput` of `data` and `target` (*input_dim; float32), `gate` (K,) of bool
    and, where given, `labels`. The kind of pair is drawn first, by weight:

    - A *shared pair* of a partition: two images that agree in this partition's label; its gate
      alone is open. Where item i has no partner, a random item that has one stands in for it.
    - A *self pair*: the image is its own target; open is the rest, or all where there is no rest.

    Fetched batch by batch, as torch's DataLoader and so Pythae's trainers do, a batch is one
    gather. Rows follow the kinds, not the items: fit samplers on the images themselves.

    Args:
        data: Images (N, *input_dim), an array, tensor or memmap, never copied as a whole; or a
            map-style dataset that gives an image, (image, ...) or {"data": image} for an index.
            uint8 becomes float32 in [0, 1], and other floats float32.
        partitions: `model.partitions`, or name -> size, where those without labels are the rest
            (a warning names the `rest=[...]` that the model's config must carry).
        factors: Partition -> labels, (N,) or (N, F) for several columns that must all agree: ints,
            texts, or floats that agree exactly. NaN and None are unknown.
        pairs: Partition -> (M, 2) indices of items known to share it, where there are no labels.
            An item's partners are its neighbours in this list.
        tolerance: Partition -> how far apart two of its labels may be, which then are numbers;
            Euclidean for several columns. Each partner within it is equally likely.
        weights: Partition or `"self"` -> relative frequency. Default: 1 each.
        labels: Anything numeric (N, ...) to pass on with the data, for callbacks, say.
        unknown: A label, such as -1, that means unknown too.
        transform: A function of fetched images (n, *input_dim), for augmentation: called once for
            the data of a batch and once for its targets.
        seed: None: pairs are drawn anew at each access, from torch's global generator. An int:
            item i is always the same pair, and its data is image i, for evaluation.

    Raises:
        PairingError: Where labels, weights or data do not fit, naming the value and the mend.

    Example:
        >>> images = np.random.default_rng(0).random((6, 1, 8, 8))
        >>> dataset = PairedDataset(
        ...     images,
        ...     Partitions({"pose": 2, "identity": 4}, rest=["identity"]),
        ...     {"pose": ["left", "left", "up", "up", "up", None]},
        ...     weights={"self": 0},
        ... )
        >>> dataset[0].gate, dataset[0].target.equal(dataset[1].data)
        (tensor([ True, False]), True)
    """

    def __init__(
        self,
        data: Data,
        partitions: Partitions | Mapping[str, int],
        factors: Mapping[str, Any] | None = None,
        *,
        pairs: Mapping[str, Any] | None = None,
        tolerance: Mapping[str, float] | None = None,
        weights: Mapping[str, float] | None = None,
        labels: Any = None,
        unknown: Any = None,
        transform: Callable[[Tensor], Tensor] | None = None,
        seed: int | None = None,
    ) -> None:
        check_data(data)
        factors, pairs = factors or {}, pairs or {}
        spoken_of = (*factors, *pairs)
        self.data = data
        self.transform = transform
        self.partitions = check_partitions(partitions, spoken_of)
        self.weights = check_weights(weights, spoken_of)
        self.labels = None if labels is None else torch.as_tensor(labels)
        if self.labels is not None:
            check_length(self.labels, len(data), "labels")
        sources = make_sources(len(data), factors, pairs, tolerance or {}, unknown)
        self._setup(sources, np.arange(len(data)), seed)

    def _setup(self, sources: dict[str, Source], items: Indices, seed: int | None) -> None:
        """What differs between the whole and its splits: who pairs, with whom, and how."""
        check_sources(sources)
        self._sources = sources
        self._items = items  # position in this dataset -> index of the image
        self.seed = seed
        self._pairing = Pairing(sources, self.weights)
        self._frozen = None
        if seed is not None:
            self._frozen = self._pairing.freeze(len(items), np.random.default_rng(seed))
        opens = [[name == source for name in self.partitions.names] for source in sources]
        rest = self.partitions.rest or self.partitions.names
        opens.append([name in rest for name in self.partitions.names])
        self._gates = np.array(opens)  # (kinds, K)

    def split(self, indices: Any, *, seed: int | None = None) -> "PairedDataset":
        """These items alone, whose partners are among them too: to hold data out.

        torch's `random_split` would let held-out images in as targets.

        Args:
            indices: Which items: distinct indices, or a mask (N,) of bool.
            seed: As for the dataset; an int for evaluation.

        Raises:
            PairingError: Where there is no item, an index is out of range or named twice, or the
                items of a partition have no partners left.
        """
        chosen = check_indices(indices, len(self))
        part = object.__new__(type(self))
        vars(part).update(vars(self))
        sources = {name: source.take(chosen) for name, source in self._sources.items()}
        part._setup(sources, self._items[chosen], seed)
        return part

    def __len__(self) -> int:
        """The number of images."""
        return len(self._items)

    def __getitem__(self, index: int) -> DatasetOutput:
        """One pair."""
        position = range(len(self))[index]  # raises IndexError, and counts from the end
        return self.__getitems__([position])[0]

    def __getitems__(self, indices: Sequence[int]) -> "Batch":
        """A whole batch of pairs in one gather: a sequence that makes its rows on demand."""
        items = np.asarray(indices)
        if self._frozen is None:
            kinds, items, partners = self._pairing.draw(items, _generator(self._rank()))
        else:
            kinds, partners = (column[items] for column in self._frozen)
        images = gather(self.data, self._items[np.concatenate([items, partners])])
        data, target = images[: len(items)], images[len(items) :]
        if self.transform is not None:
            data, target = self.transform(data), self.transform(target)
        batch = {"data": data, "target": target}
        batch["gate"] = torch.from_numpy(self._gates[kinds])
        if self.labels is not None:
            batch["labels"] = self.labels[self._items[items]]
        return Batch(batch)

    def summary(self) -> str:
        """What there is to learn from, as a table with a row a kind of pair.

        How many images are labelled, in how many groups, how many of them have no partner, and
        the share of pairs that will be of this kind.
        """
        total = sum(self.weights.values())
        rows = [("pairs", "labelled", "groups", "alone", "share")]
        for name, source in self._sources.items():
            groups = "-" if source.n_groups is None else f"{source.n_groups:,}"
            counts = f"{source.n_labelled:,}", groups, f"{source.n_alone:,}"
            rows.append((name, *counts, f"{self.weights[name] / total:.2f}"))
        rows.append((SELF, f"{len(self):,}", "-", "-", f"{self.weights[SELF] / total:.2f}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        rest = ", ".join(self.partitions.rest) or "none; self pairs open all partitions"
        return "\n".join([*lines, f"rest: {rest}"])

    def _rank(self) -> int:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        return torch.distributed.get_rank() if distributed else getattr(self, "_origin", 0)

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker process is not part of the process group that its trainer is in.
        state = {**vars(self), "_origin": self._rank()}
        if MemmapFile.describes(self.data):
            state["data"] = MemmapFile(self.data)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if isinstance(self.data, MemmapFile):
            self.data = self.data.open()


def _generator(rank: int) -> np.random.Generator:
    """A generator for one batch, seeded from torch's global one and the distributed rank.

    Pythae's trainers seed every rank alike: without the rank all would draw the same kinds.
    """
    return np.random.default_rng((int(torch.randint(2**63 - 1, ())), rank))
