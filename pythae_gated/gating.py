"""The gate, and the mixin that gates any Pythae VAE: the one place where the method lives."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from pythae.models.base.base_utils import ModelOutput
from torch import Tensor, nn
from typing_extensions import Self

from pythae_gated.codes import PartitionedCodes
from pythae_gated.config import GatedConfigMixin, read_partitions
from pythae_gated.errors import GateError, PartitionError
from pythae_gated.hub import hub_card
from pythae_gated.parents import MEANS_OVER_IMAGES, check_parent, gated_config
from pythae_gated.partitions import Partitions
from pythae_gated.rows import cut_to_inputs, halves, joined


def gate_gradient(
    z: Tensor,  # (..., L)
    mask: Tensor,  # bool, broadcastable to z
) -> Tensor:  # (..., L)
    """Pass values on as they are, and gradients only where the mask is true.

    Forward: `z`. Backward: the gradient where `mask` is true, and exactly 0.0 where it is false,
    so that every parameter before the gate gets a gradient, if only of zeros (as DDP needs).

    Args:
        z: Values to gate, such as the means or the log-variances of a posterior.
        mask: Where the gate is open; bool, broadcastable to `z`.

    Raises:
        GateError: Where the mask is not bool, or does not broadcast to the shape of `z`.

    Reference:
        Vowels, Camgoz and Bowden, Gated Variational AutoEncoders, 2019 (arXiv 1911.06443).

    Example:
        >>> z = torch.ones(1, 3, requires_grad=True)
        >>> gate_gradient(z, torch.tensor([True, False, True])).sum().backward()
        >>> z.grad
        tensor([[1., 0., 1.]])
    """
    if mask.dtype != torch.bool:
        raise GateError(f"a mask of dtype {mask.dtype}: expected torch.bool")
    if mask.shape != z.shape and not _broadcasts(mask, z):
        raise GateError(
            f"a mask of shape {tuple(mask.shape)} does not broadcast to values of shape "
            f"{tuple(z.shape)}"
        )
    return torch.where(mask, z, z.detach())


def _broadcasts(mask: Tensor, z: Tensor) -> bool:
    sizes = zip(mask.shape[::-1], z.shape[::-1], strict=False)
    return mask.ndim <= z.ndim and all(m in (1, n) for m, n in sizes)


class GatedMixin(PartitionedCodes):
    """Gates a Pythae VAE: `class GatedX(GatedMixin, X)`, with a config made the same way.

    With inputs of `"data"` alone the model is its parent, to the bit. With a `"target"`
    (B, *input_dim), a `"gate"` (B, K) of bool, or both, the parent's own forward and loss run
    with stand-ins for the encoder, the decoder and the loss:

        mu~ = G(mu(x); m)      log_var~ = G(log_var(x); m)      z = mu~ + exp(log_var~ / 2) * eps
        loss = reconstruction(decoder(z), target) + regulariser(mu~, log_var~, z)

    where m is the gate spread over the latent dimensions and G is `gate_gradient`. What the
    decoder sees in closed partitions is set by the config's `closed_partitions`. With `"target"`,
    input and target train the pair in both directions: the loss is the mean of the two, each the
    model's own `loss_function` on B rows, and the decoder's z has the closed partitions exchanged
    (a closed rest is zero); in eval mode `recon_x` reconstructs the data from their own codes.

    The parent is one with a single encoder pass, a Gaussian posterior and `self.loss_function`:
    VAE, BetaVAE, BetaTCVAE, DisentangledBetaVAE, INFOVAE_MMD, MSSSIM_VAE, or a subclass of these.

    Attributes:
        partitions: The `Partitions` of the latent space.

    Raises:
        TypeError: When a class is made whose parent cannot be gated.
        PartitionError: When a model is made whose config is not a gated one, or states partitions
            that do not fit.
        GateError: When a batch's gate or target does not fit its data.

    Reference:
        Vowels, Camgoz and Bowden, Gated Variational AutoEncoders, 2019 (arXiv 1911.06443).
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_parent(cls, GatedMixin)

    def __init__(self, model_config: Any, *args: Any, **kwargs: Any) -> None:
        if not isinstance(model_config, GatedConfigMixin):
            given = type(model_config).__name__
            raise PartitionError(
                f"a {type(self).__name__} needs a gated config, and this is a {given}; make it a "
                f"Gated{given}, which takes partitions= as well"
            )
        partitions = read_partitions(model_config)
        super().__init__(model_config, *args, **kwargs)
        self.model_name = type(self).__name__
        self.partitions = partitions

    @classmethod
    def from_parent(
        cls,
        model: Any,
        *,
        partitions: Mapping[str, int] | None = None,
        rest: Iterable[str] | None = None,
        closed_partitions: Literal["target", "input"] = "target",
    ) -> Self:
        """Make a trained Pythae model a gated one, to be trained on with the labels there are.

        Networks, weights, run-time values (such as a `beta` that was raised while training),
        device, dtype and mode are copies of the parent's, which stays as it was.

        Args:
            model: A model of the very class that this one gates, in memory or reloaded.
            partitions: Name of each partition -> its size, in order; None: one, `"latent"`.
            rest: The partitions that no factor speaks of.
            closed_partitions: What the decoder sees in closed partitions.

        Raises:
            TypeError: Where the model is of another class.
            ValidationError: Pydantic's, where the partitions do not fit.
        """
        config = gated_config(
            cls,
            GatedMixin,
            model,
            partitions=partitions,
            rest=None if rest is None else list(rest),
            closed_partitions=closed_partitions,
        )
        gated = copy.deepcopy(model)
        gated.__class__ = cls
        gated.model_config = config
        gated.model_name = cls.__name__
        gated.partitions = read_partitions(config)
        return gated  # type: ignore[no-any-return]

    def forward(self, inputs: Mapping[str, Any], **kwargs: Any) -> Any:
        """The parent's forward on plain data; on pairs the same, gated.

        Args:
            inputs: A mapping with `"data"` (B, *input_dim), and optionally `"target"`
                (B, *input_dim; default: the data) and `"gate"` (B, K) of bool (default: all open).
            **kwargs: What Pythae's trainers pass on: `epoch`, `dataset_size`, `uses_ddp`.

        Returns:
            The parent's `ModelOutput`: `loss` and its terms (means over the batch), `recon_x`
            (B, *input_dim) and `z` (B, L), the inputs' own codes.
        """
        target, gate = inputs.get("target"), inputs.get("gate")
        if target is None and gate is None:
            return super().forward(inputs, **kwargs)
        data, target, gate = _check_pair(inputs["data"], target, gate, self.partitions)
        if self.model_config.closed_partitions == "input":
            with _standing_in(self, _towards_target(self, target, gate)):
                return super().forward(inputs, **kwargs)
        kwargs.setdefault("dataset_size", len(data))
        both = {**inputs, "data": joined(data, target)}
        with _standing_in(self, _both_directions(self, gate)):
            output = super().forward(both, **kwargs)
        cut_to_inputs(output, len(data))
        if not self.training:
            output["recon_x"] = self.decoder(output["z"])["reconstruction"]
        return output

    def push_to_hf_hub(self, hf_hub_path: str) -> None:
        """Pythae's own, with a model card that names the partitions and what to import.

        Args:
            hf_hub_path: The repository on the hub, "user/name".
        """
        with hub_card(self, hf_hub_path):
            super().push_to_hf_hub(hf_hub_path)


