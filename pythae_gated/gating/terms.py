"""Terms that are added to the parent's loss for pairs, and the weights of pairs."""

import functools
from collections.abc import Iterable
from typing import Any

import torch
from pythae.models import INFOVAE_MMD, BetaTCVAE
from torch import Tensor, nn

from pythae_gated.partitions import Partitions

_TOLERATED = 0.25  # of the divergence of unrelated images, where a pair's weight is a half
_REST_RATIO = 10.0  # of the weights of the KL in the rest, at most
_ROUNDING = 1e-6  # nats; smaller divergences are not distinguished
# Bounds of swap consistency, which trainings that do not diverge stay within.
_LOG_VAR = -20.0, 3.0  # of the second encoding
_FAR = 300.0  # nats in a dimension


def gaussian_kl(mu: Tensor, log_var: Tensor, other_mu: Tensor, other_log_var: Tensor) -> Tensor:
    """KL(N(mu, exp(log_var)) || N(other_mu, exp(other_log_var))) of each dimension, in nats."""
    scaled = (log_var.exp() + (mu - other_mu).square()) / other_log_var.exp()
    return 0.5 * (other_log_var - log_var + scaled - 1)


def prior_kl(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mu, exp(log_var)) || N(0, 1)) of each dimension, in nats."""
    return 0.5 * (log_var.exp() + mu.square() - log_var - 1)


@functools.lru_cache
def kl_weights(
    partitions: Partitions,
    labelled: float,
    ratio: float,
    power: float,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Tensor:  # (L,)
    """The weight of the KL in each dimension.

    A geometric series in each partition, whose last weight is `ratio` (in the rest at most 10) to
    the given power times its first, and whose mean is `labelled`, or 1 in the rest. Made once for
    each power, without synchronising host and device.

    Example:
        >>> kl_weights(Partitions({"pose": 2, "sex": 1}), 0.5, 16.0, 0.5, torch.device("cpu"))
        tensor([0.2000, 0.8000, 0.5000])
    """
    weights = []
    for name, size in partitions.sizes.items():
        is_rest = name in partitions.rest
        quotient = (min(ratio, _REST_RATIO) if is_rest else ratio) ** power
        series = quotient ** torch.linspace(0, 1, size, device=device, dtype=dtype)
        weights.append((1.0 if is_rest else labelled) * series / series.mean())
    return torch.cat(weights)


def _call(network: nn.Module, rows: Tensor) -> Any:
    """A call that does not update buffers, such as the running statistics of a BatchNorm."""
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    return torch.func.functional_call(network, buffers, rows) if buffers else network(rows)


def kl_weight(model: Any) -> float:
    """The weight of the KL to the prior in the loss of a model's parent."""
    if (given := getattr(model, "kl_weight", None)) is not None:
        return float(given)
    if isinstance(model, BetaTCVAE):  # beta weighs one of the three terms that the KL consists of
        return float(min(model.alpha, model.beta, model.gamma))
    if isinstance(model, INFOVAE_MMD):
        return max(0.0, 1.0 - float(model.alpha))
    return float(getattr(model, "beta", 1.0))


def scale_gradient(value: Tensor, scale: Tensor | float) -> Tensor:  # (N, ...) -> (N, ...)
    """The same value, whose gradient is multiplied by a scale, (N,) or a number."""
    if isinstance(scale, Tensor):
        scale = scale.view(-1, *[1] * (value.ndim - 1))
    elif scale == 1:
        return value
    scaled = value.view_as(value)
    if scaled.requires_grad:
        scaled.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: (scale * gradient).to(gradient.dtype)
        )
    return scaled


def select(values: Tensor, partitions: Partitions, names: Iterable[str]) -> Tensor:
    """The columns of values (N, L) in the dimensions of some partitions."""
    parts = partitions.split(values)
    return torch.cat([parts[name] for name in names], dim=1)


def divergence(mu: Tensor, log_var: Tensor) -> Tensor:  # (2B, L), (2B, L) -> (2B, L)
    """KL(q(z | x) || q(z | t)) of each dimension; rows of x, then rows of t with KL(t || x)."""
    n = len(mu) // 2
    return gaussian_kl(mu, log_var, mu.roll(n, 0), log_var.roll(n, 0))


