"""Which of Pythae's models can be gated and why the others cannot; a gated config from a model."""

import dataclasses
from typing import Any

from pythae.models import (
    INFOVAE_MMD,
    MSSSIM_VAE,
    VAE,
    BaseAE,
    BetaTCVAE,
    BetaVAE,
    DisentangledBetaVAE,
)

from pythae_gated.registry import registered_config

SUPPORTED = (VAE, BetaVAE, BetaTCVAE, DisentangledBetaVAE, INFOVAE_MMD, MSSSIM_VAE)

# Losses without a term of the batch as a whole: on 2B images the mean of that on each B.
MEANS_OVER_IMAGES = tuple(parent.loss_function for parent in (VAE, BetaVAE, DisentangledBetaVAE))

_REASONS = {
    "FactorVAE": "it encodes two half batches, and a discriminator trains beside it",
    "VAMP": "its prior is made of pseudo-inputs that pass the encoder too",
    "VAE_IAF": "its posterior is a flow, not a Gaussian",
    "VAE_LinNF": "its posterior is a flow, not a Gaussian",
    "SVAE": "its posterior lies on a hypersphere and has one concentration for all dimensions",
    "PoincareVAE": "its posterior lies in a hyperbolic space",
    "IWAE": "it decodes several samples an image",
    "MIWAE": "it decodes several samples an image",
    "CIWAE": "it decodes several samples an image",
    "PIWAE": "it decodes several samples an image",
    "HVAE": "its code moves on after the encoder, by Hamiltonian steps",
    "RHVAE": "its code moves on after the encoder, by Hamiltonian steps",
    "VAEGAN": "a discriminator trains beside it",
    "Adversarial_AE": "a discriminator trains beside it",
}


def check_parent(cls: type, mixin: type) -> None:
    """Refuse a gated class whose Pythae parent cannot be gated, or hides the mixin.

    The nearest Pythae class in the order of resolution decides, so that a user's own subclass of
    a supported parent is accepted.

    Raises:
        TypeError: With the reason.
    """
    for base in cls.__mro__:
        if issubclass(base, BaseAE) and base.__module__.split(".")[0] == "pythae":
            break
    else:
        return  # a mixin of the user's, to be combined with a parent later
    if base not in SUPPORTED:
        reason = _REASONS.get(base.__name__, "its encoder does not give a Gaussian posterior")
        supported = ", ".join(parent.__name__ for parent in SUPPORTED)
        raise TypeError(
            f"{cls.__name__}: {base.__name__} cannot be gated, since {reason}; parents that can "
            f"be are {supported} and their subclasses"
        )
    if cls.__mro__.index(mixin) > cls.__mro__.index(base):
        raise TypeError(
            f"{cls.__name__}: name {mixin.__name__} before {base.__name__}, as in "
            f"class {cls.__name__}({mixin.__name__}, {base.__name__}), or nothing is gated"
        )


def gated_config(cls: type, mixin: type, model: Any, **gating: Any) -> Any:
    """The config that makes a trained parent a gated model of this class.

    Values that changed on the model since it was built, such as `beta`, are taken from the model.

    Raises:
        TypeError: Where the model is not of the class that this one gates, or the gated class has
            no config registered for it.
    """
    parent: Any = next(
        base for base in cls.__mro__ if issubclass(base, BaseAE) and not issubclass(base, mixin)
    )
    if type(model) is not parent:
        raise TypeError(f"{cls.__name__} gates a {parent.__name__}; got a {type(model).__name__}")
    config_class = registered_config(cls)
    if config_class is None:
        raise TypeError(f"no config is registered for {cls.__name__}: call register_model first")
    given: Any = model.model_config
    values = {f.name: getattr(given, f.name) for f in dataclasses.fields(given) if f.init}
    changed = {name: vars(model)[name] for name in values if name in vars(model)}
    return config_class(**{**values, **changed, **gating})