def _check_pair(
    data: Tensor, target: Tensor | None, gate: Tensor | None, partitions: Partitions
) -> tuple[Tensor, Tensor, Tensor]:
    """Data, target and gate of a batch; what is absent means the data itself, all open."""
    target = data if target is None else target
    if target.shape != data.shape:
        raise GateError(
            f"a target of shape {tuple(target.shape)} for data of shape {tuple(data.shape)}: "
            "expected the same shape"
        )
    expected = (len(data), len(partitions.names))
    if gate is None:
        gate = torch.ones(expected, dtype=torch.bool, device=data.device)
    if gate.dtype != torch.bool:
        raise GateError(f"a gate of dtype {gate.dtype}: expected torch.bool")
    if gate.shape != expected:
        raise GateError(
            f"a gate of shape {tuple(gate.shape)}: expected {expected}, a row for each image and "
            f"a column for each of the partitions {', '.join(partitions.names)}"
        )
    return data, target, gate


@contextmanager
def _standing_in(model: object, stand_ins: dict[str, Any]) -> Iterator[None]:
    """Let some of the model's attributes be stand-ins for a while.

    They lie in the instance's dictionary, where Python looks before it asks for a submodule, so
    that a forward which is not ours meets them. Unlike a hook they come after the user's own hooks
    and outside whatever is compiled, and nothing of them reaches a state-dict or a pickle.
    """
    attributes = vars(model)
    before = {name: attributes[name] for name in stand_ins if name in attributes}
    attributes.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del attributes[name]
        attributes.update(before)