@torch.no_grad()
def weigh_pairs(
    mu: Tensor,  # (2B, L)
    log_var: Tensor,  # (2B, L)
    divergences: Tensor,  # (2B, L)
    gate: Tensor,  # (B, K)
    partitions: Partitions,
    warmed_up: float = 1.0,  # from 0 at the start of the warm-up to 1 at its end
    annealing: float = 1.0,  # of the model
) -> Tensor:  # (B,)
    """Small weights for pairs whose posteriors differ as much as those of unrelated images.

    With d the divergence of a pair in its open labelled partition, both directions, and d' the
    mean of the same over images that follow each other in the batch,

        w = (1 + (d / c d')^4)^-t

    where t rises from 0 to 1 during the warm-up, since pairs of right labels differ as much as
    others before partitions predict their factors, and c is 1/4, multiplied by the annealing.
    Pairs that open no labelled partition, or all partitions, have weight 1, and the mean weight
    of the others is 1.

    Reference:
        Weights that become robust gradually: Blake and Zisserman, "Visual Reconstruction", MIT
        Press 1987 (graduated non-convexity).
    """
    of_pairs = divergences.view(2, len(gate), -1).sum(dim=0)
    following = gaussian_kl(mu, log_var, mu.roll(1, 0), log_var.roll(1, 0))
    unrelated = 2 * following.mean(dim=0, keepdim=True)
    parts = partitions.split(torch.cat([of_pairs, unrelated]).float())
    columns = _labelled_columns(gate, partitions)
    by_partition = torch.stack([parts[name].sum(dim=1) for name in columns], dim=1)
    limits = _TOLERATED * annealing * by_partition[-1].clamp(min=_ROUNDING)
    whole = gate.all(dim=1) & (len(partitions.names) > 1)  # self pairs without a rest
    opened = torch.stack([*columns.values()], dim=1) & ~whole[:, None]
    weights = (1 + (by_partition[:-1] / limits).pow(4)).pow(-warmed_up)
    weights = torch.where(opened, weights, 1).amin(dim=1)
    shared = opened.any(dim=1)
    mean = (shared * weights).sum() / shared.sum().clamp(min=1)
    return torch.where(shared, weights / mean, weights)


def swap_divergence(
    model: Any,
    partitions: Partitions,
    z: Tensor,  # (N, L)
    mu: Tensor,  # (N, L)
    log_var: Tensor,  # (N, L)
    shape: torch.Size,  # of an image
) -> Tensor:  # ()
    """How far the posterior of the rest moves when the labelled codes are exchanged.

    A third of the inputs of N / 2 > 1 pairs are decoded with the labelled codes of other images,
    without gradient, and encoded again: the mean of KL(q(z_rest | x) || q(z_rest | decoded)),
    whose gradient reaches the encoder through the rest of the second encoding only. Log-variances
    outside [-20, 3], and dimensions that differ by more than 300 nats, get no gradient: on few
    rows of a table, whose decoded mixtures are unlike all of them, the encoder diverged.
    """
    pairs = len(z) // 2
    rows = max(2, pairs // 3)
    with torch.no_grad():
        parts = partitions.split(z)
        for k, name in enumerate(partitions.labelled):
            shift = (k + 1) * rows
            shift += shift % pairs == 0  # else the codes of the image itself or its partner
            parts[name] = parts[name].roll(-shift, 0)
        mixed = torch.cat([*parts.values()], dim=1)
        decoded = _call(model.decoder, mixed[:rows])["reconstruction"]
    again = _call(model.encoder, decoded.reshape(rows, *shape))
    own = mu[:rows].detach(), log_var[:rows].detach()
    moved = gaussian_kl(*own, again["embedding"], again["log_covariance"].clamp(*_LOG_VAR))
    return select(moved.clamp(max=_FAR), partitions, partitions.rest).sum(dim=1).mean()


def hsic(
    mu: Tensor,  # (2B, L)
    gate: Tensor,  # (B, K)
    partitions: Partitions,
) -> Tensor:  # ()
    """How far the posterior means of the rest depend on the labels, as the pairs show it.

    With k(a, b) = exp(-|a - b|^2 / 2 R) in the R dimensions of the rest, x and t of a pair, and
    x and t' of two pairs of the same labelled partition:

        R (mean k(x, t) - mean k(x, t'))

    over the pairs of each labelled partition, multiplied by their share of the batch. Its
    expected value is R HSIC(means, labels), for k and a kernel that is one over the frequency of
    a label where two are equal, else 0; it is 0 if the means do not depend on the labels. The
    gradient reaches the encoder through the means of the rest only.

    Reference:
        Gretton et al., "Measuring Statistical Dependence with Hilbert-Schmidt Norms", ALT 2005;
        in VAEs: Lopez et al., "Information Constraints on Auto-Encoding Variational Bayes",
        NeurIPS 2018.
    """
    x, t = select(mu.float(), partitions, partitions.rest).chunk(2)
    # A matrix product at any size: the other way has no gradient on Apple's GPUs in older torch.
    distance = torch.cdist(x, t, compute_mode="use_mm_for_euclid_dist")  # (B, B)
    kernel = (distance.square() / (-2 * x.shape[1])).exp()
    pairs = torch.stack([*_labelled_columns(gate, partitions).values()], dim=1).to(kernel)
    n = pairs.sum(dim=0)
    share = torch.where(n > 1, pairs / (n - 1), 0)  # of each stranger in the mean over them
    # Without `@`, which autocast rounds, unlike `cdist`: the weights of a row sum to zero.
    weights = (share * n).sum(dim=1).diag() - (share[:, None] * pairs).sum(dim=2)
    return x.shape[1] * (weights * kernel).sum() / len(gate)


def _labelled_columns(gate: Tensor, partitions: Partitions) -> dict[str, Tensor]:
    """The columns (B,) of a gate (B, K) by labelled partition, without an index on the device."""
    columns = zip(partitions.names, gate.unbind(1), strict=True)
    return {name: column for name, column in columns if name not in partitions.rest}
