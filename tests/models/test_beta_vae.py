"""GatedBetaVAE in `"target"` against the loss written out from the design, without our code."""

import pytest
import torch

from tests.support.models import FIRST_SCHEME, B, L, make, make_batch, run

BETA = 2.5
SPREAD = torch.tensor([0, 0, 1, 2, 2, 2])  # dimension -> partition
REST = SPREAD == 2


def written_out(model, batch, rest):
    """The mean of both directions of 0.5 |decoder(z) - t|^2 + beta KL, per image."""
    x, t, mask = batch["data"], batch["target"], batch["gate"][:, SPREAD]
    outputs = [model.encoder(image) for image in (x, t)]
    leaves = [[o.embedding, o.log_covariance] for o in outputs]
    eps = torch.randn(2 * B, L).chunk(2)
    own, constant, kl = [], [], []
    for (mu, log_var), noise in zip(leaves, eps, strict=True):
        mu_gated = mu * mask + mu.detach() * ~mask
        log_var_gated = log_var * mask + log_var.detach() * ~mask
        z = mu_gated + noise * (log_var_gated / 2).exp()
        own.append(z)
        constant.append(z.detach())
        kl.append((0.5 * (mu_gated**2 + log_var_gated.exp() - 1 - log_var_gated)).sum(1))
    loss = 0
    for first, second, goal in ((0, 1, t), (1, 0, x)):
        filled = torch.where(REST, torch.zeros(()), constant[second]) if rest else constant[second]
        z = torch.where(mask, own[first], filled)
        error = 0.5 * ((model.decoder(z).reconstruction - goal) ** 2).flatten(1).sum(1)
        loss = loss + (error + BETA * kl[first]).mean() / 2
    return loss, leaves


@pytest.mark.parametrize("rest", [[], ["identity"]], ids=["no rest", "rest"])
def test_target_equals_the_loss_written_out(rest):
    model = make("GatedBetaVAE", rest=rest, **FIRST_SCHEME)
    batch = make_batch()
    output, grads, rows = run(model, batch, seed=7)
    model.zero_grad()
    torch.manual_seed(7)
    loss, leaves = written_out(model, batch, rest)
    flat = [leaf for pair in leaves for leaf in pair]
    got = torch.autograd.grad(loss, flat, retain_graph=True)
    expected_rows = [torch.cat([got[0], got[2]]), torch.cat([got[1], got[3]])]
    loss.backward()
    assert torch.allclose(output.loss, loss, rtol=1e-6)
    for grad, expected in zip(rows, expected_rows, strict=True):
        assert torch.allclose(grad, expected, rtol=1e-5, atol=1e-7)
    for key, parameter in model.named_parameters():
        assert torch.allclose(grads[key], parameter.grad, rtol=1e-5, atol=1e-6), key
