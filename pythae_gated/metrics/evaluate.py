"""Evaluate the codes of a model with all metrics."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from torch import Tensor, nn

from pythae_gated.datasets.images import ImageReader, Images, open_images
from pythae_gated.inference import decode, posterior, resolve_partitions
from pythae_gated.metrics.dci import dci
from pythae_gated.metrics.evaluation import ACTIVE, Evaluation
from pythae_gated.metrics.factor_vae import factor_vae_score
from pythae_gated.metrics.factors import Array, Factor, Factors, FloatArray, as_factors
from pythae_gated.metrics.information import mig, modularity
from pythae_gated.metrics.partition_scores import (
    check_intended,
    leakage,
    partition_scores,
    partition_share,
)
from pythae_gated.metrics.sap import sap
from pythae_gated.partitions import Partitions


@dataclass(frozen=True, eq=False)
class _Side:
    """The images to fit or to test on, N of them, with factors and posterior (N, L)."""

    images: ImageReader
    factors: dict[str, Factor]
    mu: Tensor
    log_var: Tensor

    def take(self, rows: Array) -> "_Side":
        return _Side(
            self.images.subset(rows),
            take_rows(self.factors, rows),
            self.mu[rows],
            self.log_var[rows],
        )

    def codes(self, z: Tensor) -> tuple[Array, dict[str, Factor]]:  # z: (draws, N, L)
        """Codes as rows, one set of samples after another, with their factors."""
        rows = np.tile(np.arange(len(self.images)), len(z))
        return z.flatten(0, 1).numpy(), take_rows(self.factors, rows)


def take_rows(factors: Mapping[str, Factor], rows: Array) -> dict[str, Factor]:
    """The same factors in these rows."""
    return {name: factor.take(rows) for name, factor in factors.items()}


def evaluate(
    model: nn.Module,
    data: Images,  # (N, *input_dim)
    factors: Factors,
    *,
    partitions: Partitions | Mapping[str, int] | None = None,
    intended: Mapping[str, str] | None = None,
    codes: Literal["sample", "mean"] = "sample",
    draws: int = 1,
    test: tuple[Images, Factors] | None = None,
    groups: npt.ArrayLike | None = None,  # (N,)
    unknown: Any = None,
    batch_size: int = 512,
    seed: int = 0,
) -> Evaluation:
    """Which partition of a model's codes encodes which factor, and how well it reconstructs.

    For any Pythae VAE whose encoder returns `embedding` and `log_covariance`, gated or not, on
    its own device and in its dtype. The model's mode and torch's global generator are restored.

    Args:
        model: The VAE.
        data: Images, shape (N, *input_dim): uint8, which is divided by 255, or float.
        factors: Name -> (N,) values, or an array (N, F). Ints, bools and strings are classified,
            floats regressed. Images of which a factor is unknown are ignored for that factor.
        partitions: Name -> size, to evaluate an ungated model as if it had partitions. None: the
            model's own, or all dimensions as one partition, `"latent"`.
        intended: Factor -> the partition assigned to it, for alignment and leakage.
        codes: `"sample"` takes mu + exp(log_var / 2) eps, `"mean"` takes mu. Samples are the
            fairer choice: the mean of a collapsed dimension may still predict a label from its
            third decimal.
        draws: Posterior samples per image, at least 1; use several if images are few. Samples of
            one image are never on both sides of the split. `"mean"` uses one.
        test: Images and factors to test on. None holds out a random quarter of the images.
        groups: A label per image; images of one group are all fitted or all held out. Needed if
            images are near copies of one another (augmented, frames of a film, one subject).
        unknown: A label, or several, that mean unknown; or a mapping factor -> these.
        batch_size: Images encoded or decoded at once.
        seed: Of the split, the samples and the forests.

    Raises:
        TypeError: If the model has no Gaussian posterior.
        PartitionError: If the partitions do not sum to the latent dimension, or `intended` names
            another one.
        ValueError: If another argument has a wrong length, type or value, or images contain NaN.

    Warns:
        UserWarning: If a factor takes a single value (it is left out), a class is only in the
            images to test, or all units of a partition have collapsed.

    Reference:
        Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled
        Representations", ICLR 2018.

    Example:
        >>> from pythae.models import VAE, VAEConfig
        >>> model = VAE(VAEConfig(input_dim=(1, 4, 4), latent_dim=3))
        >>> images = np.random.default_rng(0).integers(0, 256, (80, 1, 4, 4), dtype=np.uint8)
        >>> brightness = images.mean(axis=(1, 2, 3))
        >>> found = evaluate(model, images, {"light": brightness}, partitions={"a": 2, "b": 1})
        >>> round(found.share["a"]["light"] + found.share["b"]["light"], 6)
        1.0
    """
    if codes not in ("sample", "mean"):
        raise ValueError(f'codes={codes!r}: expected "sample" or "mean"')
    if draws < 1:
        raise ValueError(f"draws={draws}: expected at least 1 sample per image")
    fitted, tested = _encode_sides(model, data, factors, test, groups, unknown, batch_size, seed)
    resolved = resolve_partitions(model, partitions, fitted.mu.shape[1])
    assigned = dict(intended or {})
    check_intended(assigned, fitted.factors, resolved)
    _drop_constant_factors(fitted.factors, tested.factors)
    names = tuple(fitted.factors)
    assigned = {factor: name for factor, name in assigned.items() if factor in names}
    mean_variance = tested.mu.double().var(dim=0, correction=0).numpy()
    _warn_of_collapse(mean_variance, resolved)

    draws = draws if codes == "sample" else 1
    generator = torch.Generator().manual_seed(seed)
    fit_z, test_z = (
        side.mu
        + torch.exp(side.log_var / 2) * torch.randn((draws, *side.mu.shape), generator=generator)
        for side in (fitted, tested)
    )
    error = _reconstruction_error(model, tested, test_z[0], batch_size)
    if codes == "mean":
        fit_z, test_z = fitted.mu[None], tested.mu[None]
    fit, held_out = fitted.codes(fit_z), tested.codes(test_z)
    dci_result = dci(*fit, test=held_out, seed=seed)
    by_partition = partition_scores(*fit, resolved, test=held_out, draws=draws, seed=seed)
    share = partition_share(dci_result.importance, resolved)
    return Evaluation(
        partitions=resolved,
        intended=assigned,
        disentanglement=dci_result.disentanglement,
        completeness=dci_result.completeness,
        informativeness=dci_result.informativeness,
        chance=dict(zip(names, by_partition.chance.tolist(), strict=True)),
        discrete=dci_result.discrete,
        importance=dci_result.importance,
        share=_by_partition(resolved, names, share),
        scores=_by_partition(resolved, names, by_partition.scores),
        p_values=_by_partition(resolved, names, by_partition.p_values),
        leakage=leakage(*fit, resolved, assigned, test=held_out, seed=seed),
        metrics=_other_metrics(fit, held_out, tested, seed),
        reconstruction_error=error,
        kl=_kl(tested),
        mean_variance=mean_variance,
        codes=codes,
        draws=draws,
        fitted_images=len(fitted.mu),
        tested_images=len(tested.mu),
    )


def _encode_sides(
    model: nn.Module,
    data: Images,
    factors: Factors,
    test: tuple[Images, Factors] | None,
    groups: npt.ArrayLike | None,
    unknown: Any,
    batch_size: int,
    seed: int,
) -> tuple[_Side, _Side]:
    """The images to fit on and those held out."""

    def encode(images: Images, factors: Factors, discrete: Sequence[str] | None) -> _Side:
        reader = open_images(images)
        read = {f.name: f for f in as_factors(factors, len(reader), discrete, unknown)}
        return _Side(reader, read, *posterior(model, reader, batch_size))

    whole = encode(data, factors, None)
    if test is not None:
        if groups is not None:
            raise ValueError("groups split data, and test is given: they exclude each other")
        return whole, encode(
            *test, [name for name, each in whole.factors.items() if each.discrete]
        )
    rows = np.arange(len(whole.images))
    if groups is None:
        fit, held_out = train_test_split(rows, random_state=seed)
    else:
        if np.shape(groups) != rows.shape:
            raise ValueError(f"groups of shape {np.shape(groups)}: expected {rows.shape}")
        splitter = GroupShuffleSplit(n_splits=1, test_size=0.25, random_state=seed)
        fit, held_out = next(splitter.split(rows, groups=groups))
    return whole.take(fit), whole.take(held_out)


def _drop_constant_factors(fitted: dict[str, Factor], tested: dict[str, Factor]) -> None:
    """Remove factors that take a single value, with a warning; the metrics refuse to have none."""
    constant = [name for name, each in fitted.items() if len(np.unique(each.known_values)) < 2]
    for name in constant if len(constant) < len(fitted) else ():
        warnings.warn(
            f"factor {name!r} takes fewer than 2 values in the images to fit: left out",
            stacklevel=3,
        )
        del fitted[name], tested[name]


def _warn_of_collapse(mean_variance: FloatArray, partitions: Partitions) -> None:
    for name, at in partitions.slices.items():
        if (mean_variance[at] <= ACTIVE).all():
            warnings.warn(
                f"{name} encodes nothing: the posterior means of all its dimensions are constant "
                "(posterior collapse); lower beta, or warm it up with KLWarmup",
                stacklevel=3,
            )


def _other_metrics(
    fit: tuple[Array, dict[str, Factor]],
    held_out: tuple[Array, dict[str, Factor]],
    tested: _Side,
    seed: int,
) -> dict[str, float | None]:
    """The metrics that do not depend on partitions, of the held-out images; None if one fails."""
    means = tested.codes(tested.mu[None])
    scores: dict[str, Callable[[], float]] = {
        "mig": lambda: mig(*held_out).score,
        "sap": lambda: sap(*fit, test=held_out, seed=seed).score,
        "modularity": lambda: modularity(*held_out).score,
        "factor_vae_score": lambda: factor_vae_score(*means, seed=seed).score,
    }
    found: dict[str, float | None] = {}
    for name, score in scores.items():
        try:
            found[name] = score()
        except ValueError:  # it does not apply; dci has accepted the same codes and factors
            found[name] = None
    return found


def _reconstruction_error(
    model: nn.Module,
    side: _Side,
    z: Tensor,  # (N, L)
    batch_size: int,
) -> float:
    total = 0.0
    for start in range(0, len(z), batch_size):
        batch = slice(start, start + batch_size)
        images = side.images.read(range(len(z))[batch]).cpu()
        decoded = decode(model, z[batch])
        total += 0.5 * float((decoded.reshape(images.shape) - images).double().square().sum())
    return total / len(z)


def _kl(side: _Side) -> FloatArray:  # (L,)
    mu, log_var = side.mu.double(), side.log_var.double()
    kl: FloatArray = (mu.square() + log_var.exp() - 1 - log_var).mean(dim=0).div(2).numpy()
    return kl


def _by_partition(
    partitions: Partitions,
    names: Sequence[str],
    table: FloatArray,  # (K, F)
) -> dict[str, dict[str, float]]:
    rows = zip(partitions.names, table.tolist(), strict=True)
    return {partition: dict(zip(names, row, strict=True)) for partition, row in rows}
