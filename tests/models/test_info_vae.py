import warnings

import pytest
import torch
from pythae.models import INFOVAE_MMD, INFOVAE_MMD_Config

from pythae_gated import GatedINFOVAE_MMD, GatedINFOVAE_MMD_Config


def make_both(**kwargs):
    given = {"input_dim": (1, 4, 4), "latent_dim": 5, "lbd": 5.0, **kwargs}
    return (
        GatedINFOVAE_MMD(GatedINFOVAE_MMD_Config(**given)),
        INFOVAE_MMD(INFOVAE_MMD_Config(**given)),
    )


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
@pytest.mark.parametrize("scales", [None, [0.1, 1.0, 10.0]])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_kernels_and_their_gradients_are_the_parents(kernel, scales, offset):
    values, grads = [], []
    for model in make_both(kernel_choice=kernel, scales=scales, kernel_bandwidth=0.7):
        torch.manual_seed(0)
        z1 = (offset + torch.randn(40, 5)).requires_grad_()
        z2 = offset + torch.randn(40, 5)
        k = getattr(model, f"{kernel}_kernel")(z1, z2)
        k.pow(2).sum().backward()
        values.append(k)
        grads.append(z1.grad)
    assert torch.allclose(*values, rtol=1e-4, atol=1e-5)
    assert torch.allclose(*grads, rtol=1e-3, atol=1e-4)


def test_a_point_is_at_distance_zero_from_itself():
    model, _ = make_both(scales=[1.0])
    z = 10 * torch.randn(50, 5)
    assert torch.allclose(model.imq_kernel(z, z).diag(), torch.ones(50), atol=1e-3)


def test_a_batch_of_one_is_a_vae_without_mmd():
    model, parent = make_both(alpha=0.25)
    x = torch.rand(1, 1, 4, 4)
    assert parent({"data": x}).loss.isnan()
    output = model({"data": x})
    assert output.mmd_loss == 0
    assert torch.allclose(output.loss, output.recon_loss + 0.75 * output.reg_loss)
    output.loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_distances_stay_float32_under_autocast():
    model, _ = make_both()
    z = torch.randn(6, 5, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        kernel = model.imq_kernel(z, z)
    assert kernel.dtype == torch.float32
    assert torch.equal(kernel, model.imq_kernel(z.float(), z.float()))


def test_maximised_mmd_is_warned_about_once_and_left():
    config = GatedINFOVAE_MMD_Config(input_dim=(1, 4, 4), latent_dim=5)
    with pytest.warns(UserWarning, match=r"it is maximised.*set lbd above 1 to minimise") as seen:
        model = GatedINFOVAE_MMD(config)
    assert len(seen) == 1
    assert (model.alpha, model.lbd) == (config.alpha, config.lbd) == (0, 1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model({"data": torch.rand(3, 1, 4, 4)}).loss.backward()