def _towards_target(model: Any, target: Tensor, gate: Tensor) -> dict[str, Any]:
    """Stand-ins for `"input"`: x gated, decoded as it is, compared with the target."""
    loss = model.loss_function

    def target_loss(recon_x: Tensor, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        return loss(recon_x, target, *args, **kwargs)

    mask = model.partitions.expand(gate)
    return {"encoder": _gated(model.encoder, mask), "loss_function": target_loss}


def _both_directions(model: Any, gate: Tensor) -> dict[str, Any]:
    """Stand-ins for `"target"`: x and t as 2B rows, each row decoded from the other's open codes.

    Row for row the decoder makes the image that was encoded there, so a loss that is a mean over
    images takes all rows at once; another is computed for each direction on B rows.
    """
    mask = model.partitions.expand(torch.cat([gate, gate]))
    decoder, loss, rows = model.decoder, model.loss_function, len(mask)

    def decode_exchanged(z: Tensor) -> Any:
        own = model.partitions.zero_rest(z.detach())
        return decoder(torch.where(mask, z.roll(rows // 2, 0), own))

    def mean_loss(recon_x: Tensor, x: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        recon, goal = recon_x.chunk(2), x.chunk(2)
        parts = [halves(value, rows) for value in args]
        named = {name: halves(value, rows) for name, value in kwargs.items()}
        directions = []
        for half in (0, 1):
            own = [both[half] for both in parts]
            own_named = {name: both[half] for name, both in named.items()}
            directions.append(loss(recon[1 - half], goal[1 - half], *own, **own_named))
        return tuple((first + second) / 2 for first, second in zip(*directions, strict=True))

    stand_ins: dict[str, Any] = {"encoder": _gated(model.encoder, mask)}
    stand_ins["decoder"] = decode_exchanged
    if getattr(loss, "__func__", None) not in MEANS_OVER_IMAGES:
        stand_ins["loss_function"] = mean_loss
    return stand_ins


def _gated(encoder: nn.Module, mask: Tensor) -> Callable[..., Any]:
    """The encoder, with the gate after it and after whatever hooks it has."""

    def encode_gated(*args: Any, **kwargs: Any) -> Any:
        output = encoder(*args, **kwargs)
        gated = {}
        for key in ("embedding", "log_covariance"):
            code = output[key]
            if code.shape != mask.shape:
                raise GateError(
                    f"the encoder's {key} has shape {tuple(code.shape)}: expected "
                    f"{tuple(mask.shape)}, the partitions' {mask.shape[1]} dimensions"
                )
            gated[key] = gate_gradient(code, mask)
        return ModelOutput(**{**output, **gated})

    return encode_gated
