"""Evaluate the codes of a model with all metrics."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pythae_gated.datasets.frames import check_columns, check_index
from pythae_gated.datasets.images import ImageReader, Images, open_images
from pythae_gated.gating.terms import prior_kl
from pythae_gated.inference import decode, posterior, resolve_partitions, sample_posterior
from pythae_gated.metrics.dci import dci
from pythae_gated.metrics.evaluation import ACTIVE, SIGNIFICANT, Evaluation
from pythae_gated.metrics.factor_vae import factor_vae_score
from pythae_gated.metrics.factors import Array, Factors, LabelledCodes, as_factors
from pythae_gated.metrics.forests import least_p_value
from pythae_gated.metrics.information import mig, modularity
from pythae_gated.metrics.partition_scores import (
    check_intended,
    leakage,
    partition_scores,
    partition_share,
)
from pythae_gated.metrics.sap import sap
from pythae_gated.metrics.splits import read_groups, split_rows
from pythae_gated.partitions import Partitions


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
    groups: npt.ArrayLike | None = None,  # (N,), or one per image of test
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
            floats regressed (give quantities, such as an age in years, as floats). Images of which
            a factor is unknown are ignored for that factor.
        partitions: Name -> size, to evaluate an ungated model as if it had partitions, its
            dimensions in their order, which is arbitrary: compare DCI rather than shares. None:
            the model's own, or all dimensions as one partition, `"latent"`.
        intended: Factor -> the partition assigned to it, for alignment and leakage.
        codes: `"sample"` takes mu + exp(log_var / 2) eps, `"mean"` takes mu. Samples are the
            fairer choice: from means, a label is predicted even if its differences are far below
            the noise of the posterior. Leakage is measured on samples and on means: the former
            holds where sampled codes are used so that a factor cannot be recovered, the latter
            where means are, for reconstruction or nearest neighbours.
        draws: Posterior samples per image, at least 1; use several if images are few. Samples of
            one image are never on both sides of the split. `"mean"` uses one.
        test: Images and factors to test on. None holds out a random quarter of the images.
        groups: A label per image, with `test` of the images to test; without it, images of one
            group are all fitted or all held out. Needed if images are near copies of one another
            (augmented, frames of a film, one subject). The p-values are those of permutations of
            groups, for factors that are constant in each.
        unknown: A label, or several, that mean unknown; or a mapping factor -> these.
        batch_size: Images encoded or decoded at once.
        seed: Of the split, the samples and the forests.

    Raises:
        TypeError: If the model has no Gaussian posterior.
        PartitionError: If the partitions do not sum to the latent dimension, or `intended` names
            another one.
        ValueError: If another argument has a wrong length, type or value, or images contain NaN.

    Warns:
        UserWarning: If a factor takes a single value in the images to fit or to test, or no class
            in both (it is left out), or each value once (it is left out of some metrics), a class
            is only in the images to test, few images or groups allow no test of significance,
            scores depend on a single value or a class is too frequent for them to show weak
            predictions, a value of `unknown` occurs in no label, or in several factors
            although `unknown` is not a mapping, one discrete factor determines another (a mouse
            its genotype) and the split or the p-values are not by its values, or all units of a
            partition have collapsed.

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
    if test is not None and not (isinstance(test, Sequence) and len(test) == 2):
        raise ValueError(f"test is a {type(test).__name__}: expected (images, factors)")
    generator_state = torch.get_rng_state()  # datasets may draw from the global generator
    images = open_images(data)
    check_index(images, factors)
    test_images = images
    if test is not None:
        check_columns(images.columns, test[0])
        test_images = open_images(test[0])
        check_index(test_images, test[1])
    check_index(test_images, {"groups": groups})
    read = as_factors(factors, len(images), None, unknown)
    groups = None if groups is None else read_groups(groups)
    fitted = LabelledCodes(_encode(model, images, batch_size), read)
    if test is None:
        to_fit, to_test = split_rows(len(images), seed, groups)
        images = images.subset(to_test)
        groups = None if groups is None else groups[to_test]
        fitted, tested = fitted.take(to_fit), fitted.take(to_test)
    else:
        images = test_images
        tested = fitted.label_alike(_encode(model, images, batch_size), test[1], unknown)
    parts = resolve_partitions(model, partitions, fitted.codes.shape[2])
    names = [factor.name for factor in read]
    check_intended(intended or {}, names, parts)
    _warn_of_nesting(fitted, tested, groups is None)
    left_out = _find_left_out(fitted, tested)
    names = [name for name in names if name not in left_out]
    fitted, tested = fitted.select(names), tested.select(names)
    assigned = {name: own for name, own in (intended or {}).items() if name in names}
    mu, log_var = torch.from_numpy(tested.codes).double().unbind(1)
    mean_variance = mu.var(dim=0, correction=0).numpy()
    _warn_of_collapse(mean_variance, parts)

    draws = draws if codes == "sample" else 1
    generator = torch.Generator().manual_seed(int(seed))
    sides = [side.take(np.tile(np.arange(len(side.codes)), draws)) for side in (fitted, tested)]
    posteriors = [torch.from_numpy(side.codes).unbind(1) for side in sides]
    samples = [sample_posterior(each, generator).numpy() for each in posteriors]
    fit_z, test_z = samples if codes == "sample" else [side.codes[:, 0] for side in sides]
    train, held_out = (fit_z, sides[0].columns), (test_z, sides[1].columns)
    means = [(side.codes[:, 0], side.columns) for side in (fitted, tested)]
    given: dict[str, Any] = {"test": held_out, "seed": seed}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "labels of .* look missing")  # as_factors has warned
        overall = dci(*train, **given)
        warnings.filterwarnings("ignore", "factor .* has")  # dci has warned
        groups = None if groups is None else np.tile(groups, draws)
        by_partition = partition_scores(*train, parts, draws=draws, groups=groups, **given)
        leaks = leakage(*train, parts, assigned, **given)
        others = assigned if codes == "sample" else {}
        of_means = leakage(*means[0], parts, others, test=means[1], seed=seed)
        repeated = _names_with_repeated_values(tested)
        classes = [name for name in repeated if name in overall.discrete]  # as when fitted
        binned = test_z, sides[1].select(repeated).columns
        binned_means = tested.codes[:, 0], tested.select(repeated).columns
        votes = _score_of(factor_vae_score, *binned_means, discrete=classes, seed=seed)
        metrics = {
            "mig": _score_of(mig, *binned, discrete=classes),
            "sap": _score_of(sap, *train, **given),
            "modularity": _score_of(modularity, *binned, discrete=classes),
            "factor_vae_score": votes,
        }
    if len(names) == 1:  # both are 1 for any codes
        metrics |= {"modularity": None, "factor_vae_score": None}
    untested = [f.name for f in sides[1].factors if least_p_value(f, draws, groups) > SIGNIFICANT]
    if untested:
        warnings.warn(
            f"too few images or groups are held out to test whether {', '.join(untested)} can be "
            "predicted: chance may explain any score",
            stacklevel=2,
        )
    error = _mean_error(model, images, samples[1], batch_size)
    torch.set_rng_state(generator_state)

    def as_dict(table: Array) -> dict[str, dict[str, float]]:  # (K, F)
        rows = (dict(zip(names, row, strict=True)) for row in table.tolist())
        return dict(zip(parts.names, rows, strict=True))

    return Evaluation(
        **vars(overall),
        partitions=parts,
        intended=assigned,
        chance=dict(zip(names, by_partition.chance.tolist(), strict=True)),
        share=as_dict(partition_share(overall.importance, parts)),
        scores=as_dict(by_partition.scores),
        p_values=as_dict(by_partition.p_values),
        leakage=leaks,
        leakage_of_means=of_means,
        metrics=metrics,
        reconstruction_error=error,
        kl=prior_kl(mu, log_var).mean(dim=0).numpy(),
        mean_variance=mean_variance,
        codes=codes,
        draws=draws,
        fitted_images=len(fitted.codes),
        tested_images=len(tested.codes),
        untested=untested,
        left_out=left_out,
    )


def _encode(model: nn.Module, images: ImageReader, batch_size: int) -> Array:
    """Mean and log-variance of the posterior of each image, (N, 2, L)."""
    return torch.stack(posterior(model, images, batch_size), dim=1).numpy()


def _find_left_out(fitted: LabelledCodes, tested: LabelledCodes) -> dict[str, str]:
    """Factors that cannot be evaluated, and why, with a warning, unless it is all of them."""
    found = {}
    for fit, held_out in zip(fitted.factors, tested.factors, strict=True):
        shared = not fit.discrete or np.isin(held_out.known_values, fit.known_values).any()
        reasons = {
            "takes fewer than 2 values in the images to fit": fit.n_distinct < 2,
            "takes fewer than 2 values in the images to test": held_out.n_distinct < 2,
            "has no class both in the images to fit and in those to test": not shared,
            "takes each value once in the images to fit (give numbers as floats)": fit.all_differ,
        }
        if why := next((why for why, applies in reasons.items() if applies), None):
            found[fit.name] = why
            warnings.warn(f"factor {fit.name!r} {why}: left out", stacklevel=3)
    return found if len(found) < len(fitted.factors) else {}  # the metrics refuse all of them


def _names_with_repeated_values(tested: LabelledCodes) -> list[str]:
    """The factors that metrics of classes and bins accept, with a warning of the others."""
    kept = []
    for factor in tested.factors:
        try:
            factor.in_bins(20)  # the default of these metrics
        except ValueError as error:
            warnings.warn(f"left out of MIG, modularity and FactorVAE: {error}", stacklevel=3)
        else:
            kept.append(factor.name)
    return kept


def _warn_of_collapse(mean_variance: Array, partitions: Partitions) -> None:
    for name, at in partitions.slices.items():
        if (mean_variance[at] <= ACTIVE).all():
            warnings.warn(
                f"{name} encodes nothing, or little: the variance of the posterior means is at "
                f"most {ACTIVE} in all its dimensions (posterior collapse, or too few steps); "
                "train longer, or lower the weight of the KL, such as beta, or warm it up",
                stacklevel=3,
            )


def _warn_of_nesting(fitted: LabelledCodes, tested: LabelledCodes, by_image: bool) -> None:
    """Warn if factors are nested, unless the split and the p-values are by the finer one."""
    sides = zip(fitted.factors, tested.factors, strict=True)
    for (fine, held_out), (coarse, _) in permutations(sides, 2):
        if not fine.determines(coarse):
            continue
        shared = np.isin(held_out.known_values, fine.known_values).any()
        if shared or by_image:
            a, b = fine.name, coarse.name
            why = f"any partition that encodes {a!r} predicts {b!r}; to score {b!r} itself"
            if not shared:
                why = f"p-values of {b!r} must not treat images of one {a!r} as independent"
            hint = f"set groups= to the labels of {a!r}"
            warnings.warn(f"factor {a!r} determines {b!r}, so {why}, {hint}", stacklevel=3)


def _score_of(metric: Callable[..., Any], *args: Any, **options: Any) -> float | None:
    try:
        return float(metric(*args, **options).score)
    except ValueError:  # it does not apply; dci has accepted the same codes and factors
        return None


def _mean_error(model: nn.Module, images: ImageReader, z: Array, batch_size: int) -> float:
    """Half the squared error of the decoded codes, summed over pixels, mean over the N images."""
    total = 0.0
    for rows in np.split(np.arange(len(images)), range(batch_size, len(images), batch_size)):
        batch = images.read(rows).cpu()
        decoded = decode(model, torch.from_numpy(z[rows])).reshape(batch.shape)
        total += 0.5 * float((decoded - batch).double().square().sum())
    return total / len(images)
