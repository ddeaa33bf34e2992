"""Callbacks for Pythae's trainers: the figures while training, and a warm-up of the KL."""

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

from pythae_gated.inference import Images
from pythae_gated.metrics.evaluate import evaluate
from pythae_gated.metrics.evaluation import Evaluation
from pythae_gated.metrics.factors import Factors, as_columns

Logs: TypeAlias = dict[str, Any]

_REFUSED = re.compile(r"[^\w.-]+")  # in the name of a metric, by mlflow
_OPTIONS = tuple(signature(evaluate).parameters)[3:]  # all but model, data and factors
_SHOWN = {
    "eval_dci_disentanglement": "disentanglement",
    "eval_dci_completeness": "completeness",
    "eval_dci_informativeness": "informativeness",
    "eval_alignment": "alignment",
    "eval_reconstruction_error": "reconstruction error",
}


class EvaluationCallback(TrainingCallback):
    """Judge the model with `evaluate` while Pythae trains it.

    The model is judged as it is (not as Pythae keeps it) after each `every`-th epoch and after
    the last one, and once before the first, as epoch 0: that is what an untrained model scores,
    and a wrong argument stops the run before it has cost anything. Training goes on to the bit
    as it would without this callback. The figures go

    - into the logs that Pythae hands to the callbacks that stand *after* this one in the list,
      its own `WandbCallback`, `MLFlowCallback` and `CometCallback` among them (not epoch 0),
    - to the end of a file, one line of JSON an epoch: `"run"` (when it began), `"epoch"`,
      Pythae's losses and the same keys, `null` for nan; earlier runs' lines stay,
    - and in short to the console, through Pythae's own logger.

    The keys (in a name, what mlflow would refuse becomes `_`):

    ===============================  ========================================================
    `eval_dci_disentanglement`       D of `dci`, from 0 to 1
    `eval_dci_completeness`          C, from 0 to 1
    `eval_dci_informativeness`       I: the mean over the factors of the row below
    `eval_informativeness_FACTOR`    score from all dimensions: accuracy or R2
    `eval_score_PARTITION_FACTOR`    score from this partition alone
    `eval_share_PARTITION_FACTOR`    share of the factor's importance that lies in it, 0 to 1
    `eval_alignment`                 mean share where it was meant to lie (with `intended`)
    `eval_leakage`                   mean of `leakage`, from 0 to 1 (with `intended`)
    `eval_reconstruction_error`      half the squared error, summed over an image's pixels
    `eval_kl`, `eval_kl_PARTITION`   KL in nats, of all dimensions and of the partition's
    ===============================  ========================================================

    Under DDP rank 0 alone evaluates, and the others wait for it at their next step: keep an
    evaluation shorter than the process group's timeout (10 minutes for NCCL).

    Args:
        data: Images to judge with, shape (N, *input_dim), uint8 or float; a few thousand will do.
        factors: Name -> (N,) values, or an array (N, F).
        every: Epochs from one evaluation to the next.
        path: The file; its folder is made. None: `evaluation.jsonl` in the config's `output_dir`.
        **options: Of `evaluate`: `partitions`, `intended`, `test` and the others.

    Attributes:
        evaluations: Epoch -> the `Evaluation` found, of the last training (on rank 0).

    Raises:
        TypeError: Where `evaluate` has no such option.
        ValueError: Where `every` is below 1 or a factor is of another length than the data; what
            `evaluate` itself refuses, it refuses when training begins.

    Example:
        >>> import numpy as np
        >>> images = np.random.default_rng(0).random((40, 1, 4, 4), dtype=np.float32)
        >>> light = images.mean(axis=(1, 2, 3))
        >>> judge = EvaluationCallback(images, {"light": light}, every=5)
        >>> callbacks = [judge]  # then Pythae's WandbCallback(), say, for TrainingPipeline
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
        for name in options:
            if name not in _OPTIONS:
                raise TypeError(f"evaluate has no option {name!r}: it has {', '.join(_OPTIONS)}")
        self.data = data
        self.factors = as_columns(factors, len(data))
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
            self._evaluate(training_config, 0, {}, **kwargs)

    def on_log(self, training_config: BaseTrainerConfig, logs: Logs, **kwargs: Any) -> None:
        """Evaluate, where it is this epoch's turn, and add the figures to the logs."""
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
        logs.update(figures)  # in place: every later callback is handed this dict
        path = self.path or Path(training_config.output_dir) / "evaluation.jsonl"
        _append(Path(path), {"run": self._run, "epoch": epoch, **logs})
        shown = [f"{text} {figures[key]:.2f}" for key, text in _SHOWN.items() if key in figures]
        (logger or logging.getLogger(__name__)).info("Epoch %d: %s", epoch, ", ".join(shown))


