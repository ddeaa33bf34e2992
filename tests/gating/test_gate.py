import pytest
import torch

from pythae_gated import GateError, gate_gradient


def test_is_the_identity_going_forward():
    z = torch.randn(4, 5)
    assert torch.equal(gate_gradient(z, torch.rand(4, 5) > 0.5), z)


def test_gradients_pass_where_open_and_are_zero_where_closed():
    z = torch.randn(4, 5, requires_grad=True)
    mask = torch.rand(4, 5) > 0.5
    upstream = torch.randn(4, 5)
    gate_gradient(z, mask).backward(upstream)
    assert torch.equal(z.grad[mask], upstream[mask])
    assert (z.grad[~mask] == 0).all()


def test_a_closed_entry_stays_zero_under_an_infinite_gradient():
    z = torch.zeros(1, 2, requires_grad=True)
    gate_gradient(z, torch.tensor([True, False])).backward(torch.full((1, 2), torch.inf))
    assert z.grad.tolist() == [[torch.inf, 0.0]]


def test_the_mask_broadcasts():
    z = torch.randn(4, 5, requires_grad=True)
    gate_gradient(z, torch.tensor([True, False, False, True, False])).sum().backward()
    assert z.grad.tolist() == [[1.0, 0.0, 0.0, 1.0, 0.0]] * 4


@pytest.mark.parametrize(
    ("mask", "match"),
    [
        (torch.ones(4, 5), r"dtype torch.float32: expected torch.bool"),
        (torch.ones(4, 4, dtype=torch.bool), r"\(4, 4\) does not broadcast .* \(4, 5\)"),
        (torch.ones(2, 4, 5, dtype=torch.bool), r"\(2, 4, 5\) does not broadcast"),
    ],
)
def test_refuses_other_masks(mask, match):
    with pytest.raises(GateError, match=match):
        gate_gradient(torch.zeros(4, 5), mask)
