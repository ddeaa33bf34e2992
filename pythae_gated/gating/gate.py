"""The gate on gradients, and its two schemes: what the decoder receives in closed partitions."""

from collections.abc import Callable
from typing import Any

import torch
from pythae.models import VAE, BetaVAE, DisentangledBetaVAE
from pythae.models.base.base_utils import ModelOutput
from torch import Tensor, nn

from pythae_gated.errors import GateError
from pythae_gated.gating import terms
from pythae_gated.partitions import Partitions

# Losses that are a mean over images: on 2B rows, the mean of the losses of both directions.
_MEANS_OVER_IMAGES = tuple(parent.loss_function for parent in (VAE, BetaVAE, DisentangledBetaVAE))
_CONDITIONAL = (
    "the parent's forward gives its {} another argument, such as a condition, which "
    'closed_partitions="target" does not support: set closed_partitions="input"'
)


def gate_gradient(z: Tensor, mask: Tensor) -> Tensor:  # (..., L), (..., L) -> (..., L)
    """Return `z`, and in the backward pass let gradients through only where `mask` is True.

    The gradient is exactly 0.0 where `mask` is False, so every parameter before the gate gets a
    gradient, if only of zeros (DDP requires one).

    Args:
        z: Values to gate, such as the means or the log-variances of a posterior.
        mask: Where the gate is open; bool, broadcastable to `z`.

    Raises:
        GateError: If the mask is not bool or does not broadcast to the shape of `z`.

    Reference:
        Vowels, Camgoz and Bowden, Gated Variational AutoEncoders, 2019 (arXiv 1911.06443).

    Example:
        >>> z = torch.ones(1, 3, requires_grad=True)
        >>> gate_gradient(z, torch.tensor([True, False, True])).sum().backward()
        >>> z.grad
        tensor([[1., 0., 1.]])
    """
    if mask.dtype != torch.bool:
        raise GateError(f"mask of dtype {mask.dtype}: expected torch.bool")
    sizes = zip(mask.shape[::-1], z.shape[::-1], strict=False)
    if mask.ndim > z.ndim or any(m not in (1, n) for m, n in sizes):
        raise GateError(
            f"mask of shape {tuple(mask.shape)} does not broadcast to values of shape "
            f"{tuple(z.shape)}"
        )
    return torch.where(mask, z, z.detach())


