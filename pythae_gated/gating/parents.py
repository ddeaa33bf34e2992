"""Which parents can be gated, their forward with parts replaced, and a trained one gated."""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from pythae.models import BaseAE

from pythae_gated.errors import GateError
from pythae_gated.registry import registered_config

# Names of Pythae's classes.
_SUPPORTED = "VAE", "BetaVAE", "BetaTCVAE", "DisentangledBetaVAE", "INFOVAE_MMD", "MSSSIM_VAE"


def check_parent(cls: type, mixin: type) -> None:
    """Refuse a gated class whose nearest Pythae class cannot be gated, or precedes the mixin.

    Raises:
        TypeError: With the reason.
    """
    base = _class_of_pythae(cls)
    if base is None:
        return  # a mixin of the user's own, to be combined with a parent later
    if cls.__mro__.index(mixin) > cls.__mro__.index(base):
        raise TypeError(
            f"{cls.__name__}: put {mixin.__name__} before {base.__name__}, as in "
            f"class {cls.__name__}({mixin.__name__}, {base.__name__}); otherwise nothing is gated"
        )


def _class_of_pythae(cls: type) -> type | None:
    """The nearest Pythae class; a TypeError if that cannot be gated."""
    models = (base for base in cls.__mro__ if issubclass(base, BaseAE))
    base = next((model for model in models if model.__module__.split(".")[0] == "pythae"), None)
    if base is not None and base.__name__ not in _SUPPORTED:
        raise TypeError(
            f"{cls.__name__}: {base.__name__} cannot be gated. A gated model needs a single pass "
            "of the encoder, a Gaussian posterior that is decoded once per image, and no network "
            f"besides encoder and decoder. Parents that can be gated: {', '.join(_SUPPORTED)} and "
            "their subclasses"
        )
    return base


def forward_with(
    model: Any, mixin: Any, overrides: Mapping[str, Any], inputs: Mapping[str, Any], **kwargs: Any
) -> Any:
    """The parent's forward on a shallow copy of the model with some attributes overridden.

    Python finds attributes of an instance before submodules. Parameters, submodules and hooks are
    shared with the model; attributes that the parent's forward sets are set on the model, before
    its loss is computed, and those that the loss sets on the copy.

    Raises:
        GateError: If there is a loss among the overrides and the forward does not call it, or
            there is an encoder, too, which it does not call once.
    """
    twin: Any = object.__new__(type(model))
    calls: list[str] = []

    def pass_on(source: Any, target: Any) -> None:
        for name, value in vars(source).items():
            if name not in overrides and vars(target).get(name, calls) is not value:
                setattr(target, name, value)

    def watched(name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            if name != "loss_function":
                return overrides[name](*args, **kwargs)
            pass_on(twin, model)
            losses = overrides[name](*args, **kwargs)
            pass_on(model, twin)
            return losses

        return call

    vars(twin).update({**vars(model), **{name: watched(name) for name in overrides}})
    output = super(mixin, twin).forward(inputs, **kwargs)
    pass_on(twin, model)
    if "loss_function" in overrides:
        cannot = f"{type(model).__name__} cannot be gated: its forward"
        if "loss_function" not in calls:
            raise GateError(
                f"{cannot} computes the loss itself; let it call "
                "self.loss_function(recon_x, x, ...)"
            )
        if "encoder" in overrides and calls.count("encoder") != 1:
            raise GateError(
                f"{cannot} calls self.encoder {calls.count('encoder')} times; let it call "
                "self.encoder(x) once"
            )
    return output


def gate_model(cls: Any, mixin: type, model: Any, **gating: Any) -> Any:
    """A gated model of class `cls` with copies of everything that a trained model has.

    The constructor runs, so that its warnings are given and modules that a subclass adds exist.
    Values that changed on the model since it was built, such as `beta`, are kept.

    Raises:
        TypeError: If the model is of another class than `cls` or its parent, or no config is
            registered for `cls`.
    """
    parent: Any = next(
        base for base in cls.__mro__ if issubclass(base, BaseAE) and not issubclass(base, mixin)
    )
    given_class = type(model)
    if not (issubclass(given_class, parent) and given_class in cls.__mro__):
        _class_of_pythae(given_class)  # refused with the reason if it cannot be gated
        given_name = given_class.__name__
        raise TypeError(
            f"{cls.__name__}.from_parent expects a {parent.__name__}; got a {given_name}, which "
            f"needs class Gated{given_name}({mixin.__name__}, {given_name}) and its from_parent"
        )
    config_class = registered_config(cls)
    if config_class is None:
        raise TypeError(f"no config is registered for {cls.__name__}: call register_model first")
    given: Any = model.model_config
    if isinstance(given, config_class):
        config_class = type(given)  # a subclass of it may have more fields
    values = {f.name: getattr(given, f.name) for f in dataclasses.fields(given) if f.init}
    changed = {name: vars(model)[name] for name in values if name in vars(model)}
    copied = copy.deepcopy(model)
    gated = cls(config_class(**{**values, **changed, **gating}), copied.encoder, copied.decoder)
    gated.to(next(copied.parameters(), torch.empty(0))).train(copied.training)
    _take_over(gated, copied)
    return gated


def _take_over(gated: Any, model: Any) -> None:
    """Move modules, parameters and attributes of the model into the gated one."""
    for name, value in vars(model).items():
        if name in ("_modules", "_parameters", "_buffers"):
            vars(gated)[name].update(value)
        elif name not in ("model_config", "model_name", "_data_seen"):
            vars(gated)[name] = value
    for field in ("uses_default_encoder", "uses_default_decoder"):
        setattr(gated.model_config, field, getattr(model.model_config, field))
