"""PairedDataset: images with targets that share a labelled factor, fetched in whole batches."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pythae.data.datasets import DatasetOutput
from torch import Tensor
from torch.utils.data import Dataset

from pythae_gated.datasets.batches import Batch
from pythae_gated.encoding import Images, as_images
from pythae_gated.errors import PairingError
from pythae_gated.pairing import Groups, Indices, Pairing, encode_labels
from pythae_gated.partitions import SELF, Partitions

_CHECKED_AT_ONCE = 1024  # images


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
        data: Images (N, *input_dim), an array, tensor or memmap, never copied as a whole.
            uint8 becomes float32 in [0, 1], and other floats float32.
        partitions: `model.partitions`, or name -> size, where those without labels are the rest
            (a warning names the `rest=[...]` that the model's config must carry).
        factors: Partition -> labels, (N,) or (N, F) for several columns that must all agree: ints,
            texts, or floats that agree exactly. NaN and None are unknown.
        weights: Partition or `"self"` -> relative frequency. Default: 1 each.
        labels: Anything numeric (N, ...) to pass on with the data, for callbacks, say.
        unknown: A label, such as -1, that means unknown too.
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
        data: Images,
        partitions: Partitions | Mapping[str, int],
        factors: Mapping[str, Any] | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        labels: Any = None,
        unknown: Any = None,
        seed: int | None = None,
    ) -> None:
        self.data = _check_images(data)
        factors = {} if factors is None else factors
        self.partitions = _check_partitions(partitions, factors)
        codes = {name: encode_labels(factors[name], name, unknown) for name in factors}
        for name, numbers in codes.items():
            _check_length(numbers, len(data), f"labels of {name!r}")
        self.labels = None if labels is None else torch.as_tensor(labels)
        if self.labels is not None:
            _check_length(self.labels, len(data), "labels")
        self.weights = _check_weights(weights, factors)
        sources = {name: Groups(numbers) for name, numbers in codes.items()}
        for name, groups in sources.items():
            _check_agreement(groups, name, factors[name])
        self._setup(sources, np.arange(len(data)), seed)

    def _setup(self, sources: dict[str, Groups], items: Indices, seed: int | None) -> None:
        """What differs between the whole and its splits: who pairs, with whom, and how."""
        for name, groups in sources.items():
            _check_groups(groups, name)
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
        chosen = _check_indices(indices, len(self))
        part = object.__new__(type(self))
        vars(part).update(vars(self))
        sources = {name: Groups(groups.codes[chosen]) for name, groups in self._sources.items()}
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
        images = _gather(self.data, self._items[np.concatenate([items, partners])])
        batch = {"data": images[: len(items)], "target": images[len(items) :]}
        batch["gate"] = torch.from_numpy(self._gates[kinds])
        if self.labels is not None:
            batch["labels"] = self.labels[self._items[items]]
        return Batch(batch)

    def _rank(self) -> int:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        return torch.distributed.get_rank() if distributed else getattr(self, "_origin", 0)

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker process is not part of the process group that its trainer is in.
        return {**vars(self), "_origin": self._rank()}


def _generator(rank: int) -> np.random.Generator:
    """A generator for one batch, seeded from torch's global one and the distributed rank.

    Pythae's trainers seed every rank alike: without the rank all would draw the same kinds.
    """
    return np.random.default_rng((int(torch.randint(2**63 - 1, ())), rank))


def _gather(data: Images, indices: Indices) -> Tensor:
    if isinstance(data, Tensor) and (data.is_cuda or data.dtype == torch.bfloat16):
        return as_images(data[torch.from_numpy(indices).to(data.device)])
    # numpy's take is as fast as torch's on an idle machine, and does not wait for busy cores.
    images = as_images(np.asarray(data).take(indices, axis=0))
    if isinstance(data, np.memmap):
        _refuse_nan(images, indices)
    return images


def _refuse_nan(images: Tensor, indices: Indices) -> None:
    bad = torch.isnan(images).flatten(1).any(1)
    if bad.any():
        raise PairingError(f"image {indices[bad.numpy()][0]} holds NaN; mend it or leave it out")


def _check_images(data: Images) -> Images:
    if not isinstance(data, (Tensor, np.ndarray)):
        raise PairingError(
            f"data is a {type(data).__name__}: expected an array, tensor or memmap of images"
        )
    if data.ndim < 2 or len(data) == 0:
        raise PairingError(f"data of shape {tuple(data.shape)}: expected (N, *input_dim), N > 0")
    try:
        as_images(data[:0])
    except ValueError as error:
        raise PairingError(str(error)) from None
    is_float = data.is_floating_point() if isinstance(data, Tensor) else data.dtype.kind == "f"
    if is_float and not isinstance(data, np.memmap):
        for start in range(0, len(data), _CHECKED_AT_ONCE):
            images = as_images(data[start : start + _CHECKED_AT_ONCE]).cpu()
            _refuse_nan(images, np.arange(start, start + len(images)))
    return data


def _check_partitions(
    partitions: Partitions | Mapping[str, int], factors: Mapping[str, Any]
) -> Partitions:
    declared = isinstance(partitions, Partitions)
    partitions = partitions if isinstance(partitions, Partitions) else Partitions(partitions)
    for name in factors:
        if name not in partitions.names:
            raise PairingError(
                f"factors speak of {name!r}, which is no partition; there are "
                f"{', '.join(partitions.names)}"
            )
    rest = [name for name in partitions.names if name not in factors]
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


def _check_weights(
    weights: Mapping[str, float] | None, factors: Mapping[str, Any]
) -> dict[str, float]:
    kinds = dict.fromkeys((*factors, SELF), 1.0)
    for name, weight in (weights or {}).items():
        if name not in kinds:
            raise PairingError(
                f"weights speak of {name!r}; expected {', '.join(kinds)} (partitions with labels, "
                f"and {SELF!r})"
            )
        if not 0 <= weight < float("inf"):
            raise PairingError(f"the weight of {name!r} is {weight}: expected 0 or more")
        kinds[name] = float(weight)
    if sum(kinds.values()) == 0:
        raise PairingError(f"all weights are 0: {kinds}; give at least one kind of pair more")
    return kinds


def _check_length(values: Any, n: int, what: str) -> None:
    if len(values) != n:
        raise PairingError(f"{len(values)} {what} for {n} images: expected as many")


def _check_agreement(groups: Groups, name: str, labels: Any) -> None:
    dtype = labels.dtype if isinstance(labels, Tensor) else np.asarray(labels).dtype
    is_float = "float" in str(dtype)
    if is_float and groups.n_alone > groups.n_labelled / 2:
        raise PairingError(
            f"{groups.n_alone} of {groups.n_labelled} labels of {name!r} agree with no other: "
            "floats pair where they agree exactly; round them, to whole degrees, say"
        )


def _check_groups(groups: Groups, name: str) -> None:
    if len(groups) == 0:
        raise PairingError(
            f"no two of the {groups.n_labelled} items labelled in {name!r} share a label; "
            f"leave its factor out, and name {name!r} in the rest"
        )
    if groups.n_alone:
        warnings.warn(
            f"{groups.n_alone} of the {groups.n_labelled} items labelled in {name!r} share their "
            "label with no other, so take no part in its pairs",
            stacklevel=4,
        )


def _check_indices(indices: Any, n: int) -> Indices:
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
