"""What callbacks share: the model and the process that Pythae's trainer runs."""

from numbers import Integral
from typing import Any

from pythae.trainers import BaseTrainerConfig
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def unwrap(model: nn.Module) -> Any:
    """The model itself, of which callbacks get the wrapper under DDP."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def is_main_process(training_config: BaseTrainerConfig) -> bool:
    """Whether this process is the only one, or rank 0."""
    return training_config.rank in (-1, 0)


def check_epochs(name: str, value: object) -> None:
    """Refuse a number of epochs that is not an int of at least 1."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r}: expected an int number of epochs, at least 1")
