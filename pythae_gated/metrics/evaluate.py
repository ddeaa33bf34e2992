"""Evaluate the codes of a model with all metrics."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pythae_gated.datasets.images import ImageReader, Images, open_images
from pythae_gated.inference import decode, posterior, resolve_partitions
from pythae_gated.metrics.dci import dci
from pythae_gated.metrics.evaluation import ACTIVE, Evaluation
from pythae_gated.metrics.factor_vae import factor_vae_score
from pythae_gated.metrics.factors import (
    Array,
    Factor,
    Factors,
    FloatArray,
    as_factors,
    as_test_factors,
    split_rows,
)
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
    factors: list[Factor]
    mu: Tensor
    log_var: Tensor

    def take(self, rows: Array) -> "_Side":
        factors = [factor.take(rows) for factor in self.factors]
        return _Side(self.images.subset(rows), factors, self.mu[rows], self.log_var[rows])

    def sample(self, draws: int, generator: torch.Generator) -> Tensor:  # (draws, N, L)
        noise = torch.randn((draws, *self.mu.shape), generator=generator)
        return self.mu + torch.exp(self.log_var / 2) * noise

    def label(self, z: Tensor) -> tuple[Array, dict[str, Factor]]:  # z: (draws, N, L)
        """Codes as rows, one set of samples after another, with their factors."""
        rows = np.tile(np.arange(len(self.images)), len(z))
        return z.flatten(0, 1).numpy(), {each.name: each.take(rows) for each in self.factors}


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
            images to test, a value of `unknown` occurs in no label, or all units of a partition
            have collapsed.

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
    if groups is not None and test is not None:
        raise ValueError("groups split data, and test is given: they exclude each other")
    whole = _encode(model, data, factors, unknown, batch_size)
    if test is None:
        fit, held_out = split_rows(len(whole.images), seed, groups)
        fitted, tested = whole.take(fit), whole.take(held_out)
    else:
        fitted = whole
        tested = _encode(model, *test, unknown, batch_size, whole.factors)
    parts = resolve_partitions(model, partitions, fitted.mu.shape[1])
    check_intended(intended or {}, [factor.name for factor in whole.factors], parts)
    fitted, tested = _drop_constant_factors(fitted, tested)
    names = [factor.name for factor in fitted.factors]
    assigned = {name: own for name, own in (intended or {}).items() if name in names}
    mu, log_var = tested.mu.double(), tested.log_var.double()
    mean_variance = mu.var(dim=0, correction=0).numpy()
    _warn_of_collapse(mean_variance, parts)

    draws = draws if codes == "sample" else 1
    generator = torch.Generator().manual_seed(seed)
    fit_z, test_z = (side.sample(draws, generator) for side in (fitted, tested))
    error = _reconstruction_error(model, tested.images, test_z[0], batch_size)
    if codes == "mean":
        fit_z, test_z = fitted.mu[None], tested.mu[None]
    train, test_rows = fitted.label(fit_z), tested.label(test_z)
    given: dict[str, Any] = {"test": test_rows, "seed": seed}
    overall = dci(*train, **given)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "factor .* classes in the rows to test")  # as dci said
        by_partition = partition_scores(*train, parts, draws=draws, **given)
        leaks = leakage(*train, parts, assigned, **given)
        metrics = _other_metrics(train, test_rows, tested.label(tested.mu[None]), seed)
    return Evaluation(
        partitions=parts,
        intended=assigned,
        disentanglement=overall.disentanglement,
        completeness=overall.completeness,
        informativeness=overall.informativeness,
        chance=dict(zip(names, by_partition.chance.tolist(), strict=True)),
        discrete=overall.discrete,
        importance=overall.importance,
        share=_by_partition(partition_share(overall.importance, parts), parts, names),
        scores=_by_partition(by_partition.scores, parts, names),
        p_values=_by_partition(by_partition.p_values, parts, names),
        leakage=leaks,
        metrics=metrics,
        reconstruction_error=error,
        kl=(mu.square() + log_var.exp() - 1 - log_var).mean(dim=0).div(2).numpy(),
        mean_variance=mean_variance,
        codes=codes,
        draws=draws,
        fitted_images=len(fitted.mu),
        tested_images=len(tested.mu),
    )


def _encode(
    model: nn.Module,
    data: Images,
    factors: Factors,
    unknown: Any,
    batch_size: int,
    fitted: list[Factor] | None = None,
) -> _Side:
    images = open_images(data)
    if fitted is None:
        read = as_factors(factors, len(images), unknown=unknown)
    else:
        read = as_test_factors(factors, len(images), fitted, unknown)
    return _Side(images, read, *posterior(model, images, batch_size))


def _drop_constant_factors(fitted: _Side, tested: _Side) -> tuple[_Side, _Side]:
    """Leave out factors that cannot be evaluated, with a warning, unless it is all of them."""
    kept = []
    for fit, held_out in zip(fitted.factors, tested.factors, strict=True):
        varies = len(np.unique(fit.known_values)) > 1
        if varies and held_out.known.sum() > 1:
            kept.append((fit, held_out))
            continue
        why = "is known in" if varies else "takes"
        where = "images to test" if varies else "values in the images to fit"
        warnings.warn(f"factor {fit.name!r} {why} fewer than 2 {where}: left out", stacklevel=3)
    if not kept:  # the metrics refuse them
        return fitted, tested
    fits, held_outs = (list(factors) for factors in zip(*kept, strict=True))
    return replace(fitted, factors=fits), replace(tested, factors=held_outs)


def _warn_of_collapse(mean_variance: FloatArray, partitions: Partitions) -> None:
    for name, at in partitions.slices.items():
        if (mean_variance[at] <= ACTIVE).all():
            warnings.warn(
                f"{name} encodes nothing: the posterior means of all its dimensions are constant "
                "(posterior collapse); lower beta, or warm it up with KLWarmup",
                stacklevel=3,
            )


def _other_metrics(
    train: tuple[Array, dict[str, Factor]],
    test: tuple[Array, dict[str, Factor]],
    means: tuple[Array, dict[str, Factor]],
    seed: int,
) -> dict[str, float | None]:
    """The metrics that do not depend on partitions, of the held-out images; None if one fails."""
    scores: dict[str, Callable[[], float]] = {
        "mig": lambda: mig(*test).score,
        "sap": lambda: sap(*train, test=test, seed=seed).score,
        "modularity": lambda: modularity(*test).score,
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
    images: ImageReader,
    z: Tensor,  # (N, L)
    batch_size: int,
) -> float:
    total = 0.0
    for rows in torch.arange(len(z)).split(batch_size):
        batch = images.read(rows.numpy()).cpu()
        decoded = decode(model, z[rows]).reshape(batch.shape)
        total += 0.5 * float((decoded - batch).double().square().sum())
    return total / len(z)


def _by_partition(
    table: FloatArray,  # (K, F)
    partitions: Partitions,
    names: Sequence[str],
) -> dict[str, dict[str, float]]:
    rows = (dict(zip(names, row, strict=True)) for row in table.tolist())
    return dict(zip(partitions.names, rows, strict=True))
