"""PairedDataset: images with targets that share a labelled factor, fetched in whole batches."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import torch
from pythae.data.datasets import DatasetOutput
from torch import Tensor
from torch.utils.data import Dataset

from pythae_gated.datasets import arguments
from pythae_gated.datasets.batch import Batch, Row, augment
from pythae_gated.datasets.frames import check_index, to_positions
from pythae_gated.datasets.images import BETA_RULE, mean_and_beta, open_images
from pythae_gated.datasets.partners import Candidates, Indices, draw_pairs
from pythae_gated.errors import PairingError
from pythae_gated.partitions import SELF, Partitions


class PairedDataset(Dataset[DatasetOutput]):
    """Pairs of images for a gated model, from labels that may be incomplete.

    Item i is a `DatasetOutput` of `data` and `target` (*input_dim; float32), `gate` (K,) of bool,
    `partitions` and, if given, `labels`. The kind of pair is drawn first, by weight:

    - A *shared pair* of a partition: two images with the same label for this partition, whose
      gate is open and all others closed. If item i has no partner, a random item that has one
      replaces it, from the whole dataset: to hold data out, use `split`.
    - A *self pair*: the image is its own target; the rest is open, or all if there is no rest.

    In a DataLoader, each batch is read at once. Since rows follow the kinds, not the items, fit
    Pythae's samplers to the images themselves.

    Args:
        data: Images (N, *input_dim) of any kind that `open_images` takes: an array, tensor,
            memmap, list or map-style dataset, for example. uint8 becomes float32 in [0, 1].
        partitions: `model.partitions`; or name -> size, in which case partitions without labels
            are the rest (a warning shows the `rest=[...]` that the model's config must have).
        factors: Partition -> labels, (N,) or (N, F) for several columns that must all be equal:
            numbers or strings, in a list, array, tensor, Series or data frame. Missing values
            (NaN, None, NaT, `pandas.NA`, masked) are unknown.
        pairs: Partition -> (M, 2) indices of items known to share its factor, without labels.
        tolerance: Partition -> the largest distance between the labels of two partners, which
            then are numbers; Euclidean for several columns. Each partner is equally likely.
            Give angles as two columns, cosine and sine, and 2 sin(d / 2) for a difference of d
            radians (`np.deg2rad`).
        weights: Partition or `"self"` -> relative frequency. Default: 1 each; of self pairs, if
            there is a rest, the number of the other kinds, that is, half of the pairs. Raise it
            with the weights of others.
        balanced: Whether each label of a partition is equally frequent in its pairs, instead of
            each labelled item: better if some labels are rare. Does not apply to `pairs`, labels
            with a tolerance and datasets with a seed.
        labels: Numbers (N, ...) to pass on with the data.
        unknown: A label that means unknown too, such as -1, or a list of them, for all factors;
            or a mapping from partition to either. A value that never occurs, or occurs in several
            factors without a mapping, gives a warning, as do labels that look unknown ("nan").
        image_key: The key or position of the image in an item of a dataset, if it is another.
        transform: A function of fetched images (n, *input_dim), for augmentation: called once for
            the data of a batch and once for its targets. With a seed it is called for each image,
            with torch's generator seeded.
        seed: None: new pairs at each access, from torch's global generator. An int, for
            evaluation: item i is always the same pair, of image i (as the data returns it).

    Attributes:
        images: The `ImageReader` of the images.

    Raises:
        PairingError: If labels, weights or data do not fit.

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
        data: Any,
        partitions: Partitions | Mapping[str, int],
        factors: Mapping[str, Any] | None = None,
        *,
        pairs: Mapping[str, Any] | None = None,
        tolerance: Mapping[str, float] | None = None,
        weights: Mapping[str, float] | None = None,
        balanced: bool = False,
        labels: Any = None,
        unknown: Any = None,
        image_key: Any = None,
        transform: Callable[[Tensor], Tensor] | None = None,
        seed: int | None = None,
    ) -> None:
        factors = arguments.as_mapping(factors, "factors")
        pairs = arguments.as_mapping(pairs, "pairs")
        supervised = (*factors, *pairs)
        self.transform = transform
        self.partitions = arguments.check_partitions(partitions, supervised)
        weights = arguments.as_mapping(weights, "weights")
        self.weights = arguments.check_weights(weights, supervised, bool(self.partitions.rest))
        tolerance = arguments.as_mapping(tolerance, "tolerance")
        try:
            self.images = open_images(data, image_key)
            check_index(self.images, {**factors, "labels=": labels})
            candidates = arguments.make_candidates(
                len(self), factors, pairs, tolerance, unknown, balanced
            )
            self.labels = None if labels is None else _as_tensor(labels)
        except (TypeError, ValueError) as error:
            raise PairingError(str(error)) from error
        if self.labels is not None and self.labels.shape[:1] != (len(self),):
            raise PairingError(f"labels of shape {self.labels.shape} for {len(self)} images")
        self._setup(candidates, seed)

    def _setup(self, candidates: dict[str, Candidates], seed: int | None) -> None:
        """Set what differs between the whole dataset and a split."""
        if seed is not None and not (isinstance(seed, Integral) and seed >= 0):
            raise PairingError(f"seed is {seed!r}: expected None, or an int of at least 0")
        arguments.check_candidates(candidates)
        self._candidates, self.seed = candidates, seed
        weights = np.array([*self.weights.values()])
        self._draw = partial(draw_pairs, list(candidates.values()), weights)
        self._frozen = None
        if seed is not None:
            rng = np.random.default_rng(int(seed))
            self._frozen = self._draw(np.arange(len(self)), rng, replace=False)
            if self.transform is not None:
                self._check_reproducible()
        names = self.partitions.names
        open_by_kind = [*([name] for name in candidates), self.partitions.rest or names]
        self._gates = np.array([[name in opened for name in names] for opened in open_by_kind])

    def split(self, indices: Any, *, seed: int | None = None) -> "PairedDataset":
        """Hold data out: a dataset of these items only, whose partners are among them too.

        torch's `random_split`, `Subset` and samplers do not hold data out: they choose the items
        asked for, and other items are used as targets and in place of items without a partner.

        Args:
            indices: Distinct indices, or a mask (N,) of bool. If the data is a data frame, also
                the index of some of its rows.
            seed: As for the dataset; an int for evaluation.

        Raises:
            PairingError: If the indices are empty, out of range or repeated, or if a partition
                has no pairs among them.
        """
        try:
            rows = to_positions(self.images.index, indices)
            chosen = np.arange(len(self))[np.asarray(rows)]
        except IndexError as error:
            raise PairingError(
                f"a split needs one index or more, or a mask ({len(self)},): {error}"
            ) from error
        if chosen.ndim != 1 or len(np.unique(chosen)) != max(chosen.size, 1):
            raise PairingError(f"a split needs one index or more, all distinct: {indices!r:.60}")
        part = object.__new__(type(self))
        labels = None if self.labels is None else self.labels[chosen]
        vars(part).update(vars(self), images=self.images.subset(chosen), labels=labels)
        part._setup({name: c.subset(chosen) for name, c in self._candidates.items()}, seed)
        return part

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> DatasetOutput:
        """One pair."""
        if isinstance(index, slice):
            raise TypeError(f"{index} of a dataset: expected an int, or use split(range(...))")
        position = range(len(self))[index]  # raises IndexError, and counts from the end
        return self._read([position])[0]

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Row]:
        """A whole batch of pairs, read at once unless a subclass defines `__getitem__`."""
        if type(self).__getitem__ is not PairedDataset.__getitem__:
            return [self[index] for index in indices]
        return self._read(indices)

    def _read(self, indices: Sequence[int]) -> Batch:
        items = np.asarray(indices, dtype=np.int64)
        if self._frozen is None:
            # Pythae's trainers seed every rank alike: without the rank all draw the same kinds.
            rng = np.random.default_rng(int(torch.randint(2**63 - 1, ())) + self._rank())
            kinds, items, partners = self._draw(items, rng, replace=True)
        else:
            kinds, items, partners = (column[items] for column in self._frozen)
        try:
            images = self.images.read(np.concatenate([items, partners]))
        except ValueError as error:
            raise PairingError(str(error)) from error
        data = self._augment(images[: len(items)], items, 0)
        target = self._augment(images[len(items) :], items, 1)
        batch = {"data": data, "target": target, "gate": torch.from_numpy(self._gates[kinds])}
        if self.labels is not None:
            batch["labels"] = self.labels[items]
        return Batch({**batch, "partitions": self.partitions})

    def _augment(self, images: Tensor, items: Indices, side: int) -> Tensor:
        if self.transform is None:
            return images
        seeds = [hash((self.seed, side, item)) for item in items.tolist()]
        return augment(images, self.transform, None if self.seed is None else seeds)

    def _check_reproducible(self) -> None:
        items = np.arange(min(len(self), 16))
        first, second = (self._augment(self.images.read(items), items, 0) for _ in range(2))
        if not first.equal(second):
            raise PairingError(
                "with a seed, item i is always the same pair, but transform changes from call to "
                "call: let it use torch's global generator, or leave out the seed or transform"
            )

    def summary(self) -> str:
        """A table of the supervision, one row per kind of pair, and notes.

        Its columns are the numbers of labelled images, of distinct labels and of labelled images
        without a partner, and the share of pairs. Notes: the rest, beta, doubtful labels.
        """
        counts = [*self.weights.values()]
        if self._frozen is not None:
            counts = np.bincount(self._frozen[0], minlength=len(counts)).tolist()
        shares = [f"{count / sum(counts):.2f}" for count in counts]
        width = max(map(len, ("pairs", *self._candidates)))
        row = f"{{:{width}}}{{:>11}}{{:>10}}{{:>10}}{{:>8}}".format
        lines = [row("pairs", "labelled", "groups", "alone", "share")]
        for (name, found), share in zip(self._candidates.items(), shares, strict=False):
            groups = "-" if found.n_groups is None else f"{found.n_groups:,}"
            lines.append(row(name, f"{found.n_labelled:,}", groups, f"{found.n_alone:,}", share))
        lines.append(row(SELF, f"{len(self):,}", "-", "-", shares[-1]))
        rest = ", ".join(self.partitions.rest) or "none; self pairs open all partitions"
        _, beta = mean_and_beta(self)
        error = f"half squared error of the mean {beta / BETA_RULE:.4g}: start with {beta=:.2g}"
        notes = [found.note for found in self._candidates.values() if found.note]
        return "\n".join([*lines, f"rest: {rest}", error, *notes])

    def __repr__(self) -> str:
        labelled = {name: found.n_labelled for name, found in self._candidates.items()}
        rest = list(self.partitions.rest)
        return f"PairedDataset({len(self):,} images, {labelled=}, {rest=})"

    def _rank(self) -> int:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        return torch.distributed.get_rank() if distributed else getattr(self, "_origin", 0)

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker process is not part of the process group of its trainer.
        return {**vars(self), "_origin": self._rank()}


def _as_tensor(labels: Any) -> Tensor:
    try:
        return torch.as_tensor(labels.to_numpy(copy=True) if hasattr(labels, "iloc") else labels)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"labels= cannot be made a tensor ({error}): it passes numbers on to the model; the "
            "labels that make pairs are factors"
        ) from error
