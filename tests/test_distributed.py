import pytest
import torch
import torch.multiprocessing

from tests.support import distributed


@pytest.mark.parametrize("closed", ["target", "input"])
def test_two_processes_equal_one_on_the_joined_batch(closed, tmp_path):
    torch.multiprocessing.spawn(distributed.work, (str(tmp_path), closed), nprocs=2)
    (first, gates), (second, other_gates) = (
        torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)
    )
    model = distributed.make(closed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(distributed.make_batch()).loss.backward()
        optimizer.step()
    for key, value in model.state_dict().items():
        assert torch.equal(first[key], second[key])
        assert torch.allclose(first[key], value, atol=1e-6)
    assert not torch.equal(gates, other_gates)
