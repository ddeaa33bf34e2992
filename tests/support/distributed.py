"""What each of several processes does in tests/test_distributed.py."""

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import pythae_gated
from pythae_gated import PairedDataset

SIZES = {"pose": 2, "rest": 3}
BATCH = 6


class Noiseless(pythae_gated.GatedBetaVAE):
    """Codes are the posterior means, so that processes need not share their noise."""

    def _sample_gauss(self, mu, std):
        return mu, std


def make(closed, weight):
    config = pythae_gated.GatedBetaVAEConfig(
        (1, 4, 4),
        5,
        partitions=SIZES,
        rest=["rest"],
        closed_partitions=closed,
        swap_consistency=weight,
        rest_hsic=weight,
        robust_pairs=bool(weight),
    )
    torch.manual_seed(0)
    return Noiseless(config)


def make_batch():
    generator = torch.Generator().manual_seed(1)
    data, target = torch.rand(2, 2 * BATCH, 1, 4, 4, generator=generator)
    gate = torch.zeros(2 * BATCH, 2, dtype=torch.bool)
    gate[:BATCH, 0] = True  # rank 0 sees pose pairs alone, rank 1 self pairs alone
    gate[BATCH:, 1] = True
    target[BATCH:] = data[BATCH:]
    return {"data": data, "target": target, "gate": gate}


def work(rank, folder, cases):
    """Three steps of one rank's half of the batch for each case; each rank saves its weights."""
    init = f"file://{folder}/init"
    dist.init_process_group("gloo", init_method=init, rank=rank, world_size=2)
    mine = slice(rank * BATCH, (rank + 1) * BATCH)
    batch = {key: value[mine] for key, value in make_batch().items()}
    weights = {}
    for case in cases:
        model = DistributedDataParallel(make(*case))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(batch).loss.backward()
            optimizer.step()
        weights[case] = model.module.state_dict()
    torch.manual_seed(0)  # as Pythae seeds every rank
    pairs = PairedDataset(torch.rand(40, 1, 4, 4), model.module.partitions, {"pose": [0, 1] * 20})
    gates = pairs.__getitems__(range(40)).columns["gate"]
    torch.save((weights, gates), f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()
