"""GatedMixin: gates a Pythae VAE, and embeds, swaps and generates by partition."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from pythae.data.datasets import DatasetOutput
from pythae.models import BaseAE
from torch import Tensor
from typing_extensions import Self

from pythae_gated import inference
from pythae_gated.datasets.images import Images
from pythae_gated.errors import PartitionError
from pythae_gated.gating.batch import check_pair, check_partitions, warn_about_data
from pythae_gated.gating.config import GatedConfigMixin, partitions_of
from pythae_gated.gating.gate import TargetScheme, fixed, input_scheme, scaled_loss
from pythae_gated.gating.parents import check_parent, forward_with, gate_model
from pythae_gated.partitions import Partitions
from pythae_gated.registry import HubCardMixin

_Parent: Any = object  # in a class of models, the Pythae VAE


def _inference(name: str) -> Any:
    """A method of Pythae's, whose call of `forward` is no training step, whatever the mode."""

    @functools.wraps(getattr(BaseAE, name))
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen, self._data_seen = self._data_seen, frozenset((True, False))
        try:
            return getattr(super(GatedMixin, self), name)(*args, **kwargs)
        finally:
            self._data_seen = seen

    return method


class GatedMixin(HubCardMixin, _Parent):
    """Gates a Pythae VAE: `class GatedX(GatedMixin, X)`, with a config made the same way.

    On inputs of `"data"` only, the model is its parent, bit for bit (InfoVAE up to rounding). With
    a `"target"` (B, *input_dim), a bool `"gate"` (B, K), or both, the parent's own forward and
    loss run with another encoder, decoder and loss function:

        mu~ = G(mu(x); m)      log_var~ = G(log_var(x); m)      z = mu~ + exp(log_var~ / 2) * eps
        loss = reconstruction(decoder(z), target) + regulariser(mu~, log_var~, z)

    where m is the gate expanded over the latent dimensions and G is `gate_gradient`. The config's
    `closed_partitions` sets what the decoder receives in closed partitions. With `"target"`,
    input and target train the pair in both directions: the loss is the mean of the two, each the
    model's own `loss_function` on B rows, and in the decoder's z the closed partitions are
    exchanged (zero at first in a closed rest, see `closed_rest`). In eval mode `recon_x`
    reconstructs the data from its own codes. Terms are added, multiplied by the weight w of the
    parent's KL, such as `beta`:

        w (agreement A + sum_j (w_j - 1) KL_j + n swap_consistency S + rest_hsic H)
        A = mean of KL(q(z_k | x) || q(z_k | t)) and KL(q(z_k | t) || q(z_k | x)), k open, labelled
        S = KL(q(z_rest | x) || q(z_rest | x'))

    where KL_j is that of dimension j to the prior, whose weights w_j follow from `labelled_kl` and
    `kl_ratio`, x' is decoded, without gradient, from the rest of x and the labelled codes of other
    images, for the first third of the batch, n is the number of labelled partitions, and H is
    `pythae_gated.gating.terms.hsic`. The gradients of A flow through open labelled partitions
    only, those of KL_j through open ones, those of S through the rest of the encoding of x' only,
    those of H through the means of the rest only. `annealing`, which `GatedSchedule` lowers,
    multiplies `agreement` and the limit of `robust_pairs`, and is the power of `kl_ratio`; while
    its `rest_shown` is True, `closed_rest` has its effect. With `robust_pairs`, the gradients of
    a pair's loss, A and KL_j are multiplied by `pythae_gated.gating.terms.weigh_pairs`.

    The parent has a single encoder pass, a Gaussian posterior and a `loss_function`: VAE, BetaVAE,
    BetaTCVAE, DisentangledBetaVAE, INFOVAE_MMD, MSSSIM_VAE, or a subclass of these. With
    `"target"`, its networks get images or codes only, no condition. Your own `loss_function` takes
    `recon_x` and `x` first and returns a tuple of means over the batch; it may use `self.encoder`
    and `self.decoder`, which are not gated. Set `kl_weight` (a number or property) to the weight
    of its KL, which is taken to be `beta`, or else 1. If the decoder's reconstructions are not on
    the scale of the data, such as logits, set `swap_consistency=0`. A loss on labels belongs in a
    subclass of the gated class, whose parent sees 2B rows; on codes that it encodes again, since
    `z` of a pair has a gradient in open partitions only. A forward does not replace the encoder,
    decoder or loss function of the model, so that several threads may share it.

    Raises:
        TypeError: At class definition, if the parent cannot be gated.
        PartitionError: If the model's config is not a gated one or its partitions do not fit.
        GateError: If a batch's data, target, gate or partitions do not fit the model, or the
            parent's forward does not call `self.loss_function`, or `self.encoder` once, or gives
            its networks a condition, see above.

    Warns:
        UserWarning: At the first training step, if the batch has no pairs although the model has
            several partitions, or `loss_function` is your own and there is no `kl_weight`; there
            and at the first step of an evaluation, if the data has a standard deviation above 20,
            or values that the decoder's final Sigmoid cannot reach.

    Reference:
        Vowels, Camgoz and Bowden, Gated Variational AutoEncoders, 2019 (arXiv 1911.06443).
    """

    # What `GatedSchedule` changes during training.
    regularizer_scale: float = 1.0  # of the gradients of all terms but the reconstruction
    annealing: float = 1.0  # a factor of agreement and the power of kl_ratio
    rest_shown: bool = False  # whether closed_rest has its effect
    decoder_only: bool = False  # pairs are plain images; the loss is the reconstruction's
    schedule: Any = None  # the `GatedSchedule` of the training that runs

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_parent(cls, GatedMixin)

    def __init__(self, model_config: Any, *args: Any, **kwargs: Any) -> None:
        if not isinstance(model_config, GatedConfigMixin):
            given = type(model_config).__name__
            raise PartitionError(
                f"{type(self).__name__} needs a gated config, and got a {given}; use "
                f"Gated{given}, which also takes partitions=, or from_parent for a trained model"
            )
        partitions_of(model_config)
        dataclasses.replace(model_config)  # checks fields that were assigned since
        super().__init__(model_config, *args, **kwargs)
        self.model_name = type(self).__name__
        self._data_seen: frozenset[bool] = frozenset()  # in training mode, in eval mode

    def __getstate__(self) -> dict[str, Any]:
        # Pythae copies the best model during a phase of the schedule, and the copy leaves it.
        phase = ("regularizer_scale", "annealing", "rest_shown", "decoder_only", "schedule")
        return {name: value for name, value in vars(self).items() if name not in phase}

    @property
    def partitions(self) -> Partitions:
        """The partitions of the latent space, as in the model's config."""
        return partitions_of(self.model_config)

    @partitions.setter
    def partitions(self, partitions: Partitions) -> None:
        raise AttributeError(
            f"partitions cannot be assigned; use {type(self).__name__}.from_parent(model, "
            f"partitions={partitions.sizes}, rest={list(partitions.rest)})"
        )

    def extra_repr(self) -> str:
        """The first line of `repr(model)`: the partitions."""
        return str(self.partitions)

    @classmethod
    def from_parent(
        cls,
        model: Any,
        *,
        partitions: Mapping[str, int] | None = None,
        rest: Iterable[str] | None = None,
        **fields: Any,
    ) -> Self:
        """Make a gated model from a trained one, to train it further with labels.

        Networks, weights, run-time values (such as a `beta` that was raised while training),
        device, dtype and mode are copied; the given model does not change. For another beta than
        the trained one's, set `model.beta` and `model.model_config.beta`.

        Args:
            model: A trained model of the parent's class, or of this one (to change its
                partitions).
            partitions: Name -> size of each partition, in order; None: those of a gated model,
                else a single one, `"latent"`.
            rest: The unlabelled partitions.
            **fields: Other fields of `GatedConfigMixin`, such as `robust_pairs`; without them (or
                None) as in a gated model, else their defaults.

        Raises:
            TypeError: If the model is of another class, or a field is not of `GatedConfigMixin`.
            ValidationError: (pydantic) If the partitions or a value do not fit.
        """
        others = fields.keys() - {field.name for field in dataclasses.fields(GatedConfigMixin)}
        if others:
            raise TypeError(
                f"from_parent cannot change {', '.join(sorted(others))}: only fields of "
                "GatedConfigMixin. For beta, set model.beta and model.model_config.beta"
            )
        fields["partitions"] = partitions
        if partitions is not None or rest is not None:
            fields["rest"] = rest if isinstance(rest, str) else list(rest or ())
        given = {name: value for name, value in fields.items() if value is not None}
        gated: Self = gate_model(cls, GatedMixin, model, **given)
        return gated

    def forward(self, inputs: Mapping[str, Any], **kwargs: Any) -> Any:
        """The parent's forward on plain data; on pairs the same, gated.

        Args:
            inputs: A mapping with `"data"` (B, *input_dim), and optionally `"target"`
                (B, *input_dim; default: the data) and a bool `"gate"` (B, K; default: all open);
                `"partitions"`, if given, must be the model's.
            **kwargs: Arguments of Pythae's trainers: `epoch`, `dataset_size`, `uses_ddp`.

        Returns:
            The parent's `ModelOutput`: `loss` and its terms (means over the batch), `recon_x`
            (B, *input_dim), of the targets in training mode, else of the data, and `z` (B, L),
            the codes of the data; with `"target"`, only open partitions have a gradient.
        """
        target, gate, partitions = inputs.get("target"), inputs.get("gate"), self.partitions
        inference.fit_shape(inputs["data"], self.input_dim)  # only checked: networks may reshape
        check_partitions(inputs.get("partitions"), partitions)
        has_pairs = target is not None or gate is not None
        if self.training not in self._data_seen:
            self._data_seen |= {self.training}
            warn_about_data(self, partitions, inputs["data"], has_pairs)
        run: Any = functools.partial(forward_with, self, GatedMixin, **kwargs)
        if self.decoder_only:
            n = len(inputs["data"])
            if target is not None:  # as many images as in other steps
                inputs = DatasetOutput(inputs, data=torch.cat([inputs["data"], target]))
            output = run({"encoder": fixed(self.encoder)}, inputs)
            output["loss"] = output.get("recon_loss", output["loss"])
            if kwargs.get("uses_ddp"):  # which requires a gradient of every parameter
                output["loss"] = output["loss"] + 0 * sum(p.sum() for p in self.parameters())
            shown = slice(-n, None) if self.training else slice(n)
            output["recon_x"], output["z"] = output["recon_x"][shown], output["z"][:n]
            return output
        if not has_pairs:
            if self.regularizer_scale == 1:
                return super().forward(inputs, **kwargs)
            return run({"loss_function": scaled_loss(self)}, inputs)
        data, target, gate = check_pair(inputs["data"], target, gate, partitions)
        if self.model_config.closed_partitions == "input":
            return run(input_scheme(self, partitions, target, gate), inputs)
        both = DatasetOutput(inputs, data=torch.cat([data, target]))
        scheme = TargetScheme(self, partitions, gate)
        parts = {"encoder": scheme.encode, "decoder": scheme.decode, "loss_function": scheme.loss}
        output = run(parts, both, dataset_size=kwargs.get("dataset_size", len(data)))
        output["loss"] = output["loss"] + scheme.terms()
        output["z"] = output["z"][: len(data)]
        if self.training:  # the second half of the decoder's rows were decoded from the inputs
            output["recon_x"] = output["recon_x"][len(data) :]
        else:
            output["recon_x"] = self.decoder(output["z"])["reconstruction"]
        return output

    embed = _inference("embed")
    reconstruct = _inference("reconstruct")
    interpolate = _inference("interpolate")

    def embed_partitions(
        self,
        x: Images,  # (N, *input_dim)
        *,
        sample: bool = False,
    ) -> dict[str, Tensor]:  # name -> (N, L_k)
        """The codes of images, by partition. Without gradient, in eval mode.

        Means give the most precise reconstructions and nearest neighbours. Use samples if a
        factor must not be recoverable from the partitions of others: a classifier reads from
        means even differences far below the noise of the posterior, which samples hide.

        Args:
            x: Images.
            sample: Whether to sample the posterior, with torch's global generator; False: its
                means.

        Raises:
            ValueError: If the images have another shape than the model's, or contain NaN.
        """
        encoded = inference.posterior(self, x, name="x")
        z = inference.sample_posterior(encoded) if sample else encoded[0]
        return self.partitions.split(inference.to_device_of(self, z))

    def swap(
        self,
        a: Images,  # (N, *input_dim)
        b: Images,  # (N, *input_dim) or (1, *input_dim)
        partition: str | Iterable[str],
    ) -> Tensor:  # (N, *input_dim)
        """Reconstruct `a` with the code of `b` in one or several partitions (posterior means).

        Without gradient, in eval mode.

        Raises:
            PartitionError: If the partition does not exist.
            ValueError: If `b` has neither as many images as `a` nor one, or images have another
                shape than the model's or contain NaN.
        """
        return inference.to_device_of(self, inference.swap(self, a, b, partition))

    def generate(
        self,
        x: Images,  # (N, *input_dim)
        vary: str | Iterable[str],
        n: int = 8,
        *,
        source: Images | None = None,  # (S, *input_dim)
        generator: torch.Generator | None = None,
    ) -> Tensor:  # (N, n, *input_dim)
        """Variations of each image: the codes of some partitions are resampled, the others kept.

        Without gradient, in eval mode. The kept codes are the posterior means of `x`.

        Args:
            x: The images to vary.
            vary: The partition, or partitions, to resample.
            n: Variations per image, at least 1.
            source: Images whose posterior means replace the code: those of one image, chosen at
                random for each variation, in all varied partitions. None samples the prior,
                N(0, I).
            generator: A generator on the CPU, where samples are drawn; None is torch's global
                one.

        Returns:
            The variations, in the model's device and dtype.

        Raises:
            PartitionError: If a partition does not exist, or none is named.
            ValueError: If n is not an int of at least 1, `x` or `source` has another shape than
                the model's images or contains NaN, or the generator is not on the CPU.

        Example:
            >>> from pythae_gated import GatedVAE, GatedVAEConfig
            >>> sizes = {"pose": 1, "identity": 2}
            >>> model = GatedVAE(GatedVAEConfig((1, 4, 4), latent_dim=3, partitions=sizes))
            >>> model.generate(torch.rand(5, 1, 4, 4), vary="pose", n=6).shape
            torch.Size([5, 6, 1, 4, 4])
        """
        images = inference.generate(self, x, vary, n, source=source, generator=generator)
        return inference.to_device_of(self, images)
