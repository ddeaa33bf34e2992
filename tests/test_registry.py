import json
import shutil
import subprocess
import sys
import types

import pytest
import torch
from pydantic.dataclasses import dataclass
from pythae.models import VAE, AutoModel, BetaVAE, BetaVAEConfig, VAEConfig
from pythae.models.auto_model import AutoConfig
from pythae.models.base import base_model

from pythae_gated import (
    DIPVAE,
    DIPVAEConfig,
    GatedBetaVAE,
    GatedBetaVAEConfig,
    GatedDIPVAE,
    GatedDIPVAEConfig,
    register_model,
    registry,
)
from pythae_gated.networks import MLPDecoder, MLPEncoder
from tests.support.networks import Decoder, Encoder


@dataclass
class WarmVAEConfig(VAEConfig):
    temperature: float = 1.0


class WarmVAE(VAE):
    pass


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


def test_a_custom_model_loads_once_it_is_registered(tmp_path):
    model = WarmVAE(WarmVAEConfig(input_dim=(1, 4, 4), temperature=0.5))
    model.save(str(tmp_path))
    with pytest.raises(NameError, match="WarmVAEConfig"):
        AutoModel.load_from_folder(str(tmp_path))
    register_model(WarmVAEConfig, WarmVAE)
    for again in (
        AutoModel.load_from_folder(str(tmp_path)),
        AutoModel.load_from_folder(dir_path=str(tmp_path)),
        WarmVAE.load_from_folder(str(tmp_path)),
    ):
        assert type(again) is WarmVAE
        assert again.model_config.temperature == 0.5
    config = AutoConfig.from_json_file(json_path=str(tmp_path / "model_config.json"))
    assert type(config) is WarmVAEConfig


