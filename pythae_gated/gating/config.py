"""The fields that a gated model's config has besides its parent's."""

import math
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic.dataclasses import dataclass

from pythae_gated.errors import PartitionError
from pythae_gated.partitions import Partitions

# Checked before pydantic's own validation, which silently converts "3" and True to ints.
_Sizes = Annotated[dict[str, int], BeforeValidator(lambda sizes: Partitions(sizes).sizes)]


@dataclass(config=ConfigDict(extra="forbid"))
class GatedConfigMixin:
    """Config fields of a gated model: `class GatedXConfig(GatedConfigMixin, XConfig)`.

    Parameters:
        partitions: Name -> number of latent dimensions of each partition, in order; the sizes
            sum to `latent_dim`. None: a single partition, `"latent"`.
        rest: The unlabelled partitions, which self pairs train. None: there are none.
        closed_partitions: What the decoder receives in the closed partitions of a pair.
            `"target"` (our extension, recommended): the target's code without gradient, but zero
            in a closed rest at first (see `closed_rest`). `"input"` (the paper's scheme as we
            read it): the input's code.
        agreement: Weight of the mean of KL(q(z_k | x) || q(z_k | t)) and
            KL(q(z_k | t) || q(z_k | x)), where x and t are the input and the target of a pair and
            k is its open labelled partition. A higher weight reduces what the posterior means
            reveal of other factors, at a higher error. `GatedSchedule` lowers it in the end to
            0.3 of its value.
        labelled_kl: Mean weight of the KL to the prior in a labelled partition; in the rest it
            is 1.
        kl_ratio: Weight of the KL in the last dimension of a partition, divided by that in its
            first; in the rest at most 10. The weights form a geometric series: the first
            dimensions encode most, spare ones little, and factors lie along dimensions (equal
            weights do not distinguish a code from a rotated one). 1: equal weights.
            `GatedSchedule` lowers it in the end to its power of 0.3 (30 to 2.8, 10 to 2), since
            dimensions of a low weight in the rest encode traces of labelled factors, too.
            `GatedDisentangledBetaVAE`, which draws the KL towards a capacity, ignores both.
        swap_consistency: Weight, for each labelled partition, of
            KL(q(z_rest | x) || q(z_rest | x')), where x' is decoded from the rest of x and the
            labelled codes of other images. A lower weight reconstructs better, but labelled
            factors are predicted better from the rest.
        rest_hsic: Weight of the HSIC of the rest's posterior means and the labels, as the pairs
            show it (see `pythae_gated.gating.terms.hsic`). A higher weight, such as 20, reduces
            what the rest predicts of the labels further, at a higher error.
        robust_pairs: Whether to train less on pairs whose posteriors in the open partition differ
            nearly as much as those of unrelated images, as pairs of wrong labels do. A pair that
            differs by a quarter of that has half of its weight. `GatedSchedule` begins with equal
            weights, and lowers the quarter to 0.075 in the end. Pairs of right labels keep their
            weight once partitions predict their factors: with right labels it cost nothing on six
            data sets of the study, and 0.04 of the own score where factors are learnt late
            (letters at varying positions).
        closed_rest: What the decoder receives in the closed rest of a pair while `GatedSchedule`
            lowers the learning rate, after at least 1,500 steps: the `"target"`'s code without
            gradient, or `"zero"`. Before that it is zero, or the rest would take factors that are
            learnt late. `"target"` reconstructs images and spectrograms better (by 2 to 13 % in
            the study, and a table of 1,000 rows worse, by 4 %), and encodes factors that are
            visible only together with unlabelled ones, as a letter at varying positions. With
            wrong labels, and `robust_pairs=False`, more of the factors is encoded in the rest. It
            has no effect without the decay of `GatedSchedule`.
        partition_order: Do not set it. Saved with the config to detect files whose keys a tool
            has sorted.

    The weights are multiplied by that of the KL in the parent's loss, such as `beta`
    (`BetaTCVAE`: the smallest of its three; InfoVAE: 1 - alpha, or 0). They apply to pairs with
    `closed_partitions="target"`, as do `robust_pairs` and `closed_rest`. Only the parent's loss
    (version 0.1) is left by `agreement=0, labelled_kl=1, kl_ratio=1, swap_consistency=0,
    rest_hsic=0, robust_pairs=False`.

    Raises:
        ValidationError: (pydantic) If the partitions are inconsistent, do not sum to
            `latent_dim`, or are not in `partition_order`, a weight is negative or not finite,
            `kl_ratio` is below 1, or there is no field of a given name.

    Reference:
        Non-uniform weights: Bao et al., "Regularized Linear Autoencoders Recover the Principal
        Components, Eventually", NeurIPS 2020.
    """

    partitions: _Sizes | None = None
    rest: list[str] | None = None
    closed_partitions: Literal["target", "input"] = "target"
    agreement: float = 0.5
    labelled_kl: float = 0.3
    kl_ratio: float = 30.0
    swap_consistency: float = 0.4
    rest_hsic: float = 10.0
    robust_pairs: bool = True
    closed_rest: Literal["target", "zero"] = "target"
    partition_order: list[str] | None = None
    name: Any = field(default=None, kw_only=True)  # accepted, as `to_dict` has it; Pythae sets it

    @field_validator("agreement", "labelled_kl", "kl_ratio", "swap_consistency", "rest_hsic")
    @classmethod
    def _check_weight(cls, weight: float, info: ValidationInfo) -> float:
        least = 1 if info.field_name == "kl_ratio" else 0
        if not least <= weight < math.inf:
            raise ValueError(
                f"{info.field_name}={weight}: expected a finite number of at least {least}"
            )
        return weight

    @model_validator(mode="after")
    def _check_partitions(self) -> "GatedConfigMixin":
        names, order = list(partitions_of(self).names), self.partition_order
        if order is not None and order != names:
            raise PartitionError(
                f"the partitions are in the order {names}, and partition_order is {order}: was "
                "the file rewritten with sorted keys? Restore the order, which says which latent "
                "dimensions each partition has"
            )
        self.partition_order = None
        return self

    def to_dict(self) -> dict[str, Any]:
        """As the parent's, with the order of the partitions."""
        fields: dict[str, Any] = super().to_dict()  # type: ignore[misc]
        return {**fields, "partition_order": list(partitions_of(self).names)}


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
