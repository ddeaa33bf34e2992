import shutil
import sys
import types

import pytest
import torch
from pythae.models import VAE, AutoModel, VAEConfig
from pythae.models.base import base_model

from pythae_gated import DIPVAE, DIPVAEConfig, GatedBetaVAE, GatedBetaVAEConfig
from tests.support.networks import Decoder, Encoder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A stand-in for the hub's client, whose repositories are folders."""
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


def test_the_card_says_what_to_import_and_names_the_partitions(hub):
    make().push_to_hf_hub("someone/faces")
    card = (hub / "someone/faces/README.md").read_text()
    assert "import pythae_gated\n" in card
    assert 'load_from_hf_hub(hf_hub_path="someone/faces")' in card
    assert "| pose | 0 to 1 | pairs that share it |" in card
    assert "| light | 2 to 4 | self pairs (rest) |" in card
    DIPVAE(DIPVAEConfig((1, 4, 4), 3)).push_to_hf_hub("someone/dip")
    assert "import pythae_gated\n" in (hub / "someone/dip/README.md").read_text()


def test_pythaes_own_card_is_back_afterwards_and_after_a_failure(hub):
    before = base_model.model_card_template
    make().push_to_hf_hub("someone/faces")
    with pytest.raises(OSError, match="no such repository"):
        make().push_to_hf_hub("someone/broken")
    assert base_model.model_card_template is before
    VAE(VAEConfig(input_dim=(1, 4, 4))).push_to_hf_hub("someone/plain")
    assert (hub / "someone/plain/README.md").read_text() == before
