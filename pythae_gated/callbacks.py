"""Callbacks for Pythae's trainers: evaluation during training, and schedules."""

import json
import logging
import math
import re
import warnings
from collections.abc import Mapping
from datetime import datetime
from inspect import signature
from numbers import Integral, Real
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

from pythae.models import CIWAE
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from pythae_gated.datasets.images import Images, open_images
from pythae_gated.gating import GatedMixin
from pythae_gated.metrics.evaluate import evaluate
from pythae_gated.metrics.evaluation import Evaluation
from pythae_gated.metrics.factors import Factors, as_columns

Logs: TypeAlias = dict[str, Any]

_NOT_IN_MLFLOW = re.compile(r"[^\w.-]+")  # characters that mlflow refuses in a metric's name
_SHOWN = ("dci_disentanglement", "dci_completeness", "alignment", "reconstruction_error")


class EvaluationCallback(TrainingCallback):
    """Evaluate the model with `evaluate` while Pythae trains it.

    Evaluates the current weights (not Pythae's best checkpoint) every `every` epochs and after
    the last one, and once before the first, as epoch 0: the scores of the untrained model, where
    a wrong argument stops the run before it has cost anything. Training is not changed by a bit.
    The results go

    - into the logs of the callbacks that come *after* this one in the list, such as Pythae's
      `WandbCallback`, `MLFlowCallback` and `CometCallback` (except epoch 0),
    - to a file, one line of JSON per epoch, appended: `"run"` (its start), `"epoch"`, Pythae's
      losses and the keys below, `null` for nan,
    - and, shortened, to the console through Pythae's logger.

    Keys (characters of a name that mlflow refuses become `_`):

    ===============================  ========================================================
    `eval_dci_disentanglement`       D of `dci`, from 0 to 1
    `eval_dci_completeness`          C, from 0 to 1
    `eval_dci_informativeness`       I: the mean over the factors of the row below
    `eval_informativeness_FACTOR`    score from all dimensions: accuracy or R2
    `eval_score_PARTITION_FACTOR`    score from this partition only
    `eval_share_PARTITION_FACTOR`    share of the factor's importance that lies in it, 0 to 1
    `eval_alignment`                 mean share in the assigned partition (`intended`)
    `eval_leakage`                   mean of `leakage`, from 0 to 1 (`intended`)
    `eval_leakage_of_means`          the same from posterior means, if codes are samples
    `eval_reconstruction_error`      half the squared error, summed over an image's pixels
    `eval_kl`, `eval_kl_PARTITION`   KL in nats, of all dimensions and of the partition
    ===============================  ========================================================

    Under DDP only rank 0 evaluates, and the others wait for it at their next step: an evaluation
    must be shorter than the process group's timeout (10 minutes for NCCL).

    Args:
        data: Images to evaluate on, (N, *input_dim), uint8 or float; a few thousand suffice.
        factors: Name -> (N,) values, or an array (N, F).
        every: Epochs between evaluations.
        path: The file, whose folder is created. None: `evaluation.jsonl` in the config's
            `output_dir`.
        **options: Arguments of `evaluate`, such as `partitions`, `intended` and `test`.

    Attributes:
        evaluations: Epoch -> `Evaluation`, of the last training (on rank 0).

    Raises:
        TypeError: If `evaluate` has no such option.
        ValueError: If `every` is below 1 or a factor has another length than the data. When
            training begins: if two keys coincide, or as `evaluate` does.

    Example:
        >>> import numpy as np
        >>> images = np.random.default_rng(0).random((40, 1, 4, 4), dtype=np.float32)
        >>> light = images.mean(axis=(1, 2, 3))
        >>> evaluation = EvaluationCallback(images, {"light": light}, every=5)
        >>> callbacks = [evaluation]  # followed by Pythae's WandbCallback(), for instance
    """

    def __init__(
        self,
        data: Images,
        factors: Factors,
        *,
        every: int = 1,
        path: str | Path | None = None,
        **options: Any,
    ) -> None:
        _check_count("every", every)
        signature(evaluate).bind(None, data, factors, **options)
        self.data = open_images(data)  # checked once, not at each evaluation
        self.factors = as_columns(factors, len(self.data))
        self.every = every
        self.path = path
        self.options = options
        self.evaluations: dict[int, Evaluation] = {}
        self._run = ""

    def on_train_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Evaluate the untrained model."""
        self.evaluations = {}
        self._run = datetime.now().isoformat(timespec="microseconds")
        if _is_main(training_config):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".* encodes nothing")  # before training
                self._evaluate(training_config, 0, {}, **kwargs)

    def on_log(self, training_config: BaseTrainerConfig, logs: Logs, **kwargs: Any) -> None:
        """Evaluate if this epoch is due, and add the results to the logs."""
        epoch = kwargs["global_step"]
        due = epoch % self.every == 0 or epoch == training_config.num_epochs
        if due and _is_main(training_config):
            self._evaluate(training_config, epoch, logs, **kwargs)

    def _evaluate(
        self,
        training_config: BaseTrainerConfig,
        epoch: int,
        logs: Logs,
        *,
        model: nn.Module,
        logger: logging.Logger | None = None,
        **_: Any,
    ) -> None:
        found = evaluate(_unwrap(model), self.data, self.factors, **self.options)
        self.evaluations[epoch] = found
        figures = _figures(found)
        logs.update(figures)  # in place: later callbacks get this dict
        path = self.path or Path(training_config.output_dir) / "evaluation.jsonl"
        _append(Path(path), {"run": self._run, "epoch": epoch, **logs})
        shown = [f"{n} {figures['eval_' + n]:.2f}" for n in _SHOWN if "eval_" + n in figures]
        (logger or logging.getLogger(__name__)).info("Epoch %d: %s", epoch, ", ".join(shown))


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
    `DisentangledBetaVAE` and `MSSSIM_VAE`, their gated variants, and your own models.

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
        _check_count("epochs", epochs)
        if not isinstance(start, int | float) or not 0 <= start < math.inf:
            raise ValueError(f"start={start!r}: expected a finite number of at least 0")
        self.epochs = epochs
        self.start = start
        self._full = self._beta = math.nan

    def on_train_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Store the full beta, or refuse a model that has none."""
        model = _unwrap(kwargs["model"])
        self._full = self._beta = _beta_of(model)
        if self.start > self._full:
            raise ValueError(f"start={self.start} is above the model's beta of {self._full}")
        if _is_main(training_config):
            self._warn(training_config, model)

    def on_train_step_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Set the beta of this epoch (a train step, in Pythae, is the training of an epoch)."""
        left = max(0.0, 1 - (kwargs["epoch"] - 1) / self.epochs)
        self._beta = self._full - (self._full - self.start) * left
        _unwrap(kwargs["model"]).beta = self._beta

    def on_eval_step_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Evaluate at the full beta."""
        _unwrap(kwargs["model"]).beta = self._full

    def on_epoch_end(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Restore the full beta, if there was no evaluation."""
        _unwrap(kwargs["model"]).beta = self._full

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
    """The schedule that gated models are trained with, over the epochs of the trainer.

    1. Warm-up: in the first `warmup` of the steps, the gradients of all terms of the loss but the
       reconstruction are scaled by a factor that rises from 0 to 1.
    2. The learning rate falls linearly to zero over the last `decay` of the steps before 3.
    3. Finishing: in the last `finish` of the steps the decoder alone is trained, to reconstruct
       plain images from their sampled codes. Encoder and codes do not change any more. The
       learning rate starts anew, and falls to zero over the second half.

    Losses are reported at the full weights in 1 and 2, and are the reconstruction's in 3, where
    they are lowest: so Pythae keeps an epoch of 3, by training or by evaluation loss. Rates of
    the trainer's own scheduler are multiplied. A training that goes on from a checkpoint has a
    schedule of its own.

    Args:
        warmup: Share of the steps.
        decay: Share of the steps before finishing.
        finish: Share of the steps; 0: the decoder is not trained alone.

    Raises:
        TypeError: When training begins, if the model is not a gated one.
        ValueError: If a share is not from 0 to below 1.

    Reference:
        Bowman et al., "Generating Sentences from a Continuous Space", CoNLL 2016, section 3.1
        (warm-up).

    Example:
        >>> callbacks = [GatedSchedule()]  # for TrainingPipeline or BaseTrainer
    """

    def __init__(self, *, warmup: float = 0.3, decay: float = 0.4, finish: float = 1 / 6) -> None:
        for name, share in (("warmup", warmup), ("decay", decay), ("finish", finish)):
            if not isinstance(share, Real) or not 0 <= share < 1:
                raise ValueError(f"{name}={share!r}: expected a share of the steps, below 1")
        self.warmup, self.decay, self.finish = warmup, decay, finish

    def on_train_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Watch for the optimizer, which Pythae does not pass to callbacks."""
        self._model = _unwrap(kwargs["model"])
        if not isinstance(self._model, GatedMixin):
            raise TypeError(
                f"GatedSchedule is for gated models, and {type(self._model).__name__} is not one; "
                "leave it out"
            )
        self._hook = register_optimizer_step_pre_hook(self._find_optimizer)

    def on_train_step_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Start an epoch (a train step, in Pythae, is the training of an epoch)."""
        self._steps = len(kwargs["train_loader"])
        self._total = self._steps * training_config.num_epochs
        self._alone = round(self._total * (1 - self.finish))  # the first step of finishing
        self._set_step(self._steps * (kwargs["epoch"] - 1))

    def on_train_step_end(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Count a batch."""
        self._hook.remove()
        self._set_step(self._step + 1)

    def on_eval_step_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Evaluate by the loss that the last batch was trained with."""
        self._model.decoder_only = self._step > self._alone

    def on_train_end(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Leave the model as it was."""
        self._model.regularizer_scale, self._model.decoder_only = 1.0, False

    def _set_step(self, step: int) -> None:
        self._step = step
        warmup = self.warmup * self._total
        self._model.regularizer_scale = min(1.0, self._step / warmup) if warmup else 1.0
        self._model.decoder_only = self._step >= self._alone

    def _learning_rate(self) -> float:
        """The factor of the learning rate in this step."""
        step, end, decay = self._step, self._alone, self.decay
        if step >= end:
            step, end, decay = step - end, self._total - end, 0.5
        return min(1.0, (end - step) / (decay * end)) if decay else 1.0

    def _find_optimizer(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        trained = {id(each) for group in optimizer.param_groups for each in group["params"]}
        if trained & {id(each) for each in self._model.parameters()}:
            optimizer.register_step_pre_hook(self._before_step)
            optimizer.register_step_post_hook(self._after_step)

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._rates = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * self._learning_rate()
        if self._model.decoder_only:
            decoder = {id(each) for each in self._model.decoder.parameters()}
            for parameter in self._model.parameters():
                if id(parameter) not in decoder:
                    parameter.grad = None  # zeros would not stop Adam's momentum

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        for group, rate in zip(optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate


def _beta_of(model: nn.Module) -> float:
    beta: Any = getattr(model, "beta", None)
    if not isinstance(beta, Real) or isinstance(model, CIWAE):
        why = "has no beta" if beta is None else f"has a beta ({beta!r}) that weights no KL"
        raise TypeError(
            f"{type(model).__name__} {why}, so KLWarmup cannot raise it; use BetaVAE with beta=1 "
            "for VAE, and GatedBetaVAE with beta=1 for GatedVAE"
        )
    return float(beta)


def _figures(found: Evaluation) -> dict[str, float]:
    """The evaluation as a flat mapping, with the prefix that Pythae's callbacks expect.

    Raises:
        ValueError: If two keys coincide, as those of the partitions "a_b" and "a" can.
    """
    figures = [
        ("dci_disentanglement", found.disentanglement),
        ("dci_completeness", found.completeness),
        ("dci_informativeness", found.mean_informativeness),
        ("reconstruction_error", found.reconstruction_error),
        ("kl", float(found.kl.sum())),
        *((f"kl_{name}", value) for name, value in found.kl_by_partition.items()),
        *((f"informativeness_{name}", value) for name, value in found.informativeness.items()),
    ]
    for name in ("alignment", "leakage", "leakage_of_means"):
        if values := getattr(found, name):
            figures.append((name, fmean(values.values())))
    for kind, table in (("score", found.scores), ("share", found.share)):
        for name, row in table.items():
            figures += [(f"{kind}_{name}_{factor}", value) for factor, value in row.items()]
    flat: dict[str, float] = {}
    for name, value in figures:
        key = "eval_" + _NOT_IN_MLFLOW.sub("_", name)
        if key in flat:
            raise ValueError(f"two results have the key {key!r}; rename a factor or partition")
        flat[key] = value
    return flat


def _append(path: Path, line: Mapping[str, Any]) -> None:
    # JSON has no nan; default=str, since other callbacks may log any type.
    line = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in line.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, default=str, ensure_ascii=False) + "\n")


def _unwrap(model: nn.Module) -> Any:
    return model.module if isinstance(model, DistributedDataParallel) else model


def _is_main(training_config: BaseTrainerConfig) -> bool:
    return training_config.rank in (-1, 0)


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r}: expected an int number of epochs, at least 1")
