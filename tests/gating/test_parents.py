import pytest
import torch
from pydantic.dataclasses import dataclass
from pythae.models import (
    AE,
    INFOVAE_MMD,
    IWAE,
    MSSSIM_VAE,
    SVAE,
    VAE,
    VAE_IAF,
    VAMP,
    WAE_MMD,
    BetaTCVAE,
    BetaTCVAEConfig,
    BetaVAE,
    BetaVAEConfig,
    DisentangledBetaVAE,
    FactorVAE,
    VAE_LinNF,
)

from pythae_gated import GatedConfigMixin, GatedMixin

SIZES = {"pose": 2, "identity": 3}


@pytest.mark.parametrize(
    "parent", [VAE, BetaVAE, BetaTCVAE, DisentangledBetaVAE, INFOVAE_MMD, MSSSIM_VAE]
)
def test_supported_parents_and_their_subclasses_are_gated(parent):
    own = type("Own", (parent,), {})
    assert issubclass(type("GatedOwn", (GatedMixin, own), {}), parent)


@pytest.mark.parametrize("parent", [FactorVAE, VAMP, VAE_IAF, VAE_LinNF, SVAE, IWAE, AE, WAE_MMD])
def test_other_parents_are_refused_with_the_conditions(parent):
    own = type("Own", (parent,), {})
    with pytest.raises(TypeError, match=rf"{parent.__name__} cannot be gated\. .*single pass"):
        type("GatedOwn", (GatedMixin, own), {})


def test_the_mixin_must_come_first():
    with pytest.raises(TypeError, match="put GatedMixin before BetaVAE"):
        type("GatedOwn", (BetaVAE, GatedMixin), {})


def test_without_a_registered_config_no_trained_model_is_gated():
    own = type("Own", (BetaVAE,), {})
    gated = type("GatedOwn", (GatedMixin, own), {})
    with pytest.raises(TypeError, match="registered for GatedOwn: call register_model first"):
        gated.from_parent(own(BetaVAEConfig((1, 4, 4), latent_dim=5)), partitions=SIZES)


def test_another_vae_is_gated_by_naming_it():
    @dataclass
    class GatedTCConfig(GatedConfigMixin, BetaTCVAEConfig):
        pass

    class GatedTC(GatedMixin, BetaTCVAE):
        pass

    config = GatedTCConfig(input_dim=(1, 4, 4), latent_dim=5, partitions=SIZES, beta=6.0)
    model = GatedTC(config)
    x, t = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
    gate = torch.tensor([[True, False]]).expand(3, 2)
    model({"data": x, "target": t, "gate": gate}, dataset_size=100).loss.backward()
    assert (model.encoder.embedding.weight.grad[2:] == 0).all()
    assert (model.encoder.embedding.weight.grad[:2] != 0).any()