def input_scheme(
    model: Any, partitions: Partitions, target: Tensor, gate: Tensor
) -> dict[str, Any]:
    """The attributes that differ for `"input"`: x is gated, decoded and compared with t."""
    loss = scaled_loss(model)

    def target_loss(recon_x: Tensor, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        return loss(recon_x, target, *args, **kwargs)

    mask = partitions.expand(gate)

    def encode_gated(*args: Any, **kwargs: Any) -> Any:
        return _gate_posterior(model.encoder(*args, **kwargs), mask)

    return {"encoder": encode_gated, "loss_function": target_loss}


def scaled_loss(model: Any) -> Callable[..., Any]:
    """The parent's loss, with the gradients of all terms but the reconstruction scaled."""
    loss, scale = model.loss_function, model.regularizer_scale

    def scaled(recon_x: Tensor, x: Tensor, *codes: Any, **named: Any) -> Any:
        codes, named = _map_rows(codes, named, len(x), lambda a: terms.scale_gradient(a, scale))
        return loss(recon_x, x, *codes, **named)

    return scaled


class TargetScheme:
    """The attributes that differ for `"target"`: x and t as 2B rows, paired in both directions.

    Row i of the decoder's input has its own code without gradient in the closed partitions (in
    the rest zero at first, see the config's `closed_rest`), and its partner's in the open ones:
    it reconstructs its own image.

    Args:
        model: The gated model.
        partitions: Its partitions.
        gate: Shape (B, K).
    """

    def __init__(self, model: Any, partitions: Partitions, gate: Tensor) -> None:
        self._model, self._partitions, self._gate = model, partitions, gate
        self._mask = partitions.expand(torch.cat([gate, gate]))
        self._weights: Tensor | float = 1.0  # or (2B,), of the rows of both directions

    def encode(self, *args: Any, **kwargs: Any) -> Any:
        """The gated posteriors."""
        output = self._model.encoder(*args, **kwargs)
        self._ungated = output["embedding"]
        output = _gate_posterior(output, self._mask)
        self._shape = (*args, *kwargs.values())[0].shape[1:]
        self._is_conditional = len(args) + len(kwargs) > 1
        self._mu, self._log_var = output["embedding"], output["log_covariance"]
        config, codes = self._model.model_config, (self._mu, self._log_var)
        if config.agreement or config.robust_pairs:
            self._divergence = terms.divergence(*codes)
        if config.robust_pairs and self._partitions.labelled:
            phase = self._model.regularizer_scale, self._model.annealing
            weights = terms.weigh_pairs(
                *codes, self._divergence, self._gate, self._partitions, *phase
            )
            self._weights = torch.cat([weights, weights])
        return output

    def decode(self, z: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Decode with the codes of the partners in open partitions."""
        if args or kwargs:
            raise GateError(_CONDITIONAL.format("decoder"))
        self._z = z
        own, model = z.detach(), self._model
        if model.model_config.closed_rest == "zero" or not model.rest_shown:
            own = self._partitions.zero_rest(own)
        return model.decoder(torch.where(self._mask, z.roll(len(self._gate), 0), own))

    def loss(self, recon_x: Tensor, x: Tensor, *codes: Any, **kwargs: Any) -> Any:
        """The mean of the parent's loss in both directions, with gradients weighed by pair."""
        n, loss = len(recon_x), self._model.loss_function
        recon_x = terms.scale_gradient(recon_x, self._weights)
        scale = self._model.regularizer_scale * self._weights
        codes, kwargs = _map_rows(codes, kwargs, n, lambda a: terms.scale_gradient(a, scale))
        if getattr(loss, "__func__", None) in _MEANS_OVER_IMAGES:
            return loss(recon_x, x, *codes, **kwargs)

        def direction(codes_of: int, image_of: int) -> Any:
            own, named = _map_rows(codes, kwargs, n, lambda rows: rows.chunk(2)[codes_of])
            return loss(recon_x.chunk(2)[image_of], x.chunk(2)[image_of], *own, **named)

        both = zip(direction(0, 1), direction(1, 0), strict=True)
        return tuple((first + second) / 2 for first, second in both)

    def terms(self) -> Tensor | float:
        """What is added to the loss: agreement, weights of the KL, swap consistency and HSIC."""
        config, partitions = self._model.model_config, self._partitions
        annealing = self._model.annealing
        if not partitions.labelled:
            return 0.0
        by_row = self._mu.new_zeros(len(self._mu))
        if config.agreement:
            opened = torch.where(self._mask, self._divergence, 0)
            opened = terms.select(opened, partitions, partitions.labelled)
            by_row = config.agreement * annealing * opened.sum(dim=1)
        given = config.labelled_kl, config.kl_ratio
        # The weight of DisentangledBetaVAE's KL changes its sign at the capacity.
        if given != (1, 1) and not isinstance(self._model, DisentangledBetaVAE):
            kl = terms.prior_kl(self._mu, self._log_var)
            power = round(annealing, 2)  # so that most steps have weights that are made already
            weights = terms.kl_weights(partitions, *given, power, kl.device, kl.dtype)
            by_row = by_row + ((weights - 1) * kl).sum(dim=1)
        total = terms.scale_gradient(by_row, self._weights).mean()
        if config.swap_consistency and partitions.rest and len(self._gate) > 1:
            if self._is_conditional:  # it encodes again
                raise GateError(_CONDITIONAL.format("encoder"))
            codes = self._z, self._mu, self._log_var
            moved = terms.swap_divergence(self._model, partitions, *codes, self._shape)
            total = total + config.swap_consistency * len(partitions.labelled) * moved
        if config.rest_hsic and partitions.rest:
            dependence = terms.hsic(self._ungated, self._gate, partitions)
            total = total + config.rest_hsic * dependence
        weighted = terms.kl_weight(self._model) * total
        return terms.scale_gradient(weighted, self._model.regularizer_scale)


def _gate_posterior(output: Any, mask: Tensor) -> ModelOutput:
    """The output of an encoder, gated, after the user's hooks on the encoder."""
    gated = {}
    for key in ("embedding", "log_covariance"):
        if key not in output:
            raise GateError(
                f"the encoder returns no {key}: expected that of a VAE with a Gaussian posterior"
            )
        code = output[key]
        if code.shape != mask.shape:
            raise GateError(
                f"the encoder's {key} has shape {tuple(code.shape)}: expected "
                f"{tuple(mask.shape)}, the {mask.shape[1]} dimensions of the partitions"
            )
        gated[key] = gate_gradient(code, mask)
    return ModelOutput(**{**output, **gated})


def fixed(encoder: nn.Module) -> Callable[..., Any]:
    """The encoder without gradient."""

    def encode_fixed(*args: Any, **kwargs: Any) -> Any:
        with torch.no_grad():
            return ModelOutput(**encoder(*args, **kwargs))

    return encode_fixed


def _map_rows(
    codes: tuple[Any, ...], named: dict[str, Any], n: int, change: Callable[[Tensor], Tensor]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Change all tensors of n rows among the arguments of a loss, and keep other values."""

    def changed(value: Any) -> Any:
        is_rows = isinstance(value, Tensor) and value.ndim > 0 and len(value) == n
        return change(value) if is_rows else value

    return tuple(map(changed, codes)), {name: changed(value) for name, value in named.items()}
