"""Other readings of the paper's scheme, `closed_partitions="input"`.

"All partitions are used in the forward pass, gradients go back through selected partitions": what
the decoder gets in closed partitions, and what it learns from pairs, is open to interpretation.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pythae_gated import GatedBetaVAE


class SelfPairDecoder(GatedBetaVAE):
    """The decoder learns from self pairs alone; other pairs train the encoder through it."""

    def forward(self, inputs: Mapping[str, Any], **kwargs: Any) -> Any:
        if "gate" not in inputs:
            return super().forward(inputs, **kwargs)
        own = _is_own(inputs)
        loss, output = 0.0, None
        for rows, learns in ((~own, False), (own, True)):
            self.decoder.requires_grad_(learns)
            some = {key: _rows(value, rows) for key, value in inputs.items()}
            if rows.any():
                output = super().forward(some, **kwargs)
                loss = loss + rows.float().mean() * output["loss"]
        self.decoder.requires_grad_(True)
        output["loss"] = loss
        return output


class AlternatingPhases(GatedBetaVAE):
    """100 steps on pairs and 100 steps on plain images, which train all partitions, in turn."""

    length = 100
    steps = 0

    def forward(self, inputs: Mapping[str, Any], **kwargs: Any) -> Any:
        if self.training:
            self.steps += 1
            if self.steps // self.length % 2:
                inputs = {"data": inputs["data"]}
        return super().forward(inputs, **kwargs)


class FreeClosedCodes(GatedBetaVAE):
    """In pairs, the decoder gets samples of the prior in closed partitions."""

    def forward(self, inputs: Mapping[str, Any], **kwargs: Any) -> Any:
        if "gate" not in inputs:
            return super().forward(inputs, **kwargs)
        kept = self.partitions.expand(inputs["gate"]) | _is_own(inputs)[:, None]
        hook = self.decoder.register_forward_pre_hook(
            lambda _, args: (torch.where(kept, args[0], torch.randn_like(args[0])),)
        )
        with hook:
            return super().forward(inputs, **kwargs)


class GatedDecoderWeights(GatedBetaVAE):
    """The weights of the decoder's first layer that read closed partitions get no gradient."""

    def forward(self, inputs: Mapping[str, Any], **kwargs: Any) -> Any:
        if "gate" not in inputs:
            return super().forward(inputs, **kwargs)
        mask = self.partitions.expand(inputs["gate"])

        def gate(layer: Any, args: tuple[Tensor], output: Tensor) -> Tensor:
            opened = torch.where(mask, args[0], 0)
            closed = functional.linear(args[0] - opened, layer.weight.detach())
            return functional.linear(opened, layer.weight, layer.bias) + closed

        with self.decoder.layers[0].register_forward_hook(gate):
            return super().forward(inputs, **kwargs)


def _is_own(inputs: Mapping[str, Any]) -> Tensor:  # (B,) of bool
    return (inputs["data"] == inputs["target"]).flatten(1).all(1)


def _rows(value: Any, rows: Tensor) -> Any:
    return value[rows] if isinstance(value, Tensor) else value


READINGS = {
    "self-pair decoder": SelfPairDecoder,
    "alternating phases": AlternatingPhases,
    "free closed codes": FreeClosedCodes,
    "gated decoder weights": GatedDecoderWeights,
}
