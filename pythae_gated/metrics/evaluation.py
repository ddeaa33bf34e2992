"""The result of `evaluate`: printed as a table, saved as JSON, compared with others."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import InstanceOf, PlainSerializer, PlainValidator, TypeAdapter
from typing_extensions import Self

from pythae_gated.metrics.dci import DCI
from pythae_gated.metrics.factors import FloatArray
from pythae_gated.partitions import Partitions

ACTIVE = 0.01  # variance of the posterior mean of an active unit (Burda et al. 2016)
FEW = 500  # images to fit: weak leakage is not found by fewer
SIGNIFICANT = 0.01  # the largest p-value of a score above chance

_Matrix = Annotated[
    FloatArray,
    PlainValidator(lambda value: np.asarray(value, dtype=np.float64)),
    PlainSerializer(lambda array: array.tolist()),
]
_Table = dict[str, dict[str, float]]  # partition -> factor -> value


@dataclass(frozen=True, eq=False)
class Evaluation(DCI):
    """How a model's codes encode the factors of variation, and how well it reconstructs.

    All scores are measured on held-out images. The attributes of `DCI` are those of all
    dimensions; the columns of `importance` are in the order of `informativeness`.

    Attributes:
        partitions: The K partitions of the L latent dimensions.
        intended: Factor -> the partition assigned to it; may be empty.
        chance: Factor -> score of a constant predictor.
        share: Partition -> factor -> share of the factor's importance.
        scores: Partition -> factor -> score from this partition only.
        p_values: Partition -> factor -> p-value of this score (see `partition_scores`).
        leakage: Factor -> how well it is predicted from all other partitions than its own, from 0
            (chance) to 1 (see `leakage`); for the factors in `intended`.
        metrics: The scores of `mig`, `sap`, `modularity` and `factor_vae_score` by name; None if
            one does not apply: a gap between dimensions if there is only one, modularity and the
            FactorVAE score if there is a single factor.
        reconstruction_error: Half the squared error of a decoded sample, summed over an image's
            pixels, mean over the images: Pythae's `recon_loss` for "mse".
        kl: Shape (L,): KL of the posterior from the prior in each dimension, in nats, mean over
            the images.
        mean_variance: Shape (L,): variance over the images of each dimension's posterior mean.
        codes: "sample" or "mean": the codes that the metrics used.
        draws: Samples per image.
        fitted_images: Number of images that the estimators were fitted on.
        tested_images: Number of held-out images.
        leakage_of_means: As `leakage`, from posterior means; empty if `codes` is "mean", and in
            files of version 0.1. Means reveal factors that the noise hides in samples.
        untested: Factors for which even perfect predictions could not be significant, since few
            images or groups were held out.
        left_out: Factor -> why it was not evaluated, such as that no class is on both sides.
    """

    importance: _Matrix  # as in DCI, but saved as a list
    partitions: Annotated[InstanceOf[Partitions], PlainSerializer(lambda each: each.sizes)]
    intended: dict[str, str]
    chance: dict[str, float]
    share: _Table
    scores: _Table
    p_values: _Table
    leakage: dict[str, float]
    metrics: dict[str, float | None]
    reconstruction_error: float
    kl: _Matrix
    mean_variance: _Matrix
    codes: str
    draws: int
    fitted_images: int
    tested_images: int
    leakage_of_means: dict[str, float] = field(default_factory=dict)
    untested: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the F factors, in order."""
        return tuple(self.informativeness)

    @property
    def alignment(self) -> dict[str, float]:
        """Factor -> share of its importance in the partition assigned to it."""
        return {factor: self.share[name][factor] for factor, name in self.intended.items()}

    @property
    def kl_by_partition(self) -> dict[str, float]:
        """Partition -> sum of the KL of its dimensions, in nats."""
        return {name: float(self.kl[at].sum()) for name, at in self.partitions.slices.items()}

    @property
    def active_units(self) -> int:
        """Number of dimensions whose posterior mean has a variance above 0.01.

        Reference:
            Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016.
        """
        return int((self.mean_variance > ACTIVE).sum())

    @property
    def _order(self) -> list[list[str]]:
        return [list(self.partitions.names), list(self.factors)]

    def is_significant(self, partition: str, factor: str) -> bool:
        """Whether a score from one partition is above chance, or this could not be tested."""
        return factor in self.untested or self.p_values[partition][factor] <= SIGNIFICANT

    def to_dict(self) -> dict[str, Any]:
        """All results in the types of JSON."""
        found: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        found["rest"] = list(self.partitions.rest)
        found["order"] = self._order
        for name in ("mean_informativeness", "alignment", "kl_by_partition", "active_units"):
            found[name] = getattr(self, name)
        return found

    def save(self, path: str | Path) -> Path:
        """Write a JSON file, and return its path.

        Missing folders are created, an existing file is replaced.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n")
        return path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file written by `save`.

        Raises:
            ValueError: If the file is not a saved evaluation.
        """
        try:
            found = json.loads(Path(path).read_text())
            found["partitions"] = Partitions(found["partitions"], found["rest"])
            loaded = cls(**vars(_ADAPTER.validate_python(found)))
            if found.get("order", loaded._order) != loaded._order:
                raise ValueError("its keys are in another order: were they sorted by a tool?")
            return loaded
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{str(path)!r} is not a saved evaluation: {error!r}") from error

    def summary(self) -> str:
        """A table with one row per factor, and the results for the whole model below it."""
        kinds = ["accuracy" if factor in self.discrete else "R2" for factor in self.factors]
        names = self.partitions.names
        shares = [self._column(name, self.share) for name in names]
        scores = [self._column(name, self.scores, tested=True) for name in names]
        last = [
            ["all", *map(_two_digits, self.informativeness.values())],
            ["chance", *map(_two_digits, self.chance.values())],
        ]
        for name, leak in (("leakage", self.leakage), ("of means", self.leakage_of_means)):
            last += [[name, *map(_two_digits, map(leak.get, self.factors))]] * bool(leak)
        blocks = [
            ["", *_table([["factor", *self.factors], ["score", *kinds]])],
            ["importance in", *_table(shares)],
            ["score from it only", *_table(scores)],
            ["", *_table(last)],
        ]
        notes = ["* the partition assigned to the factor"] * bool(self.intended)
        untested = f"not tested, for too few held-out images or groups: {', '.join(self.untested)}"
        notes += [untested] * bool(self.untested)
        notes += [f"left out: {factor!r} {why}" for factor, why in self.left_out.items()]
        notes.append(f"( ) not above chance: p > {SIGNIFICANT} when labels are permuted")
        return "\n".join([*_table(blocks, gap="   "), "", *notes, *self._model_lines()])

    def __str__(self) -> str:
        return self.summary()

    def _model_lines(self) -> list[str]:
        whole = {"disentanglement": self.disentanglement, "completeness": self.completeness}
        whole["informativeness"] = self.mean_informativeness
        for name in ("alignment", "leakage", "leakage_of_means"):
            if values := getattr(self, name):
                whole[name.replace("_", " ")] = float(np.mean(list(values.values())))
        kl = ", ".join(f"{name} {nats:.1f}" for name, nats in self.kl_by_partition.items())
        draws = f", {self.draws} per image" if self.draws > 1 else ""
        is_few = self.fitted_images < FEW
        few = " (few: leakage is uncertain, and may be underestimated)" * is_few
        return [
            ", ".join(f"{name} {value:.2f}" for name, value in whole.items()),
            ", ".join(f"{name} {_two_digits(value)}" for name, value in self.metrics.items()),
            f"reconstruction error {self.reconstruction_error:.2f} "
            "(half the squared error, summed over pixels)",
            f"KL in nats: {kl}; sum {self.kl.sum():.1f}; "
            f"active units {self.active_units} of {len(self.kl)}",
            f"codes: {self.codes}{draws}; {self.fitted_images} images fitted{few}, "
            f"{self.tested_images} held out",
        ]

    def _column(self, partition: str, table: _Table, tested: bool = False) -> list[str]:
        """The name, then one cell per factor: in brackets if not above chance, * if assigned."""
        cells = [partition]
        for factor, value in table[partition].items():
            by_chance = tested and not self.is_significant(partition, factor)
            cell = f"({value:.2f})" if by_chance else f"{value:.2f}"
            cells.append(cell + "*" * (self.intended.get(factor) == partition))
        return cells


