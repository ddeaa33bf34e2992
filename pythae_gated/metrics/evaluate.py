"""Judge a model's codes with one call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from pythae_gated.inference import Images, as_images, decode, posterior, resolve_partitions
from pythae_gated.metrics.dci import dci
from pythae_gated.metrics.evaluation import Evaluation
from pythae_gated.metrics.factor_vae import factor_vae_score
from pythae_gated.metrics.factors import Array, Factors, FloatArray, as_columns
from pythae_gated.metrics.mig import mig
from pythae_gated.metrics.modularity import explicitness, modularity
from pythae_gated.metrics.partition_scores import leakage, partition_scores, partition_share
from pythae_gated.metrics.sap import sap
from pythae_gated.partitions import Partitions


@dataclass(frozen=True, eq=False)
class _Side:
    """One side of the split: N rows of the images, their factors, their posterior (N, L)."""

    images: Images
    rows: Array  # which of the images, so that none is copied
    factors: dict[str, Array]
    mu: Tensor
    log_var: Tensor

    def take(self, rows: Array) -> "_Side":
        factors = {name: values[rows] for name, values in self.factors.items()}
        return _Side(self.images, rows, factors, self.mu[rows], self.log_var[rows])

    def sample(self, draws: int, generator: torch.Generator) -> Tensor:  # (draws, N, L)
        noise = torch.randn((draws, *self.mu.shape), generator=generator)
        return self.mu + torch.exp(self.log_var / 2) * noise

    def repeated_factors(self, draws: int) -> dict[str, Array]:
        return {name: np.tile(values, draws) for name, values in self.factors.items()}


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
    batch_size: int = 512,
    seed: int = 0,
) -> Evaluation:
    """Say which partition of a model's codes holds which factor, and how well it reconstructs.

    Works for any Pythae VAE whose encoder returns `embedding` and `log_covariance`, gated or
    not, on the model's own device and in its dtype. The model's mode and torch's global
    generator are left as they were found.

    Args:
        model: The VAE to judge.
        data: Images, shape (N, *input_dim): uint8, which is divided by 255, or float.
        factors: Name -> (N,) values, or an array (N, F). Ints, bools and texts are classified,
            floats regressed; rows where a factor is NaN or None are left out for that factor.
        partitions: Name -> size, to see an ungated model as if it had partitions. None takes the
            model's own, or all dimensions as one partition, `"latent"`.
        intended: Factor -> the partition it was meant for, to be marked in the summary
            and to tell alignment and leakage.
        codes: `"sample"` takes mu + exp(log_var / 2) eps, `"mean"` takes mu. A dimension that
            has collapsed may still betray a label in the third decimal of its mean, so samples
            are the fairer judge.
        draws: Codes sampled an image, at least 1: several help where images are scarce. Codes of
            one image are never on both sides of the split. Means are the same at every draw, so
            `"mean"` takes one.
        test: Images and factors to test on. None holds a random quarter of the images out.
        batch_size: Images encoded or decoded at once.
        seed: Of the split, the sampled codes and the forests.

    Raises:
        TypeError: Where the model has no Gaussian posterior.
        PartitionError: Where the partitions do not sum to the latent dimension, or `intended`
            names none of them.
        ValueError: Where another argument is of a wrong length, type or value, or images hold
            NaN.

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
    _check_choices(codes, draws)
    fitted, tested = _encode_sides(model, data, factors, test, batch_size, seed)
    parts = resolve_partitions(model, partitions, fitted.mu.shape[1])
    meant_for = dict(intended or {})

    draws = draws if codes == "sample" else 1
    generator = torch.Generator().manual_seed(seed)
    fit_z, test_z = (side.sample(draws, generator) for side in (fitted, tested))
    error = _reconstruction_error(model, tested, test_z[0], batch_size)
    if codes == "mean":
        fit_z, test_z = fitted.mu, tested.mu
    fit_codes, test_codes = (z.reshape(-1, parts.latent_dim).numpy() for z in (fit_z, test_z))
    fit_factors = fitted.repeated_factors(draws)
    held_out = (test_codes, tested.repeated_factors(draws))
    elsewhere = leakage(fit_codes, fit_factors, parts, meant_for, test=held_out, seed=seed)
    whole = dci(fit_codes, fit_factors, test=held_out, seed=seed)
    each = partition_scores(fit_codes, fit_factors, parts, test=held_out, draws=draws, seed=seed)
    names = tuple(fit_factors)
    return Evaluation(
        partitions=parts,
        intended=meant_for,
        disentanglement=whole.disentanglement,
        completeness=whole.completeness,
        informativeness=whole.informativeness,
        chance=_by_name(names, each.chance),
        discrete=whole.discrete,
        importance=whole.importance,
        share=_by_partition(parts, names, partition_share(whole.importance, parts)),
        scores=_by_partition(parts, names, each.scores),
        p_values=_by_partition(parts, names, each.p_values),
        leakage=elsewhere,
        metrics=_other_metrics((fit_codes, fit_factors), held_out, whole.discrete, seed),
        reconstruction_error=error,
        kl=_kl(tested),
        mean_variance=tested.mu.double().var(dim=0, correction=0).numpy(),
        codes=codes,
        draws=draws,
        fitted_images=len(fitted.mu),
        tested_images=len(tested.mu),
    )


