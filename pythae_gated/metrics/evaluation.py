"""What `evaluate` finds: a table to print, JSON to keep, and two of them side by side."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import Self

from pythae_gated.metrics.factors import FloatArray
from pythae_gated.partitions import Partitions

ACTIVE = 0.01  # variance of a dimension's posterior mean (Burda et al. 2016)
SIGNIFICANT = 0.01  # a p-value up to which a score is said to be above chance


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
        p_values: Partition -> factor -> how likely a score as high is by chance (see
            `partition_scores`).
        leakage: Factor -> how well it is told from all partitions but the one it was meant for,
            from 0, as chance would, to 1 (see `leakage`); of the factors in `intended`.
        metrics: The scores of `mig`, `sap`, `modularity`, `explicitness` and `factor_vae_score`,
            by name; None where one does not apply, as a gap to the second of one dimension.
        reconstruction_error: Half the squared error summed over an image's pixels, decoded from
            a sampled code, mean over the images: Pythae's `recon_loss` of "mse".
        kl: Shape (L,): KL of the posterior from the prior in each dimension, in nats, mean over
            the images.
        mean_variance: Shape (L,): variance over the images of each dimension's posterior mean.
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
    p_values: dict[str, dict[str, float]]
    leakage: dict[str, float]
    metrics: dict[str, float | None]
    reconstruction_error: float
    kl: FloatArray
    mean_variance: FloatArray
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
    def alignment(self) -> dict[str, float]:
        """Factor -> the share of its importance that lies in the partition it was meant for."""
        return {factor: self.share[name][factor] for factor, name in self.intended.items()}

    @property
    def kl_by_partition(self) -> dict[str, float]:
        """Partition -> KL of its dimensions together, in nats."""
        return {name: float(self.kl[at].sum()) for name, at in self.partitions.slices.items()}

    @property
    def active_units(self) -> int:
        """How many dimensions' posterior means vary, with a variance above 0.01.

        Reference:
            Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016.
        """
        return int((self.mean_variance > ACTIVE).sum())

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain types, fit for `json.dumps`."""
        stored = {field.name: getattr(self, field.name) for field in fields(self)}
        derived = ("mean_informativeness", "alignment", "kl_by_partition", "active_units")
        return {
            **{name: _plain(value) for name, value in stored.items()},
            "rest": list(self.partitions.rest),
            **{name: getattr(self, name) for name in derived},
        }

    def save(self, path: str | Path) -> Path:
        """Write it as JSON, over whatever is there; its folders are made if need be.

        Returns:
            Where it lies.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n")
        return path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: Where the file is no saved evaluation.
        """
        try:
            found = json.loads(Path(path).read_text())
            found["partitions"] = Partitions(found["partitions"], found["rest"])
            found["discrete"] = tuple(found["discrete"])
            for name in ("importance", "kl", "mean_variance"):
                found[name] = np.array(found[name], dtype=np.float64)
            return cls(**{field.name: found[field.name] for field in fields(cls)})
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{str(path)!r} is no evaluation that was saved by `save`: {error!r}"
            ) from error

    def summary(self) -> str:
        """A table with a row a factor, and the figures of the whole model below it."""
        table = zip(*self._blocks(), strict=True)
        lines = [*("   ".join(row).rstrip() for row in table), ""]
        if self.intended:
            lines.append("* the partition that the factor was meant for")
        lines.append(f"( ) not above chance: p > {SIGNIFICANT} when labels are permuted")
        return "\n".join([*lines, *self._figures()])

    def __str__(self) -> str:
        return self.summary()

    def _figures(self) -> list[str]:
        whole = {"disentanglement": self.disentanglement, "completeness": self.completeness}
        whole["informativeness"] = self.mean_informativeness
        if self.intended:
            whole["alignment"] = float(np.mean(list(self.alignment.values())))
            whole["leakage"] = float(np.mean(list(self.leakage.values())))
        kl = ", ".join(f"{name} {nats:.1f}" for name, nats in self.kl_by_partition.items())
        draws = f", {self.draws} an image" if self.draws > 1 else ""
        return [
            ", ".join(f"{name} {value:.2f}" for name, value in whole.items()),
            ", ".join(f"{name} {_two_digits(value)}" for name, value in self.metrics.items()),
            f"reconstruction error {self.reconstruction_error:.2f} "
            "(half the squared error, summed over pixels)",
            f"KL in nats: {kl}; together {self.kl.sum():.1f}; "
            f"active units {self.active_units} of {len(self.kl)}",
            f"codes: {self.codes}{draws}; {self.fitted_images} images fitted, "
            f"{self.tested_images} held out",
        ]

    def _blocks(self) -> list[list[str]]:
        kinds = ["accuracy" if factor in self.discrete else "R2" for factor in self.factors]
        last = {
            "all": [f"{score:.2f}" for score in self.informativeness.values()],
            "chance": [f"{score:.2f}" for score in self.chance.values()],
        }
        if self.intended:
            last["leakage"] = [_two_digits(self.leakage.get(factor)) for factor in self.factors]
        return [
            _block("", {"factor": self.factors, "score": kinds}),
            _block("importance in", self._columns(self.share)),
            _block("score from it alone", self._columns(self.scores, self.p_values)),
            _block("", last),
        ]

    def _columns(
        self,
        table: Mapping[str, Mapping[str, float]],
        p_values: Mapping[str, Mapping[str, float]] | None = None,
    ) -> dict[str, list[str]]:
        columns: dict[str, list[str]] = {}
        for name, row in table.items():
            columns[name] = []
            for factor, value in row.items():
                by_chance = p_values is not None and p_values[name][factor] > SIGNIFICANT
                cell = f"({value:.2f})" if by_chance else f"{value:.2f}"
                columns[name].append(cell + "*" * (self.intended.get(factor) == name))
        return columns


def compare(evaluations: Mapping[str, Evaluation]) -> str:
    """Evaluations of several models side by side, as a table.

    Args:
        evaluations: Name of each model -> what `evaluate` found. They need not have the same
            factors or partitions: what one of them lacks is shown as "-".

    Raises:
        ValueError: Where there is none.
    """
    if not evaluations:
        raise ValueError("no evaluations to compare: give at least one, as {name: evaluation}")
    figures = {name: _named_figures(each) for name, each in evaluations.items()}
    labels = list(dict.fromkeys(label for own in figures.values() for label in own))
    columns = {"": labels}
    for name, own in figures.items():
        columns[name] = [own.get(label, "-") for label in labels]
    return "\n".join(line.rstrip() for line in _block("", columns)[1:])


def _named_figures(found: Evaluation) -> dict[str, str]:
    """What `compare` shows of an evaluation: label -> figure."""
    meant = {f"share of {f} in {name}": found.alignment[f] for f, name in found.intended.items()}
    return {
        **{label: f"{share:.2f}" for label, share in meant.items()},
        **{f"leakage of {factor}": f"{leak:.2f}" for factor, leak in found.leakage.items()},
        **{f"score of {f}": f"{score:.2f}" for f, score in found.informativeness.items()},
        "disentanglement": f"{found.disentanglement:.2f}",
        "completeness": f"{found.completeness:.2f}",
        "informativeness": f"{found.mean_informativeness:.2f}",
        **{name: _two_digits(score) for name, score in found.metrics.items()},
        "reconstruction error": f"{found.reconstruction_error:.2f}",
        "KL in nats": f"{found.kl.sum():.1f}",
        "active units": f"{found.active_units} of {len(found.kl)}",
    }


def _two_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _plain(value: Any) -> Any:
    """A field in the types that JSON has."""
    if isinstance(value, Partitions):
        return value.sizes
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value


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
