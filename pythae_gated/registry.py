"""Makes models that Pythae does not know loadable by its AutoConfig and AutoModel."""

import functools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from pythae.config import BaseConfig
from pythae.models import AutoModel, BaseAE
from pythae.models.auto_model import AutoConfig

_registered: dict[str, tuple[type, type]] = {}  # a config's name -> config class, model class


def register_model(config_class: type, model_class: type, *, exist_ok: bool = False) -> None:
    """Make a custom Pythae model loadable by AutoConfig and AutoModel.

    From now on, in this process, `AutoConfig.from_json_file`, `AutoModel.load_from_folder`,
    `AutoModel.load_from_hf_hub` and the model's own `load_from_folder` know it. Pythae's own
    models load exactly as before.

    Args:
        config_class: The model's config, a pydantic dataclass and subclass of Pythae's
            `BaseConfig`. Its name is what `model_config.json` carries.
        model_class: The model, a subclass of Pythae's `BaseAE`.
        exist_ok: Let another class take over a name that was registered before.

    Raises:
        TypeError: Where a class is not of this kind.
        ValueError: Where the name is one of Pythae's own, or taken by another class. The same
            module and qualified name may register again (notebooks, reloads).

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
    if any(_is_pythaes(known) for known in _descendants(BaseConfig) if known.__name__ == name):
        raise ValueError(f"{name} is the name of a config of Pythae's own; choose another name")
    known = _registered.get(name, (config_class, model_class))
    if not exist_ok and [_path(c) for c in known] != [_path(config_class), _path(model_class)]:
        raise ValueError(
            f"{name} is registered for {_path(known[0])} and {_path(known[1])}; choose another "
            "name, or pass exist_ok=True to replace it"
        )
    _registered[name] = (config_class, model_class)


def registered_config(model_class: type) -> Any:
    """The config class that a model class was registered with last, or None."""
    configs = [config for config, model in _registered.values() if model is model_class]
    return configs[-1] if configs else None


def _descendants(cls: type) -> Iterator[type]:
    child: type
    for child in cls.__subclasses__():
        yield child
        yield from _descendants(child)


def _is_pythaes(cls: type) -> bool:
    return cls.__module__.split(".")[0] == "pythae"


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _hook(auto_class: type, method: str, where: Callable[..., str]) -> None:
    """Let a loader of Pythae's go on to registered models where it knows none of its own.

    Args:
        auto_class: `AutoConfig` or `AutoModel`.
        method: The class method to hook into; registered classes have one of the same name.
        where: The loader's arguments -> path of the JSON file that names the config.
    """
    original = vars(auto_class)[method].__func__
    original = getattr(original, "_unhooked", original)  # where this module is imported again
    kind = 0 if auto_class is AutoConfig else 1

    @functools.wraps(original)
    def with_registered(cls: type, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(cls, *args, **kwargs)
        except NameError as error:  # how Pythae's chains of names end
            unknown = error
        with open(where(*args, **kwargs), encoding="utf-8") as file:
            classes = _registered.get(json.load(file)["name"])
        if classes is None:
            raise unknown
        return getattr(classes[kind], method)(*args, **kwargs)

    with_registered._unhooked = original  # type: ignore[attr-defined]
    setattr(auto_class, method, classmethod(with_registered))


def _file(json_path: str) -> str:
    return json_path


def _in_folder(dir_path: str) -> str:
    return os.path.join(dir_path, "model_config.json")


def _in_hub(hf_hub_path: str, allow_pickle: bool = False) -> str:
    from huggingface_hub import hf_hub_download

    return str(hf_hub_download(repo_id=hf_hub_path, filename="model_config.json"))


_hook(AutoConfig, "from_json_file", where=_file)
_hook(AutoModel, "load_from_folder", where=_in_folder)
_hook(AutoModel, "load_from_hf_hub", where=_in_hub)
