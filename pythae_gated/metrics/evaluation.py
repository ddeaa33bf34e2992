"""What `evaluate` finds, and the table that it prints as."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pythae_gated.metrics.factors import FloatArray
from pythae_gated.partitions import Partitions


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a model's codes hold the factors of variation, and how well it reconstructs.

    Every score is measured on held-out images.

    Attributes:
        partitions: The K partitions of the L latent dimensions.
        intended: Factor -> the partition it was meant for; empty where nothing was said.
        disentanglement: D, from 0 to 1 (see `dci`).
        completeness: C, from 0 to 1.
        informativeness: Factor -> score from all dimensions: accuracy of a discrete factor, R2
            of a continuous one.
        chance: Factor -> the score of who does not see the codes.
        discrete: Names of the factors whose score is an accuracy.
        importance: Shape (L, F), columns in the order of `informativeness`: how much each
            dimension matters to each factor.
        share: Partition -> factor -> the share of the factor's importance that lies in it.
        scores: Partition -> factor -> score from this partition's dimensions alone.
        reconstruction_error: Half the squared error summed over an image's pixels, decoded from
            a sampled code, mean over the images: Pythae's `recon_loss` of "mse".
        kl: Shape (L,): KL of the posterior from the prior in each dimension, in nats, mean over
            the images.
        codes: "sample" or "mean": what the forests saw.
        draws: Codes an image.
        fitted_images: Number of images whose codes the forests were fitted on.
        tested_images: Number of images held out.
    """

    partitions: Partitions
    intended: dict[str, str]
    disentanglement: float
    completeness: float
    informativeness: dict[str, float]
    chance: dict[str, float]
    discrete: tuple[str, ...]
    importance: FloatArray
    share: dict[str, dict[str, float]]
    scores: dict[str, dict[str, float]]
    reconstruction_error: float
    kl: FloatArray
    codes: str
    draws: int
    fitted_images: int
    tested_images: int

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the F factors, in order."""
        return tuple(self.informativeness)

    @property
    def mean_informativeness(self) -> float:
        """I: the mean score from all dimensions."""
        return float(np.mean(list(self.informativeness.values())))

    @property
    def intended_share(self) -> dict[str, float]:
        """Factor -> the share of its importance that lies in the partition it was meant for."""
        return {factor: self.share[name][factor] for factor, name in self.intended.items()}

    @property
    def kl_by_partition(self) -> dict[str, float]:
        """Partition -> KL of its dimensions together, in nats."""
        return {name: float(self.kl[at].sum()) for name, at in self.partitions.slices.items()}

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain types, fit for `json.dumps`."""
        return {
            "partitions": self.partitions.sizes,
            "rest": list(self.partitions.rest),
            "intended": dict(self.intended),
            "disentanglement": self.disentanglement,
            "completeness": self.completeness,
            "mean_informativeness": self.mean_informativeness,
            "informativeness": dict(self.informativeness),
            "chance": dict(self.chance),
            "discrete": list(self.discrete),
            "importance": self.importance.tolist(),
            "share": {name: dict(row) for name, row in self.share.items()},
            "intended_share": self.intended_share,
            "scores": {name: dict(row) for name, row in self.scores.items()},
            "reconstruction_error": self.reconstruction_error,
            "kl": self.kl.tolist(),
            "kl_by_partition": self.kl_by_partition,
            "codes": self.codes,
            "draws": self.draws,
            "fitted_images": self.fitted_images,
            "tested_images": self.tested_images,
        }

    def summary(self) -> str:
        """A table with a row a factor, and the figures of the whole model below it."""
        table = zip(*self._blocks(), strict=True)
        lines = [*("   ".join(row).rstrip() for row in table), ""]
        if self.intended:
            lines.append("* the partition that the factor was meant for")
        kl = ", ".join(f"{name} {nats:.1f}" for name, nats in self.kl_by_partition.items())
        draws = f", {self.draws} an image" if self.draws > 1 else ""
        return "\n".join(
            [
                *lines,
                f"disentanglement {self.disentanglement:.2f}, "
                f"completeness {self.completeness:.2f}, "
                f"informativeness {self.mean_informativeness:.2f}",
                f"reconstruction error {self.reconstruction_error:.2f} "
                "(half the squared error, summed over pixels)",
                f"KL in nats: {kl}; together {self.kl.sum():.1f}",
                f"codes: {self.codes}{draws}; {self.fitted_images} images fitted, "
                f"{self.tested_images} held out",
            ]
        )

    def __str__(self) -> str:
        return self.summary()

    def _blocks(self) -> list[list[str]]:
        scores = ["accuracy" if factor in self.discrete else "R2" for factor in self.factors]
        whole = [f"{score:.2f}" for score in self.informativeness.values()]
        chance = [f"{score:.2f}" for score in self.chance.values()]
        return [
            _block("", {"factor": self.factors, "score": scores}),
            _block("importance in", self._columns(self.share)),
            _block("score from it alone", self._columns(self.scores)),
            _block("", {"all": whole, "chance": chance}),
        ]

    def _columns(self, table: Mapping[str, Mapping[str, float]]) -> dict[str, list[str]]:
        return {
            name: [
                f"{value:.2f}{'*' if self.intended.get(factor) == name else ''}"
                for factor, value in row.items()
            ]
            for name, row in table.items()
        }


def _block(heading: str, columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Lines of one width: the heading, the columns' names, and a line a factor."""
    widths = {name: max(map(len, [name, *cells])) for name, cells in columns.items()}
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths.values(), strict=True))
        for row in rows
    ]
    width = max(len(heading), len(lines[0]))
    return [line.ljust(width) for line in (heading, *lines)]
