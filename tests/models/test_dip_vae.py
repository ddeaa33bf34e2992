import numpy as np
import pytest
import torch
from pydantic import ValidationError
from pythae.models import AutoModel

from pythae_gated import DIPVAE, DIPVAEConfig, GatedDIPVAE, GatedDIPVAEConfig
from pythae_gated.gating.terms import kl_weight


@pytest.mark.parametrize("dip_type", ["i", "ii"])
def test_terms_are_those_of_a_covariance_written_out(dip_type):
    config = DIPVAEConfig((1, 4, 4), 3, dip_type=dip_type, lambda_od=2.0, lambda_d=0.5)
    torch.manual_seed(0)
    model = DIPVAE(config)
    x = torch.rand(7, 1, 4, 4)
    output = model({"data": x})
    encoded = model.encoder(x)
    mu, log_var = encoded.embedding.detach().numpy(), encoded.log_covariance.detach().numpy()
    off, on = 0.0, 0.0
    for i in range(3):
        for j in range(3):
            entry = np.mean([(m[i] - mu[:, i].mean()) * (m[j] - mu[:, j].mean()) for m in mu])
            if i == j:
                entry += np.exp(log_var[:, i]).mean() if dip_type == "ii" else 0.0
                on += 0.5 * (entry - 1) ** 2
            else:
                off += 2.0 * entry**2
    kl = 0.5 * (mu**2 + np.exp(log_var) - 1 - log_var).sum(1).mean()
    assert output.dip_od_loss.item() == pytest.approx(off, rel=1e-5)
    assert output.dip_d_loss.item() == pytest.approx(on, rel=1e-5)
    assert output.reg_loss.item() == pytest.approx(kl, rel=1e-5)
    terms = (output.recon_loss, output.reg_loss, output.dip_od_loss, output.dip_d_loss)
    assert output.loss.item() == pytest.approx(sum(terms).item(), rel=1e-6)


@pytest.mark.parametrize("dip_type", ["i", "ii"])
def test_beta_is_the_variance_of_the_noise_of_pixels(dip_type):
    """With a variance of v, the squared error is divided by v; beta = v is v times that loss."""
    models = [DIPVAE(DIPVAEConfig((1, 4, 4), 3, dip_type=dip_type, beta=b)) for b in (1.0, 0.25)]
    models[1].load_state_dict(models[0].state_dict())
    losses = []
    x = torch.rand(7, 1, 4, 4)
    for model, unit in zip(models, (0.5, 1.0), strict=True):
        encoded = model.encoder(x)
        mu, log_var = encoded.embedding, encoded.log_covariance
        recon_x = model.decoder(mu)["reconstruction"]
        losses.append(model.loss_function(recon_x / unit, x / unit, mu, log_var, mu)[0])
        losses[-1].backward()
    assert losses[1].item() == pytest.approx(0.25 * losses[0].item(), rel=1e-5)
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert torch.allclose(other.grad, 0.25 * one.grad, rtol=1e-4, atol=1e-7)


def test_beta_weighs_the_terms_of_pairs_and_is_saved(tmp_path):
    config = GatedDIPVAEConfig((1, 4, 4), 3, beta=0.25, partitions={"pose": 2, "rest": 1})
    model = GatedDIPVAE(config)
    assert kl_weight(model) == 0.25
    model.save(str(tmp_path))
    assert AutoModel.load_from_folder(str(tmp_path)).beta == 0.25


def test_a_batch_of_one_is_finite():
    model = DIPVAE(DIPVAEConfig((1, 4, 4), 3))
    output = model({"data": torch.rand(1, 1, 4, 4)})
    output.loss.backward()
    assert output.dip_od_loss == 0
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_another_type_is_refused():
    with pytest.raises(ValidationError, match="'i' or 'ii'"):
        DIPVAEConfig(dip_type="iii")