def _check_choices(codes: str, draws: int) -> None:
    if codes not in ("sample", "mean"):
        raise ValueError(f'codes={codes!r}: expected "sample" or "mean"')
    if draws < 1:
        raise ValueError(f"draws={draws}: expected at least 1 sampled code an image")


def _encode_sides(
    model: nn.Module,
    data: Images,
    factors: Factors,
    test: tuple[Images, Factors] | None,
    batch_size: int,
    seed: int,
) -> tuple[_Side, _Side]:
    """The images to fit on and those held out, split image by image."""
    whole = _encode(model, data, factors, batch_size)
    if test is not None:
        return whole, _encode(model, *test, batch_size)
    fit, held_out = train_test_split(np.arange(len(data)), random_state=seed)
    return whole.take(fit), whole.take(held_out)


def _encode(model: nn.Module, data: Images, factors: Factors, batch_size: int) -> _Side:
    columns = as_columns(factors, len(data))
    return _Side(data, np.arange(len(data)), columns, *posterior(model, data, batch_size))


def _other_metrics(
    fitted: tuple[Array, Factors],
    tested: tuple[Array, Factors],
    discrete: tuple[str, ...],
    seed: int,
) -> dict[str, float | None]:
    """The metrics that know of no partitions, where they apply, of the held-out codes."""
    known: dict[str, Any] = {"discrete": discrete}
    scores: dict[str, Callable[[], float]] = {
        "mig": lambda: mig(*tested, **known).score,
        "sap": lambda: sap(*fitted, test=tested, seed=seed, **known).score,
        "modularity": lambda: modularity(*tested, **known).score,
        "explicitness": lambda: explicitness(*fitted, test=tested, seed=seed, **known).score,
        "factor_vae_score": lambda: factor_vae_score(*tested, seed=seed, **known).score,
    }
    found: dict[str, float | None] = {}
    for name, score in scores.items():
        try:
            found[name] = score()
        except ValueError:  # codes and factors are sound, as dci has seen: it does not apply
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
        images = as_images(side.images[side.rows[batch]]).cpu()
        decoded = decode(model, z[batch])
        total += 0.5 * float((decoded.reshape(images.shape) - images).double().square().sum())
    return total / len(z)


def _kl(side: _Side) -> FloatArray:  # (L,)
    mu, log_var = side.mu.double(), side.log_var.double()
    kl: FloatArray = (mu.square() + log_var.exp() - 1 - log_var).mean(dim=0).div(2).numpy()
    return kl


def _by_name(names: tuple[str, ...], values: FloatArray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _by_partition(
    partitions: Partitions, names: tuple[str, ...], table: FloatArray
) -> dict[str, dict[str, float]]:
    rows = zip(partitions.names, table, strict=True)
    return {partition: _by_name(names, row) for partition, row in rows}
