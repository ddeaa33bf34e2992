"""Checks of the batches given to a gated model; only the first one synchronises the device."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from pythae_gated.errors import GateError
from pythae_gated.gating.terms import kl_weight
from pythae_gated.partitions import Partitions


def check_partitions(given: Partitions | None, partitions: Partitions) -> None:
    """Refuse pairs made for other partitions than the model's.

    Raises:
        GateError: With both.
    """
    if given is not None and given != partitions:
        raise GateError(
            f"these pairs were made for {given}, and the model has {partitions}; make the "
            "PairedDataset with model.partitions"
        )


def check_pair(
    data: Tensor, target: Tensor | None, gate: Tensor | None, partitions: Partitions
) -> tuple[Tensor, Tensor, Tensor]:
    """Data, target and gate of a batch; by default the data itself, and all open.

    Raises:
        GateError: If the shapes or the dtype of the gate do not fit.
    """
    target = data if target is None else target
    if target.shape != data.shape:
        raise GateError(
            f"target of shape {tuple(target.shape)} for data of shape {tuple(data.shape)}: "
            "expected the same shape"
        )
    expected = (len(data), len(partitions.names))
    if gate is None:
        gate = torch.ones(expected, dtype=torch.bool, device=data.device)
    if gate.dtype != torch.bool:
        raise GateError(f"gate of dtype {gate.dtype}: expected torch.bool")
    if gate.shape != expected:
        raise GateError(
            f"gate of shape {tuple(gate.shape)}: expected {expected}, one row per image and one "
            f"column for each of the partitions {', '.join(partitions.names)}"
        )
    return data, target, gate


def warn_about_data(model: Any, partitions: Partitions, data: Tensor, has_pairs: bool) -> None:
    """Warn about data on a large scale, or that the decoder cannot reach.

    In training, also about data without pairs, and a loss whose weight of the KL is not known.
    """
    what = "the data"
    if model.training:
        _warn_about_training(model, partitions, has_pairs)
    else:
        what += " of the evaluation (only a PairedDataset divides uint8 by 255)"
    data = data.detach()
    try:
        spread = float(data.float().std(correction=0))
    except RuntimeError:  # the tensor has no values, as on the device "meta"
        return
    if spread > 20:
        warnings.warn(
            f"{what} has a standard deviation of {spread:.3g}, with which trainings on pairs "
            "have failed: standardise it, or scale images to [0, 1]",
            stacklevel=4,
        )
    *_, last = model.decoder.modules()
    if not isinstance(last, nn.Sigmoid):
        return
    low, high = float(data.min()), float(data.max())
    if low < 0 or high > 1:
        warnings.warn(
            f"{what} is between {low:.3g} and {high:.3g}, and the decoder ends in a Sigmoid, as "
            "Pythae's default does: values outside [0, 1] cannot be reconstructed; rescale the "
            "data, or pass networks without it, such as those of pythae_gated.networks",
            stacklevel=4,
        )


def _warn_about_training(model: Any, partitions: Partitions, has_pairs: bool) -> None:
    name, names = type(model).__name__, partitions.names
    if not has_pairs and len(names) > 1:
        warnings.warn(
            f"{name} trains on images without pairs, that is as the ungated model, although it "
            f"has the partitions {', '.join(names)}; pass a PairedDataset",
            stacklevel=5,
        )
    author = type(model).loss_function.__module__.split(".")[0]
    is_known = author in ("pythae", "pythae_gated") or hasattr(model, "kl_weight")
    if has_pairs and not is_known and model.model_config.closed_partitions == "target":
        warnings.warn(
            f"{name} has its own loss_function, in which the KL is taken to have a weight of "
            f"{kl_weight(model):g}; set kl_weight, a number or property of the model. If the KL's "
            "weight is lower than that, the training can diverge",
            stacklevel=5,
        )
