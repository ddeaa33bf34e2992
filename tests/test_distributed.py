import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.multiprocessing

from tests.support import distributed

CASES = ("target", 0.0), ("input", 0.0), ("target", 1.0)  # scheme, weight of terms over a batch


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Of each of two processes: the weights in each case, and the gates that it drew."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(distributed.work, (str(folder), CASES), nprocs=2)
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("case", CASES[:2], ids=["target", "input"])
def test_two_processes_equal_one_on_the_joined_batch(case, ranks):
    first, second = (weights[case] for weights, _ in ranks)
    model = distributed.make(*case)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(distributed.make_batch()).loss.backward()
        optimizer.step()
    for key, value in model.state_dict().items():
        assert torch.equal(first[key], second[key])
        assert torch.allclose(first[key], value, atol=1e-6)


def test_processes_draw_different_pairs(ranks):
    (_, first), (_, second) = ranks
    assert not torch.equal(first, second)


def test_terms_over_a_batch_are_of_each_process_and_keep_the_models_equal(ranks):
    first, second = (weights["target", 1.0] for weights, _ in ranks)
    without = distributed.make("target", 0.0).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], without[key]) for key in first)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_the_example_runs_under_torchrun(processes, tmp_path):
    script = Path(__file__).parents[1] / "examples" / "distributed_faces.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", str(script), f"--output={tmp_path}"]
    command += ["--faces=300", "--epochs=2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("reconstruction error") == 1
    assert len(list(tmp_path.glob("GatedBetaVAE_training_*/final_model/model.pt"))) == 1