class KLWarmup(TrainingCallback):
    """Raise `model.beta` linearly over the first epochs, so that codes speak before they cost.

        beta(e) = start + (beta - start) min(1, (e - 1) / epochs),    e = 1, 2, ...

    with the beta that the model has when training begins: epoch 1 trains at `start`, and epoch
    `epochs` + 1 is the first at the full beta. Each epoch is *evaluated* at the full beta, so
    that Pythae compares like with like when it keeps the best one: give it an `eval_dataset`.
    The config is not touched: what is saved on the way reloads with the config's beta. Outside
    of an epoch's training `model.beta` is the full beta; only where an epoch is interrupted does
    the lower one stay. Callbacks that stand after this one are logged `train_beta`.

    For models whose `beta` weighs a KL: `BetaVAE`, `BetaTCVAE` (its total correlation),
    `DisentangledBetaVAE` and `MSSSIM_VAE`, their gated variants, and models of your own.

    Args:
        epochs: How many epochs train below the full beta.
        start: The beta of the first epoch, at least 0.

    Raises:
        TypeError: When training begins, where the model has no such `beta`.
        ValueError: Where `epochs` is below 1 or `start` below 0, or above the model's beta.

    Warns:
        UserWarning: When training begins, where Pythae keeps the epoch of lowest *training* loss
            (`keep_best_on_train`, or no `eval_dataset`), the training is too short to reach the
            full beta, or the model's beta is not its config's, as after an interruption.

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
        """Note the full beta, or say why this model or training cannot be warmed up."""
        model = _unwrap(kwargs["model"])
        self._full = self._beta = _beta_of(model)
        if self.start > self._full:
            raise ValueError(f"start={self.start} is above the model's beta of {self._full}")
        if _is_main(training_config):
            self._warn(training_config, model)

    def on_train_step_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Set this epoch's beta: what Pythae calls a train step is an epoch's training."""
        left = max(0.0, 1 - (kwargs["epoch"] - 1) / self.epochs)
        self._beta = self._full - (self._full - self.start) * left
        _unwrap(kwargs["model"]).beta = self._beta

    def on_eval_step_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Evaluate at the full beta."""
        _unwrap(kwargs["model"]).beta = self._full

    def on_epoch_end(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Leave the full beta, where there was no evaluation either."""
        _unwrap(kwargs["model"]).beta = self._full

    def on_log(self, training_config: BaseTrainerConfig, logs: Logs, **kwargs: Any) -> None:
        """Add the beta that this epoch was trained with to the logs."""
        logs["train_beta"] = self._beta

    def _warn(self, training_config: BaseTrainerConfig, model: Any) -> None:
        if training_config.keep_best_on_train:
            warnings.warn(
                "Pythae keeps the epoch of lowest training loss here, and under a small beta the "
                "loss is lower: it may keep an early epoch. Give the trainer an eval_dataset, "
                "and leave keep_best_on_train=False",
                stacklevel=3,
            )
        if self.epochs >= training_config.num_epochs:
            warnings.warn(
                f"a warm-up of {self.epochs} epochs in a training of "
                f"{training_config.num_epochs}: none is trained at the full beta of {self._full}",
                stacklevel=3,
            )
        saved = getattr(model.model_config, "beta", self._full)
        if saved != self._full:
            warnings.warn(
                f"the model's beta is {self._full}, its config's {saved}: training rises to the "
                f"former, a saved model reloads with the latter. If a warm-up was interrupted, "
                f"set model.beta = {saved} first",
                stacklevel=3,
            )


def _beta_of(model: nn.Module) -> float:
    beta: Any = getattr(model, "beta", None)
    if not isinstance(beta, Real) or isinstance(model, CIWAE):
        why = "has no beta" if beta is None else f"has a beta ({beta!r}) that weighs no KL"
        raise TypeError(
            f"{type(model).__name__} {why}, which is what KLWarmup raises. BetaVAE with beta=1 is "
            "VAE, and GatedBetaVAE with beta=1 GatedVAE: use those"
        )
    return float(beta)


def _figures(found: Evaluation) -> dict[str, float]:
    """The evaluation under flat keys that Pythae's callbacks hand on (`eval_` in front)."""
    figures = {
        "dci_disentanglement": found.disentanglement,
        "dci_completeness": found.completeness,
        "dci_informativeness": found.mean_informativeness,
        "reconstruction_error": found.reconstruction_error,
        "kl": float(found.kl.sum()),
        **_under("kl", found.kl_by_partition),
        **_under("informativeness", found.informativeness),
    }
    if found.intended:
        for name in ("alignment", "leakage"):
            figures[name] = fmean(getattr(found, name).values())
    for name in found.partitions.names:
        figures |= _under(f"score_{name}", found.scores[name])
        figures |= _under(f"share_{name}", found.share[name])
    return {"eval_" + _REFUSED.sub("_", key): value for key, value in figures.items()}


def _under(prefix: str, row: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in row.items()}


def _append(path: Path, line: Mapping[str, Any]) -> None:
    # JSON knows no nan; and what another callback has put into the logs is to stop nothing.
    line = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in line.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, default=str, ensure_ascii=False) + "\n")


def _unwrap(model: nn.Module) -> Any:  # a Pythae model, which is untyped
    return model.module if isinstance(model, DistributedDataParallel) else model


def _is_main(training_config: BaseTrainerConfig) -> bool:
    return training_config.rank in (-1, 0)


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r}: expected a whole number of epochs, at least 1")
