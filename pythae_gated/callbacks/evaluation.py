"""Evaluation during training."""

import json
import logging
import re
import warnings
from collections.abc import Mapping
from datetime import datetime
from inspect import signature
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback

from pythae_gated.callbacks.trainer import check_epochs, is_main_process, unwrap
from pythae_gated.datasets.frames import check_index
from pythae_gated.datasets.images import Images, open_images
from pythae_gated.metrics import Evaluation, evaluate
from pythae_gated.metrics.factors import Factors, as_columns

Logs: TypeAlias = dict[str, Any]

_NOT_IN_MLFLOW = re.compile(r"[^\w.-]+")  # characters that mlflow refuses in a metric's name
_SHOWN = ("dci_disentanglement", "dci_completeness", "alignment", "reconstruction_error")


class EvaluationCallback(TrainingCallback):
    """Evaluate the model with `evaluate` while Pythae trains it.

    Evaluates the current weights (not Pythae's best checkpoint) every `every` epochs and after
    the last one, and once before the first, as epoch 0: the scores of the untrained model, where
    a wrong argument stops the run before it has cost anything. Training is not changed by a bit,
    unless reading the images draws from the generators of NumPy or Python. The results go

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
            `output_dir`. (Scripts that take the last entry of that folder for a training, as
            Pythae's notebooks do, need a path elsewhere.)
        prefix: What the keys begin with; a second callback, such as for test images, needs
            another one.
        **options: Arguments of `evaluate`, such as `partitions`, `intended` and `test`.

    Attributes:
        evaluations: Epoch -> `Evaluation`, of the last training (on rank 0).

    Raises:
        TypeError: If `evaluate` has no such option.
        ValueError: If `every` is below 1, or a factor has another length than the data or, in
            pandas, another order. When training begins: if two keys coincide, or as `evaluate`
            does. In the first evaluation: if another callback has logged one of the keys.

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
        prefix: str = "eval",
        **options: Any,
    ) -> None:
        check_epochs("every", every)
        signature(evaluate).bind(None, data, factors, **options)
        self.data = open_images(data)  # checked once, not at each evaluation
        check_index(self.data, factors)
        self.factors = as_columns(factors, len(self.data))
        self.every = every
        self.path, self.prefix = path, prefix
        self.options = options
        self.evaluations: dict[int, Evaluation] = {}
        self._run = ""

    def on_train_begin(self, training_config: BaseTrainerConfig, **kwargs: Any) -> None:
        """Evaluate the untrained model."""
        self.evaluations = {}
        self._run = datetime.now().isoformat(timespec="microseconds")
        if is_main_process(training_config):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".* encodes nothing")  # before training
                self._evaluate(training_config, 0, {}, **kwargs)

    def on_log(self, training_config: BaseTrainerConfig, logs: Logs, **kwargs: Any) -> None:
        """Evaluate if this epoch is due, and add the results to the logs."""
        epoch = kwargs["global_step"]
        due = epoch % self.every == 0 or epoch == training_config.num_epochs
        if due and is_main_process(training_config):
            self._evaluate(training_config, epoch, logs, **kwargs)

    def _evaluate(
        self, training_config: BaseTrainerConfig, epoch: int, logs: Logs, **kwargs: Any
    ) -> None:
        found = evaluate(unwrap(kwargs["model"]), self.data, self.factors, **self.options)
        self.evaluations[epoch] = found
        figures = _figures(found, self.prefix)
        for key in figures.keys() & logs.keys():
            raise ValueError(f"{key!r} is logged by another callback: give this one a prefix=")
        logs.update(figures)  # in place: later callbacks get this dict
        path = self.path or Path(training_config.output_dir) / "evaluation.jsonl"
        _append(Path(path), {"run": self._run, "epoch": epoch, **logs})
        keys = {name: f"{self.prefix}_{name}" for name in _SHOWN}
        shown = [f"{name} {figures[key]:.2f}" for name, key in keys.items() if key in figures]
        logger = kwargs.get("logger") or logging.getLogger(__name__)
        logger.info("Epoch %d: %s", epoch, ", ".join(shown))


def _figures(found: Evaluation, prefix: str) -> dict[str, float]:
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
        key = _NOT_IN_MLFLOW.sub("_", f"{prefix}_{name}")
        if key in flat:
            raise ValueError(f"two results have the key {key!r}; rename a factor or partition")
        flat[key] = value
    return flat


def _append(path: Path, line: Mapping[str, Any]) -> None:
    # default=str, since other callbacks may log any type; JSON has no nan and no infinity.
    line = json.loads(json.dumps(line, default=str), parse_constant=lambda _: None)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
