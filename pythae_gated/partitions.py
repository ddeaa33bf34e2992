"""Partitions: named, contiguous slices of the latent space."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from pythae_gated.errors import GateError, PartitionError

SELF = "self"  # the kind of pair whose target is the image itself; not a partition name


@dataclass(frozen=True, init=False, repr=False)
class Partitions:
    """The latent space of L dimensions, divided into K named, contiguous partitions.

    Immutable and hashable. Two are equal if names, sizes, order and rest are.

    Args:
        sizes: Partition -> number of latent dimensions, in order.
        rest: Names of the unlabelled partitions, which self pairs train.

    Attributes:
        names: The K names, in order.
        rest: The unlabelled partitions, in the order of `names`.

    Raises:
        PartitionError: If there is no partition, a size is not an int of at least 1, a name is
            not a non-empty string or is `"self"`, or `rest` names an unknown partition.

    Example:
        >>> partitions = Partitions({"pose": 2, "identity": 3}, rest=["identity"])
        >>> partitions.latent_dim, partitions.slices["identity"]
        (5, slice(2, 5, None))
        >>> partitions.expand(torch.tensor([[True, False]]))
        tensor([[ True,  True, False, False, False]])
    """

    names: tuple[str, ...]
    _sizes: tuple[int, ...]
    rest: tuple[str, ...]

    def __init__(self, sizes: Mapping[str, int], rest: Iterable[str] = ()) -> None:
        if isinstance(rest, str):
            raise PartitionError(f"rest is a list of names; write rest=[{rest!r}]")
        rest = tuple(rest)
        _check_sizes(sizes)
        for name in rest:
            if name not in sizes:
                raise PartitionError(f"rest: {_unknown(name, sizes)}")
        ordered = tuple(name for name in sizes if name in rest)
        vars(self).update(names=tuple(sizes), _sizes=tuple(map(int, sizes.values())), rest=ordered)

    def __repr__(self) -> str:
        rest = f", rest={list(self.rest)}" if self.rest else ""
        return f"Partitions({self.sizes}{rest})"

    def __iter__(self) -> Iterator[str]:
        """The names, in order, so that `in` and comprehensions work."""
        return iter(self.names)

    @property
    def sizes(self) -> dict[str, int]:
        """Partition -> number of latent dimensions."""
        return dict(zip(self.names, self._sizes, strict=True))

    @property
    def labelled(self) -> tuple[str, ...]:
        """The partitions outside the rest, in order."""
        return tuple(name for name in self.names if name not in self.rest)

    @property
    def latent_dim(self) -> int:
        """L, the total number of latent dimensions."""
        return sum(self._sizes)

    @property
    def slices(self) -> dict[str, slice]:
        """Partition -> slice of the latent dimensions."""
        ends = zip(self.names, self._sizes, accumulate(self._sizes), strict=True)
        return {name: slice(end - size, end) for name, size, end in ends}

    def check_latent_dim(self, latent_dim: int, owner: str) -> None:
        """Refuse another latent dimension than the sum of the sizes.

        Args:
            latent_dim: The number of dimensions to compare with.
            owner: What has them, for the error message: "the model has".

        Raises:
            PartitionError: If it is not L.
        """
        if latent_dim != self.latent_dim:
            raise PartitionError(
                f"the partitions {self.sizes} sum to {self.latent_dim}; {owner} {latent_dim} "
                "latent dimensions"
            )

    def to(self, *args: Any, **kwargs: Any) -> "Partitions":
        """Itself: partitions have no device. For loops that move each value of a batch."""
        return self

    def expand(self, gate: Tensor) -> Tensor:  # (B, K) -> (B, L)
        """Repeat the value of each partition for each of its latent dimensions.

        No index tensor is made, so host and device are not synchronised.

        Raises:
            GateError: If the gate does not have one column per partition.
        """
        if gate.ndim != 2 or gate.shape[1] != len(self.names):
            raise GateError(
                f"gate of shape {tuple(gate.shape)}: expected (B, {len(self.names)}), one column "
                f"for each of the partitions {', '.join(self.names)}"
            )
        sizes = enumerate(self._sizes)
        return torch.cat([gate[:, k : k + 1].expand(-1, size) for k, size in sizes], dim=1)

    def zero_rest(self, z: Tensor) -> Tensor:  # (..., L) -> (..., L)
        """The codes with zero, the prior's mean, in the rest; `z` itself if there is no rest.

        Example:
            >>> Partitions({"pose": 1, "identity": 2}, ["identity"]).zero_rest(torch.ones(1, 3))
            tensor([[1., 0., 0.]])
        """
        return self.exchange(z, torch.zeros_like(z), self.rest) if self.rest else z

    def split(self, z: Tensor) -> dict[str, Tensor]:  # (..., L) -> name -> (..., L_k)
        """The codes of each partition, as views.

        Raises:
            PartitionError: If the last dimension of the codes is not L.
        """
        if z.shape[-1] != self.latent_dim:
            raise PartitionError(
                f"codes of shape {tuple(z.shape)}: expected {self.latent_dim} in the last "
                f"dimension, the sum of the sizes {self.sizes}"
            )
        return dict(zip(self.names, torch.split(z, list(self._sizes), dim=-1), strict=True))

    def exchange(
        self,
        z: Tensor,  # (..., L)
        others: Tensor,  # broadcastable to z
        names: "str | Iterable[str]",
    ) -> Tensor:  # (..., L)
        """A copy of `z` with the codes of `others` in one or several partitions.

        Raises:
            PartitionError: If no partition is named, or an unknown one, or the last dimension of
                the codes is not L.

        Example:
            >>> partitions = Partitions({"pose": 1, "identity": 2})
            >>> partitions.exchange(torch.zeros(1, 3), torch.ones(1, 3), "pose")
            tensor([[1., 0., 0.]])
        """
        chosen, kept, given = self.resolve(names), self.split(z), self.split(others.expand_as(z))
        return torch.cat([(given if n in chosen else kept)[n] for n in self.names], dim=-1)

    def resolve(self, names: "str | Iterable[str]") -> tuple[str, ...]:
        """Check the names of one or several partitions, and drop repetitions.

        Raises:
            PartitionError: If no partition is named, or an unknown one.
        """
        chosen = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
        if not chosen:
            raise PartitionError(f"name at least one of the partitions {', '.join(self.names)}")
        for name in chosen:
            if name not in self.names:
                raise PartitionError(_unknown(name, self.names))
        return chosen


def _unknown(name: object, names: Iterable[str]) -> str:
    return f"no partition is named {name!r}; the partitions are {', '.join(names)}"


def _check_sizes(sizes: Mapping[str, int]) -> None:
    if not isinstance(sizes, Mapping) or not sizes:
        raise PartitionError(
            "partitions must be a mapping from name to size, such as "
            f"{{'pose': 4, 'identity': 6}}; got {sizes!r}"
        )
    for name, size in sizes.items():
        if not isinstance(name, str) or not name:
            raise PartitionError(f"partition names must be non-empty strings; got {name!r}")
        if name == SELF:
            raise PartitionError(
                f"a partition cannot be named {SELF!r}, the name of the pairs of an image with "
                "itself; choose another name"
            )
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise PartitionError(
                f"the size of partition {name!r} must be an int of at least 1; got {size!r}"
            )