@pytest.mark.parametrize("model_class", [GatedBetaVAE, DIPVAE])
def test_a_saved_folder_says_which_package_loads_it(tmp_path, model_class):
    config = {GatedBetaVAE: GatedBetaVAEConfig, DIPVAE: DIPVAEConfig}[model_class]
    model_class(config(input_dim=(1, 4, 4))).save(str(tmp_path / "pythaes/own"))
    environment = json.loads((tmp_path / "pythaes/own/environment.json").read_text())
    assert environment["package"] == "pythae-gated"
    assert environment["load"].startswith("import pythae_gated")
    assert environment["python_version"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert type(AutoModel.load_from_folder(str(tmp_path / "pythaes/own"))) is model_class


def test_models_that_a_new_process_has_loaded_can_be_pickled_and_saved(tmp_path):
    """Pythae's file of a parent has a copy of the networks' class, not that of the module."""
    networks, folder = (MLPEncoder((5,), 3), MLPDecoder((5,), 3)), str(tmp_path)
    GatedBetaVAE(GatedBetaVAEConfig(input_dim=(5,), latent_dim=3), *networks).save(f"{folder}/own")
    BetaVAE(BetaVAEConfig(input_dim=(5,), latent_dim=3), *networks).save(f"{folder}/parent")
    code = (
        "import pickle, sys; from pythae.models import AutoModel\n"
        "import pythae_gated, pythae_gated.networks as ours\n"
        "own, parent = (AutoModel.load_from_folder(f'{sys.argv[1]}/{name}')"
        " for name in ('own', 'parent'))\n"
        "assert type(own.encoder) is ours.MLPEncoder\n"
        "pickle.dumps(own)\n"
        "pythae_gated.GatedBetaVAE.from_parent(parent).save(f'{sys.argv[1]}/gated')\n"
    )
    subprocess.run([sys.executable, "-c", code, folder], check=True)
    again, x = AutoModel.load_from_folder(f"{folder}/gated"), torch.rand(4, 5)
    assert type(again) is GatedBetaVAE
    assert torch.equal(again.encoder(x).embedding, networks[0](x).embedding)


def test_a_model_whose_networks_are_of_a_module_that_is_not_imported_can_be_saved(tmp_path):
    """As after loading in a process that has not imported it."""
    mine = types.ModuleType("mine")
    exec(
        "from pythae_gated.networks import MLPEncoder\nclass Encoder(MLPEncoder): pass", vars(mine)
    )
    config, x = GatedBetaVAEConfig(input_dim=(5,), latent_dim=3), torch.rand(4, 5)
    model = GatedBetaVAE(config, mine.Encoder((5,), 3), MLPDecoder((5,), 3))
    model.save(str(tmp_path / "first"))
    again = AutoModel.load_from_folder(str(tmp_path / "first"))
    again.save(str(tmp_path / "second"))
    assert "mine" not in sys.modules
    for folder in ("first", "second"):
        loaded = AutoModel.load_from_folder(str(tmp_path / folder))
        assert torch.equal(loaded.encoder(x).embedding, model.encoder(x).embedding)


def test_pythaes_own_models_load_as_before(tmp_path):
    BetaVAE(BetaVAEConfig(input_dim=(1, 4, 4), beta=3.0)).save(str(tmp_path))
    assert type(AutoModel.load_from_folder(str(tmp_path))) is BetaVAE
    (tmp_path / "model_config.json").write_text(json.dumps({"name": "NobodysConfig"}))
    with pytest.raises(NameError, match="Got NobodysConfig"):
        AutoModel.load_from_folder(str(tmp_path))
    with pytest.raises(NameError, match="NobodysConfig"):
        AutoConfig.from_json_file(str(tmp_path / "model_config.json"))


def test_a_failure_inside_a_registered_model_is_its_own(tmp_path):
    GatedBetaVAE(GatedBetaVAEConfig(input_dim=(1, 4, 4))).save(str(tmp_path))
    (tmp_path / "model.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.pt"):
        AutoModel.load_from_folder(str(tmp_path))


def test_the_same_classes_register_again():
    register_model(WarmVAEConfig, WarmVAE)
    register_model(WarmVAEConfig, WarmVAE)
    again = type("WarmVAE", (VAE,), {"__module__": __name__})
    register_model(WarmVAEConfig, again)
    assert registry._registered["WarmVAEConfig"] == (WarmVAEConfig, again)


def test_another_class_under_a_taken_name_is_refused():
    register_model(WarmVAEConfig, WarmVAE)
    with pytest.raises(ValueError, match=r"WarmVAEConfig is registered for .*exist_ok=True"):
        register_model(WarmVAEConfig, GatedBetaVAE)
    register_model(WarmVAEConfig, GatedBetaVAE, exist_ok=True)
    assert registry._registered["WarmVAEConfig"][1] is GatedBetaVAE


@pytest.mark.parametrize("name", ["BetaVAEConfig", "MAFConfig", "BaseAEConfig"])
def test_pythaes_own_names_are_refused_always(name):
    taken = type(name, (WarmVAEConfig,), {})
    with pytest.raises(ValueError, match=f"{name} is the name of a config of Pythae's own"):
        register_model(taken, WarmVAE, exist_ok=True)


def test_other_classes_are_refused():
    with pytest.raises(TypeError, match="not a subclass of Pythae's BaseConfig"):
        register_model(dict, WarmVAE)
    with pytest.raises(TypeError, match="not a subclass of Pythae's BaseAE"):
        register_model(WarmVAEConfig, torch.nn.Linear)
    with pytest.raises(TypeError, match="'WarmVAE' is not a subclass"):
        register_model(WarmVAEConfig, "WarmVAE")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A fake hub client, whose repositories are folders."""
    module = types.ModuleType("huggingface_hub")
    module.__spec__ = types.SimpleNamespace()

    class CommitOperationAdd:
        def __init__(self, path_in_repo, path_or_fileobj):
            self.path_in_repo, self.path = path_in_repo, path_or_fileobj

    class HfApi:
        def create_commit(self, commit_message, repo_id, operations):
            if "broken" in repo_id:
                raise OSError("no such repository")
            (tmp_path / repo_id).mkdir(parents=True, exist_ok=True)
            for operation in operations:
                shutil.copy(operation.path, tmp_path / repo_id / operation.path_in_repo)

    module.CommitOperationAdd, module.HfApi = CommitOperationAdd, HfApi
    module.create_repo = lambda repo_id: None
    module.hf_hub_download = lambda repo_id, filename: str(tmp_path / repo_id / filename)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return tmp_path


def make(custom=False):
    config = GatedBetaVAEConfig(
        input_dim=(1, 4, 4), latent_dim=5, partitions={"pose": 2, "light": 3}, rest=["light"]
    )
    return GatedBetaVAE(config, *((Encoder(config), Decoder(config)) if custom else ()))


@pytest.mark.parametrize("custom", [False, True], ids=["default", "custom"])
def test_goes_to_the_hub_and_comes_back(hub, custom):
    model = make(custom)
    model.push_to_hf_hub("someone/faces")
    for loader in (AutoModel, GatedBetaVAE):
        again = loader.load_from_hf_hub("someone/faces", allow_pickle=custom)
        assert type(again) is GatedBetaVAE
        assert again.partitions == model.partitions
        for key, value in model.state_dict().items():
            assert torch.equal(again.state_dict()[key], value)


def test_the_card_names_the_package_and_the_partitions(hub):
    make().push_to_hf_hub("someone/faces")
    card = (hub / "someone/faces/README.md").read_text()
    assert "import pythae_gated\n" in card
    assert 'load_from_hf_hub(hf_hub_path="someone/faces")' in card
    assert "Partitions({'pose': 2, 'light': 3}, rest=['light'])" in card
    gated = GatedDIPVAE(GatedDIPVAEConfig((1, 4, 4), 3))
    for model in (DIPVAE(DIPVAEConfig((1, 4, 4), 3)), gated):
        model.push_to_hf_hub("someone/dip")
        card = (hub / "someone/dip/README.md").read_text()
        assert card.count("import pythae_gated\n") == card.count("Partitions: ") == 1
        assert f"This model ({type(model).__name__}) was trained with pythae-gated. " in card


def test_pythaes_own_card_is_back_afterwards_and_after_a_failure(hub):
    before = base_model.model_card_template
    make().push_to_hf_hub("someone/faces")
    with pytest.raises(OSError, match="no such repository"):
        make().push_to_hf_hub("someone/broken")
    assert base_model.model_card_template is before
    VAE(VAEConfig(input_dim=(1, 4, 4))).push_to_hf_hub("someone/plain")
    assert (hub / "someone/plain/README.md").read_text() == before
