"""Loading through Pythae's AutoConfig and AutoModel, and the card of a model on the hub."""

import functools
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from pythae.config import BaseConfig
from pythae.models.auto_model import AutoConfig, AutoModel
from pythae.models.base import BaseAE, base_model

from pythae_gated import networks

_registered: dict[str, tuple[type, type]] = {}  # name of the config -> its class, model class


def register_model(config_class: type, model_class: type, *, exist_ok: bool = False) -> None:
    """Make a custom Pythae model loadable by AutoConfig and AutoModel, in this process.

    `AutoConfig.from_json_file`, `AutoModel.load_from_folder`, `AutoModel.load_from_hf_hub` and
    the model's own `load_from_folder` then know it. Pythae's own models load as before.

    Args:
        config_class: The model's config, a pydantic dataclass and subclass of Pythae's
            `BaseConfig`. `model_config.json` carries its name.
        model_class: The model, a subclass of Pythae's `BaseAE`.
        exist_ok: Let another class replace a registered one of the same name.

    Raises:
        TypeError: If a class is not such a subclass.
        ValueError: If the name is that of a config of Pythae's, or registered for another class.
            The same module and qualified name may register again (notebooks, reloads).

    Example:
        >>> from pydantic.dataclasses import dataclass
        >>> from pythae.models import VAE, VAEConfig
        >>> @dataclass
        ... class MyVAEConfig(VAEConfig):
        ...     temperature: float = 1.0
        >>> class MyVAE(VAE):
        ...     pass
        >>> register_model(MyVAEConfig, MyVAE)
    """
    for given, base in ((config_class, BaseConfig), (model_class, BaseAE)):
        if not (isinstance(given, type) and issubclass(given, base)):
            raise TypeError(f"{given!r} is not a subclass of Pythae's {base.__name__}")
    name = config_class.__name__
    if name in _names_of_pythae(BaseConfig):
        raise ValueError(f"{name} is the name of a config of Pythae's own; choose another name")
    known = _registered.get(name, (config_class, model_class))
    if not exist_ok and [_path(c) for c in known] != [_path(config_class), _path(model_class)]:
        raise ValueError(
            f"{name} is registered for {_path(known[0])} and {_path(known[1])}; choose another "
            "name, or pass exist_ok=True to replace it"
        )
    _registered[name] = (config_class, model_class)


def registered_config(model_class: type) -> Any:
    """The config registered last for a model class or its nearest registered base, or None."""
    configs = {model: config for config, model in _registered.values()}
    return next((configs[base] for base in model_class.__mro__ if base in configs), None)


class HubCardMixin:
    """Names our package in saved folders, and with the model's partitions on the hub."""

    def save(self, dir_path: str) -> None:
        """As Pythae's; `environment.json` also says how to load the folder.

        Args:
            dir_path: The folder, made if it does not exist.
        """
        own = {name: getattr(self, name) for name in ("encoder", "decoder")}
        modules = {type(network).__module__ for network in own.values()}
        stubs = {name: ModuleType(name) for name in modules - sys.modules.keys()}
        sys.modules.update(stubs)  # Pythae requires the modules, which loading does not import
        try:
            super().save(dir_path)  # type: ignore[misc]
        finally:
            for name in stubs:
                del sys.modules[name]
        for name, network in own.items():
            path = Path(dir_path, f"{name}.pkl")
            if path.exists() and type(network) in vars(networks).values():
                # Pythae's file has a copy of the class, whose instances cannot be pickled again.
                path.write_bytes(pickle.dumps(network))
        path = Path(dir_path, "environment.json")
        loading = "import pythae_gated; pythae.models.AutoModel.load_from_folder(...)"
        environment = {**json.loads(path.read_text()), "package": "pythae-gated", "load": loading}
        path.write_text(json.dumps(environment))

    def push_to_hf_hub(self, hf_hub_path: str) -> None:
        """As Pythae's, with a model card that names the partitions and the package to import.

        Args:
            hf_hub_path: The repository on the hub, "user/name".
        """
        before = card = base_model.model_card_template
        for old, new in (
            ("- pythae\n", "- pythae\n- pythae-gated\n"),
            ("was trained with pythae", f"({type(self).__name__}) was trained with pythae-gated"),
            (">>> from", ">>> import pythae_gated\n>>> from"),
            ("your_hf_username/repo_name", hf_hub_path),
        ):
            card = card.replace(old, new)
        partitions = getattr(self, "partitions", "none")
        base_model.model_card_template = f"{card}\nPartitions: {partitions}\n"
        try:
            super().push_to_hf_hub(hf_hub_path)  # type: ignore[misc]
        finally:
            base_model.model_card_template = before


def _names_of_pythae(cls: Any) -> Iterator[str]:
    """The names of Pythae's own classes that extend a class."""
    for child in cls.__subclasses__():
        if child.__module__.split(".")[0] == "pythae":
            yield child.__name__
        yield from _names_of_pythae(child)


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _hook(auto_class: type, method: str, json_path: Callable[..., str]) -> None:
    """Extend a loader of Pythae's to registered models, for configs that it does not know.

    Args:
        auto_class: `AutoConfig` or `AutoModel`.
        method: The class method to extend; registered classes have one of the same name.
        json_path: Arguments of the loader -> path of the JSON file that names the config.
    """
    original = vars(auto_class)[method].__func__
    original = getattr(original, "_unhooked", original)  # if this module is imported again

    @functools.wraps(original)
    def with_registered(cls: type, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(cls, *args, **kwargs)
        except NameError:  # raised at the end of Pythae's if-chains
            with open(json_path(*args, **kwargs), encoding="utf-8") as file:
                name = json.load(file)["name"]
            if name not in _registered:
                raise
        config_class, model_class = _registered[name]
        registered = config_class if auto_class is AutoConfig else model_class
        return getattr(registered, method)(*args, **kwargs)

    with_registered._unhooked = original  # type: ignore[attr-defined]
    setattr(auto_class, method, classmethod(with_registered))


def _in_hub(hf_hub_path: str, allow_pickle: bool = False) -> str:
    from huggingface_hub import hf_hub_download

    return str(hf_hub_download(repo_id=hf_hub_path, filename="model_config.json"))


_hook(AutoConfig, "from_json_file", lambda json_path: json_path)
_hook(AutoModel, "load_from_folder", lambda dir_path: f"{dir_path}/model_config.json")
_hook(AutoModel, "load_from_hf_hub", _in_hub)
