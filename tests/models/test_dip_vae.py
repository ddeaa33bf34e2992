import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pythae_gated import DIPVAE, DIPVAEConfig


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


def test_a_batch_of_one_is_finite():
    model = DIPVAE(DIPVAEConfig((1, 4, 4), 3))
    output = model({"data": torch.rand(1, 1, 4, 4)})
    output.loss.backward()
    assert output.dip_od_loss == 0
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_another_type_is_refused():
    with pytest.raises(ValidationError, match="'i' or 'ii'"):
        DIPVAEConfig(dip_type="iii")
