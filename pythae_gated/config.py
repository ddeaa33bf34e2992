"""What a gated model's config has beside its parent's fields."""

from typing import Any, Literal

from pydantic import field_validator, model_validator
from pydantic.dataclasses import dataclass

from pythae_gated.errors import PartitionError
from pythae_gated.partitions import Partitions


@dataclass
class GatedConfigMixin:
    """Fields to put before those of a Pythae config, in the order of resolution.

    Parameters:
        partitions: Name of each partition of the latent space -> its size, in order; the sizes
            sum to `latent_dim`. None: one partition, `"latent"`.
        rest: The partitions that no factor speaks of, which self pairs train. None: there is none.
        closed_partitions: What the decoder sees in the closed partitions of a pair. `"target"`:
            the target's code without gradient, and zero in a closed rest (our extension, and what
            we recommend). `"input"`: the input's code (the paper's scheme).

    Raises:
        ValidationError: Pydantic's, where the partitions do not fit together or `latent_dim`.
    """

    partitions: dict[str, int] | None = None
    rest: list[str] | None = None
    closed_partitions: Literal["target", "input"] = "target"

    @field_validator("partitions", mode="before")
    @classmethod
    def _check_sizes(cls, sizes: Any) -> Any:
        # Before pydantic's own look, which turns "3" and True into ints without a word.
        return None if sizes is None else Partitions(sizes).sizes

    @model_validator(mode="after")
    def _check_partitions(self) -> "GatedConfigMixin":
        read_partitions(self)
        return self


def read_partitions(config: Any) -> Partitions:
    """The partitions that a gated config states, checked against its latent_dim."""
    sizes = {"latent": config.latent_dim} if config.partitions is None else config.partitions
    partitions = Partitions(sizes, config.rest or ())
    if partitions.latent_dim != config.latent_dim:
        raise PartitionError(
            f"the partitions {sizes} sum to {partitions.latent_dim}, and latent_dim is "
            f"{config.latent_dim}; make them equal"
        )
    return partitions
