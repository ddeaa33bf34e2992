"""The fields that a gated model's config has besides its parent's."""

from typing import Any, Literal

from pydantic import field_validator, model_validator
from pydantic.dataclasses import dataclass

from pythae_gated.errors import PartitionError
from pythae_gated.partitions import Partitions


@dataclass
class GatedConfigMixin:
    """Config fields of a gated model: `class GatedXConfig(GatedConfigMixin, XConfig)`.

    Parameters:
        partitions: Name -> number of latent dimensions of each partition, in order; the sizes
            sum to `latent_dim`. None: a single partition, `"latent"`.
        rest: The unlabelled partitions, which self pairs train. None: there are none.
        closed_partitions: What the decoder receives in the closed partitions of a pair.
            `"target"` (our extension, recommended): the target's code without gradient, and zero
            in a closed rest. `"input"` (the paper's scheme as we read it): the input's code.

    Raises:
        ValidationError: (pydantic) If the partitions are inconsistent or do not sum to
            `latent_dim`.
    """

    partitions: dict[str, int] | None = None
    rest: list[str] | None = None
    closed_partitions: Literal["target", "input"] = "target"

    @field_validator("partitions", mode="before")
    @classmethod
    def _check_sizes(cls, sizes: Any) -> Any:
        # Before pydantic's own validation, which silently converts "3" and True to ints.
        return None if sizes is None else Partitions(sizes).sizes

    @model_validator(mode="after")
    def _check_partitions(self) -> "GatedConfigMixin":
        partitions_of(self)
        return self


def partitions_of(config: Any) -> Partitions:
    """The partitions of a gated config.

    Raises:
        PartitionError: If they do not sum to `latent_dim`.
    """
    sizes = {"latent": config.latent_dim} if config.partitions is None else config.partitions
    partitions = Partitions(sizes, config.rest or ())
    if partitions.latent_dim != config.latent_dim:
        raise PartitionError(
            f"the partitions {sizes} sum to {partitions.latent_dim}, and latent_dim is "
            f"{config.latent_dim}; make them equal"
        )
    return partitions
