"""The named, contiguous parts that the latent space is cut into."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral

import torch
from torch import Tensor

from pythae_gated.errors import GateError, PartitionError

SELF = "self"  # the kind of pair whose target is the image itself, so no partition's name


@dataclass(frozen=True, init=False, repr=False)
class Partitions:
    """The latent space of L dimensions, cut into K named, contiguous partitions.

    Immutable, hashable, and equal to another with the same names, sizes, order and rest.

    Args:
        sizes: Name of each partition -> its number of latent dimensions, in order.
        rest: Names of the partitions that no factor speaks of. Self pairs train these.

    Attributes:
        names: The K names, in order.
        rest: The names in the rest, in the order of `names`.

    Raises:
        PartitionError: Where there is no partition, a size is not an int of at least 1, a name
            is not a text, is empty or is `"self"`, or the rest names no partition.

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
        _check_sizes(sizes)
        _check_rest(rest, sizes)
        rest = set(rest)
        object.__setattr__(self, "names", tuple(sizes))
        object.__setattr__(self, "_sizes", tuple(int(size) for size in sizes.values()))
        object.__setattr__(self, "rest", tuple(name for name in sizes if name in rest))

    def __repr__(self) -> str:
        rest = f", rest={list(self.rest)}" if self.rest else ""
        return f"Partitions({self.sizes}{rest})"

    @property
    def sizes(self) -> dict[str, int]:
        """Name of each partition -> its number of latent dimensions."""
        return dict(zip(self.names, self._sizes, strict=True))

    @property
    def latent_dim(self) -> int:
        """L, the number of latent dimensions of all partitions together."""
        return sum(self._sizes)

    @property
    def slices(self) -> dict[str, slice]:
        """Name of each partition -> where it lies among the latent dimensions."""
        slices, start = {}, 0
        for name, size in self.sizes.items():
            slices[name] = slice(start, start + size)
            start += size
        return slices

    def expand(
        self,
        gate: Tensor,  # (B, K)
    ) -> Tensor:  # (B, L)
        """Spread one value a partition over the latent dimensions of that partition.

        Raises:
            GateError: Where the gate has not one column a partition.
        """
        if gate.ndim != 2 or gate.shape[1] != len(self.names):
            raise GateError(
                f"a gate of shape {tuple(gate.shape)}: expected (B, {len(self.names)}), a column "
                f"for each of the partitions {', '.join(self.names)}"
            )
        return gate.index_select(1, _owners(self._sizes, gate.device))

    def zero_rest(
        self,
        z: Tensor,  # (B, L)
    ) -> Tensor:  # (B, L)
        """The codes with zero, the prior's mean, in the rest; `z` itself where there is no rest.

        Example:
            >>> Partitions({"pose": 1, "identity": 2}, ["identity"]).zero_rest(torch.ones(1, 3))
            tensor([[1., 0., 0.]])
        """
        if not self.rest:
            return z
        at = tuple(k for k, name in enumerate(self.names) if name in self.rest)
        return z.masked_fill(_owned_by(at, self._sizes, z.device), 0.0)

    def split(
        self,
        z: Tensor,  # (B, L)
    ) -> dict[str, Tensor]:  # name -> (B, L_k)
        """Cut codes into those of each partition (views, not copies).

        Raises:
            PartitionError: Where the codes' last dimension is not L.
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
        """The codes `z` (not changed), with those of `others` in one partition or several.

        Raises:
            PartitionError: Where there is no name, or one that is none of the partitions'.

        Example:
            >>> partitions = Partitions({"pose": 1, "identity": 2})
            >>> partitions.exchange(torch.zeros(1, 3), torch.ones(1, 3), "pose")
            tensor([[1., 0., 0.]])
        """
        exchanged = z.clone()
        for name in self.resolve(names):
            where = self.slices[name]
            exchanged[..., where] = others[..., where]
        return exchanged

    def resolve(self, names: "str | Iterable[str]") -> tuple[str, ...]:
        """The names of one partition or several, each checked, without repetition.

        Raises:
            PartitionError: Where there is no name, or one that is none of the partitions'.
        """
        chosen = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
        if not chosen:
            raise PartitionError(f"name at least one of the partitions {', '.join(self.names)}")
        for name in chosen:
            if name not in self.names:
                raise PartitionError(
                    f"no partition is called {name!r}; there are {', '.join(self.names)}"
                )
        return chosen


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def _owners(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """The partition of each latent dimension, (L,); moved to a device once, not in each step."""
    owners = [k for k, size in enumerate(sizes) for _ in range(size)]
    return torch.tensor(owners, device=device)


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def _owned_by(at: tuple[int, ...], sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Which latent dimensions belong to the partitions at these places, (L,) of bool."""
    return torch.isin(_owners(sizes, device), torch.tensor(at, device=device))


def _check_sizes(sizes: Mapping[str, int]) -> None:
    if not isinstance(sizes, Mapping) or not sizes:
        raise PartitionError(
            f"partitions are a mapping from name to size, such as {{'pose': 4, 'identity': 6}}; "
            f"got {sizes!r}"
        )
    for name, size in sizes.items():
        if not isinstance(name, str) or not name:
            raise PartitionError(f"a partition's name is a text of some length; got {name!r}")
        if name == SELF:
            raise PartitionError(
                f"no partition may be called {SELF!r}, the name of the pairs of an image with "
                "itself; give it another name"
            )
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise PartitionError(
                f"the size of partition {name!r} is an int of at least 1; got {size!r}"
            )


def _check_rest(rest: Iterable[str], sizes: Mapping[str, int]) -> None:
    if isinstance(rest, str):
        raise PartitionError(f"rest is a list of names; write rest=[{rest!r}]")
    for name in rest:
        if name not in sizes:
            raise PartitionError(
                f"rest names {name!r}, which is no partition; there are {', '.join(sizes)}"
            )