_ADAPTER = TypeAdapter(Evaluation)


def compare(evaluations: Mapping[str, Evaluation]) -> str:
    """A table of several models' evaluations side by side.

    Args:
        evaluations: Name of each model -> result of `evaluate`. Factors and partitions may
            differ; a missing result is shown as "-".

    Raises:
        ValueError: If there is none.
    """
    if not evaluations:
        raise ValueError("there are no evaluations to compare: expected {name: evaluation}")
    results = {name: _results(each) for name, each in evaluations.items()}
    labels = list(dict.fromkeys(label for own in results.values() for label in own))
    columns = [[name, *(own.get(label, "-") for label in labels)] for name, own in results.items()]
    return "\n".join(_table([["", *labels], *columns]))


def _results(found: Evaluation) -> dict[str, str]:
    """What `compare` shows of an evaluation, by label."""
    numbers: dict[str, float | None] = {
        **{f"share of {f} in {found.intended[f]}": v for f, v in found.alignment.items()},
        **{f"leakage of {factor}": leak for factor, leak in found.leakage.items()},
        **{f"leakage of {f}, means": leak for f, leak in found.leakage_of_means.items()},
        **{f"score of {factor}": score for factor, score in found.informativeness.items()},
        "disentanglement": found.disentanglement,
        "completeness": found.completeness,
        "informativeness": found.mean_informativeness,
        **found.metrics,
        "reconstruction error": found.reconstruction_error,
    }
    return {
        **{label: _two_digits(value) for label, value in numbers.items()},
        "KL in nats": f"{found.kl.sum():.1f}",
        "active units": f"{found.active_units} of {len(found.kl)}",
    }


def _two_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _table(columns: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """The lines of a table whose columns are aligned."""
    padded = ([cell.ljust(max(map(len, cells))) for cell in cells] for cells in columns)
    return [gap.join(row).rstrip() for row in zip(*padded, strict=True)]
