"""Schedules: warm-up of beta, and the schedule that gated models are trained with."""

import math
import warnings
from contextlib import ExitStack
from numbers import Real
from typing import Any

from pythae.models import CIWAE
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from pythae_gated.callbacks.evaluation import Logs
from pythae_gated.callbacks.trainer import check_epochs, is_main_process, unwrap
from pythae_gated.gating import GatedMixin

_REST_HIDDEN = 1_500  # steps, at least, before closed_rest has its effect
_ANNEALED = 0.3  # factor of agreement and of robust_pairs' limit, power of kl_ratio, in the end


class KLWarmup(TrainingCallback):
    """Raise `model.beta` linearly over the first epochs, against posterior collapse.

        beta(e) = start + (beta - start) min(1, (e - 1) / epochs),    e = 1, 2, ...

    where beta is the model's when training begins: epoch 1 trains at `start`, and epoch
    `epochs` + 1 is the first at the full beta. Each epoch is *evaluated* at the full beta, so
    that Pythae compares equal losses when it keeps the best epoch: give it an `eval_dataset`.
    The config does not change: checkpoints reload with the config's beta. `model.beta` is lower
    only during the training of an epoch, and stays lower only if that is interrupted. Logs
    `train_beta` to the callbacks that come after this one.

    For models whose `beta` weights a KL: `BetaVAE`, `BetaTCVAE` (its total correlation),
    `DisentangledBetaVAE`, `MSSSIM_VAE` and `DIPVAE`, their gated variants, and your own models.

    Args:
        epochs: Number of epochs that train below the full beta.
        start: The beta of the first epoch, at least 0.

    Raises:
        TypeError: When training begins, if the model has no such `beta`.
        ValueError: If `epochs` is below 1, or `start` is below 0 or above the model's beta.

    Warns:
        UserWarning: When training begins, if Pythae keeps the epoch of lowest *training* loss
            (`keep_best_on_train`, or no `eval_dataset`), the training is too short to reach the
            full beta, or the model's beta differs from its config's, as after an interruption.

    Reference:
        Bowman et al., "Generating Sentences from a Continuous Space", CoNLL 2016, section 3.1.

    Example:
        >>> callbacks = [KLWarmup(epochs=10)]  # for TrainingPipeline or BaseTrainer
    """

    def __init__(self, epochs: int, *, start: float = 0.0) -> None:
        check_epochs("epochs", epochs)
        if not isinstance(start, int | float) or not 0 <= start < math.inf:
            raise ValueError(f"start={start!r}: expected a finite number of at least 0")
        self.epochs = epochs
        self.start = start

    def on_train_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Store the full beta, or refuse a model that has none."""
        model = unwrap(kwargs["model"])
        beta: Any = getattr(model, "beta", None)
        if not isinstance(beta, Real) or isinstance(model, CIWAE):
            why = "has no beta" if beta is None else f"has a beta ({beta!r}) that weights no KL"
            raise TypeError(
                f"{type(model).__name__} {why}, so KLWarmup cannot raise it; use BetaVAE with "
                "beta=1 for VAE, and GatedBetaVAE with beta=1 for GatedVAE"
            )
        self._full = self._beta = float(beta)
        if self.start > self._full:
            raise ValueError(f"start={self.start} is above the model's beta of {self._full}")
        if is_main_process(training_config):
            self._warn(training_config, model)

    def on_train_step_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Set the beta of this epoch (a train step, in Pythae, is the training of an epoch)."""
        left = max(0.0, 1 - (kwargs["epoch"] - 1) / self.epochs)
        self._beta = self._full - (self._full - self.start) * left
        unwrap(kwargs["model"]).beta = self._beta

    def on_eval_step_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Evaluate at the full beta."""
        unwrap(kwargs["model"]).beta = self._full

    on_epoch_end = on_eval_step_begin  # restores the full beta if there was no evaluation

    def on_log(self, training_config: BaseTrainerConfig, logs: Logs, **kwargs: Any) -> None:
        """Log the beta of this epoch's training."""
        logs["train_beta"] = self._beta

    def _warn(self, training_config: BaseTrainerConfig, model: Any) -> None:
        saved, epochs = getattr(model.model_config, "beta", self._full), training_config.num_epochs
        for wrong, text in (
            (
                training_config.keep_best_on_train,
                "Pythae will keep the epoch of lowest training loss, which may be an early one, "
                "trained at a small beta. Give the trainer an eval_dataset and "
                "keep_best_on_train=False",
            ),
            (
                self.epochs >= epochs,
                f"a warm-up of {self.epochs} epochs in a training of {epochs}: no epoch reaches "
                f"the full beta of {self._full}",
            ),
            (
                saved != self._full,
                f"the model's beta is {self._full} and its config's {saved}: the warm-up ends at "
                "the former, a saved model reloads with the latter. After an interrupted "
                f"warm-up, set model.beta = {saved} first",
            ),
        ):
            if wrong:
                warnings.warn(text, stacklevel=3)


