"""GatedBetaTCVAE in `"target"`: Pythae's own loss on each direction's B rows (beta 6)."""

import pytest
import torch
from pythae.models import BetaTCVAE

from tests.support.models import FIRST_SCHEME, B, L, make, make_batch


@pytest.mark.parametrize("use_mss", [True, False])
@pytest.mark.parametrize("size", [None, 1000])
def test_the_loss_is_the_mean_of_pythaes_on_each_direction(use_mss, size):
    model = make("GatedBetaTCVAE", use_mss=use_mss, **FIRST_SCHEME)
    batch = make_batch()
    kwargs = {} if size is None else {"dataset_size": size}
    torch.manual_seed(0)
    loss = model(batch, **kwargs).loss
    torch.manual_seed(0)
    eps = torch.randn(2 * B, L).chunk(2)
    codes = []
    for image, noise in zip((batch["data"], batch["target"]), eps, strict=True):
        encoded = model.encoder(image)
        mu, log_var = encoded.embedding, encoded.log_covariance
        codes.append((mu, log_var, mu + noise * (log_var / 2).exp()))
    mask = batch["gate"].repeat_interleave(torch.tensor([2, 1, 3]), dim=1)
    expected = 0
    for own, other, goal in ((0, 1, batch["target"]), (1, 0, batch["data"])):
        z = torch.where(mask, codes[own][2], codes[other][2])
        recon = model.decoder(z).reconstruction
        each = BetaTCVAE.loss_function(model, recon, goal, *codes[own], size or B)
        expected = expected + each[0] / 2
    assert torch.allclose(loss, expected)


def test_a_batch_of_one_is_finite_where_pythaes_is_not():
    model = make("GatedBetaTCVAE")
    x = make_batch()["data"][:1]
    output = model({"data": x})
    output.loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        BetaTCVAE._log_importance_weight_matrix(model, 1, 1)