class GatedSchedule(TrainingCallback):
    """Warm-up of the regularisers, decay of the learning rate, and a last phase for the decoder.

    1. During the first fraction `warmup` of the steps, the gradients of all terms of the loss but
       the reconstruction are scaled by a factor that rises from 0 to 1, as does the exponent of
       the weights of `robust_pairs`.
    2. During the last fraction `decay` of the steps before phase 3, the learning rate falls
       linearly to zero, the model's `agreement` and the limit of `robust_pairs` to 0.3 of their
       values, and its `kl_ratio` to its power of 0.3 (from 30 to 2.8); from step 1,500 on, the
       model's `closed_rest` has its effect (before, few factors are in their own partitions).
    3. During the last fraction `finish` of the steps the decoder alone is trained, to reconstruct
       both images of each pair from their own sampled codes. The parameters of the encoder do not
       change any more. The learning rate returns to its initial value, and falls to zero over the
       second half of the phase.

    In phases 1 and 2 the loss is reported at the full weights, and evaluated with `agreement`,
    `kl_ratio` and `closed_rest` as at the end of phase 2, so that epochs can be compared. In phase
    3 it is the reconstruction's only, which is lower (unless the other terms are negative), so
    that Pythae's choice of the best epoch, by training or evaluation loss, falls in phase 3,
    except in trainings of so few steps that the model has not learnt anything before. The rates of
    the trainer's own scheduler are multiplied. A training that is resumed from a checkpoint runs
    the whole schedule over its own epochs: give it `warmup=0` if the terms were at full weight. An
    interrupted training leaves the model in its phase: train it with a schedule again, or set
    `model.regularizer_scale = model.annealing = 1.0` and `model.decoder_only = model.rest_shown =
    False`. `KLWarmup` is not needed besides.

    Args:
        warmup: Fraction of all steps, from 0 to below 1.
        decay: Fraction of the steps before phase 3.
        finish: Fraction of all steps; 0: no phase 3.

    Raises:
        TypeError: When training begins, if the model is not a gated one.
        ValueError: If a fraction is not from 0 to below 1; when training begins, if the decoder
            is frozen and there is a phase 3, or there are two schedules.

    Reference:
        Bowman et al., "Generating Sentences from a Continuous Space", CoNLL 2016, section 3.1
        (warm-up).

    Example:
        >>> callbacks = [GatedSchedule()]  # for TrainingPipeline or BaseTrainer
    """

    def __init__(self, *, warmup: float = 0.3, decay: float = 0.4, finish: float = 1 / 6) -> None:
        for name, share in (("warmup", warmup), ("decay", decay), ("finish", finish)):
            if not isinstance(share, Real) or not 0 <= share < 1:
                raise ValueError(f"{name}={share!r}: expected a fraction from 0 to below 1")
        self.warmup, self.decay, self.finish = warmup, decay, finish
        self._watch = ExitStack()  # removes the hook that looks for optimizers
        self._hooks = ExitStack()  # removes those of the optimizers found
        self._rates: dict[Optimizer, list[float]] = {}  # of their groups
        self._depth = 0  # of nested steps, as where an optimizer wraps another

    def on_train_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Refuse a model that is not gated, or whose decoder is frozen."""
        self._stop()  # after an interrupted training
        self._model = unwrap(kwargs["model"])
        if not isinstance(self._model, GatedMixin):
            raise TypeError(
                f"GatedSchedule is for gated models, and {type(self._model).__name__} is not one; "
                "add the prefix Gated to its class, or leave the schedule out"
            )
        trains = any(each.requires_grad for each in self._model.decoder.parameters())
        if self.finish and not trains:
            raise ValueError("the decoder does not train: use GatedSchedule(finish=0)")
        self._model.schedule = self  # instead of that of a training that failed

    def on_train_step_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Start an epoch (a train step, in Pythae, is the training of an epoch)."""
        if self._model.schedule is not self:
            raise ValueError("two GatedSchedules among the callbacks: leave one out")
        self._steps = len(kwargs["train_loader"])
        self._total: int = self._steps * training_config.num_epochs
        self._alone: int = round(self._total * (1 - self.finish))  # the first step of finishing
        self._set_step(self._steps * (kwargs["epoch"] - 1))
        self._watch.close()
        if not self._rates:  # Pythae does not pass the optimizer to callbacks
            self._watch.enter_context(register_optimizer_step_pre_hook(self._find_optimizer))

    def on_train_step_end(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Count a batch."""
        if self._rates:
            self._watch.close()
        self._set_step(self._step + 1)

    def on_eval_step_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Evaluate by the loss that the last batch was trained with, at the last annealing."""
        self._model.decoder_only = self._step > self._alone
        self._model.annealing = _ANNEALED if self.decay else 1.0
        self._model.rest_shown = self.decay > 0 and self._alone > _REST_HIDDEN

    def on_train_end(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Leave the model and torch as they were."""
        self._stop()
        self._model.schedule = None
        self._model.regularizer_scale = self._model.annealing = 1.0
        self._model.decoder_only = self._model.rest_shown = False

    def _stop(self) -> None:
        self._watch.close()
        self._hooks.close()
        self._rates, self._depth = {}, 0

    def _set_step(self, step: int) -> None:
        self._step = step
        warmup = self.warmup * self._total
        self._model.regularizer_scale = min(1.0, self._step / warmup) if warmup else 1.0
        decayed = self._decayed()
        self._model.annealing = _ANNEALED + (1 - _ANNEALED) * decayed
        self._model.rest_shown = decayed < 1 and self._step >= _REST_HIDDEN
        self._model.decoder_only = self.finish > 0 and self._step >= self._alone

    def _decayed(self) -> float:
        """The factor that falls from 1 to 0 during the last part of phase 2."""
        left = max(0, self._alone - self._step)
        return min(1.0, left / (self.decay * max(1, self._alone))) if self.decay else 1.0

    def _learning_rate(self) -> float:
        """The factor of the learning rate in this step."""
        if self._step < self._alone:
            return self._decayed()
        return min(1.0, 2 * (self._total - self._step) / (self._total - self._alone))

    def _find_optimizer(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        trained = {each for group in optimizer.param_groups for each in group["params"]}
        is_ours = not trained.isdisjoint(self._model.parameters())
        if is_ours and optimizer not in self._rates:
            self._rates[optimizer] = []
            self._hooks.callback(optimizer.register_step_pre_hook(self._before_step).remove)
            self._hooks.callback(optimizer.register_step_post_hook(self._after_step).remove)

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._depth += 1
        if self._depth > 1:
            return
        self._rates[optimizer] = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * self._learning_rate()
        if self._model.decoder_only:
            decoder = set(self._model.decoder.parameters()) - set(self._model.encoder.parameters())
            for parameter in set(self._model.parameters()) - decoder:
                parameter.grad = None  # zeros would not stop Adam's momentum

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            for group, rate in zip(optimizer.param_groups, self._rates[optimizer], strict=True):
                group["lr"] = rate
