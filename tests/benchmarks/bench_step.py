"""Measure a training step of gated models relative to their Pythae parents. Prints Markdown.

Run it as `python tests/benchmarks/bench_step.py`. Steps of the models that are compared
alternate, and the median of their time ratios is shown: "input" on B pairs relative to the parent
on B images, "target" on B pairs relative to the parent on 2 B images. Peak memory is the increase
of a process's high-water mark over its first steps. A second table has the cost of each term of
"target" (the first has none of them), and a third that of each phase of `GatedSchedule`, also
with the convolutions of `pythae_gated.networks`. On a GPU: `--device cuda`, where memory is the
peak of what torch allocates.
"""

import argparse
import ctypes
import itertools
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pythae import models

import pythae_gated
from pythae_gated.callbacks import GatedSchedule
from pythae_gated.networks import ConvDecoder, ConvEncoder

INPUT_DIM, LATENT_DIM = (1, 28, 28), 12
SIZES = {"pose": 4, "expression": 4, "identity": 4}
NO_TERMS = {
    "agreement": 0.0,
    "labelled_kl": 1.0,
    "kl_ratio": 1.0,
    "swap_consistency": 0.0,
    "rest_hsic": 0.0,
    "robust_pairs": False,
}
TERMS: dict[str, dict[str, Any]] = {
    "no terms (0.1)": NO_TERMS,
    "agreement": {**NO_TERMS, "agreement": 0.5},
    "weights of the KL": {**NO_TERMS, "labelled_kl": 0.3, "kl_ratio": 30.0},
    "swap consistency": {**NO_TERMS, "swap_consistency": 1.0},
    "HSIC": {**NO_TERMS, "rest_hsic": 10.0},
    "robust pairs": {**NO_TERMS, "robust_pairs": True},
    "all (default)": {},
}
# What `GatedSchedule` sets on the model during its phases.
PHASES: dict[str, dict[str, Any]] = {
    "warm-up": {"regularizer_scale": 0.5},
    "after it": {"regularizer_scale": 1.0},
    "decoder only": {"decoder_only": True},
}
CONFIGS = {"BetaVAE": "BetaVAEConfig", "INFOVAE_MMD": "INFOVAE_MMD_Config"}


def make_step(
    name: str,
    batch_size: int,
    closed: str | None,
    device: str,
    phase: str = "after it",
    convolutions: bool = False,
    **options: Any,
) -> Callable[[], None]:
    """A step of Adam for the parent (`closed` None) or for the gated model.

    With `convolutions`, its networks are those of `pythae_gated.networks`, else Pythae's.
    """
    torch.manual_seed(0)
    module: Any = models if closed is None else pythae_gated
    prefix = "" if closed is None else "Gated"
    extra: dict[str, Any] = {}
    if closed is not None:
        extra = {"partitions": SIZES, "closed_partitions": closed, **(options or NO_TERMS)}
    config = getattr(module, prefix + CONFIGS[name])(INPUT_DIM, LATENT_DIM, **extra)
    networks: list[Any] = []
    if convolutions:
        networks = [ConvEncoder(INPUT_DIM, LATENT_DIM), ConvDecoder(INPUT_DIM, LATENT_DIM)]
    model = getattr(module, prefix + name)(config, *networks).to(device)
    vars(model).update(PHASES[phase])
    optimizer = torch.optim.Adam(model.parameters())
    data, target = torch.rand(2, batch_size, *INPUT_DIM, device=device)
    inputs = {"data": data}
    if closed is not None:
        kinds = torch.arange(batch_size, device=device) % 3
        inputs |= {"target": target, "gate": torch.nn.functional.one_hot(kinds, 3).bool()}

    def step() -> None:
        optimizer.zero_grad()
        model(inputs).loss.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def ratios(
    steps: list[Callable[[], None]], parent: Callable[[], None], seconds: float
) -> list[float]:
    """The median ratio of each step's time to the parent's, in rounds of all of them."""
    rounds: list[list[float]] = []
    until = time.perf_counter() + seconds * len(steps)
    everything = [parent, *steps]
    while time.perf_counter() < until or len(rounds) < 5:
        times = {}
        for at in range(len(everything)):  # each round begins with another one
            step = everything[(at + len(rounds)) % len(everything)]
            start = time.perf_counter()
            step()
            times[step] = time.perf_counter() - start
        rounds.append([times[step] / times[parent] for step in steps])
    return [statistics.median(column) for column in zip(*rounds[2:], strict=True)]


def keep_freed_memory() -> None:
    """Make the C library (glibc) keep freed memory.

    Whether it returns pages after a step, and requests them again in the next, depends on the
    layout of the heap and can increase the time of a step by half.
    """
    libc = ctypes.CDLL("libc.so.6")
    trim_threshold, mmap_threshold = -1, -3  # from malloc.h
    libc.mallopt(trim_threshold, 2**31 - 1)
    libc.mallopt(mmap_threshold, 2**25)


def peak_memory(name: str, batch_size: int, closed: str | None, device: str) -> float:
    """Growth of a new process over three steps, in MB."""
    command = [sys.executable, __file__, "--device", device]
    command += ["--memory", name, str(batch_size), closed or "parent"]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def print_memory(name: str, batch_size: int, closed: str | None, device: str) -> None:
    """Print the rise of this process's high-water mark over three steps."""
    make_step(name, 2, closed, device)()
    if device == "cpu":
        Path("/proc/self/clear_refs").write_text("5")  # reset the high-water mark
    before = high_water_mark(device)
    step = make_step(name, batch_size, closed, device)
    for _ in range(3):
        step()
    print(high_water_mark(device) - before)


def high_water_mark(device: str) -> float:
    """The peak memory of this process (on Linux), or of its tensors on the GPU, in MB."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Print the table, or the peak memory of one process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each ratio")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--memory", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    device = args.device
    warnings.simplefilter("ignore")
    if args.memory:
        name, batch_size, closed = args.memory
        print_memory(name, int(batch_size), None if closed == "parent" else closed, device)
        return
    keep_freed_memory()
    print("| model | batch | input, time | target, time | input, memory (MB, ours / Pythae's) |")
    print("| --- | --- | --- | --- | --- |")
    for name in CONFIGS:
        for size in (64, 256, 1024):
            parents = (make_step(name, rows, None, device) for rows in (size, 2 * size))
            times = [
                ratios([make_step(name, size, closed, device)], parent, args.seconds)[0]
                for closed, parent in zip(("input", "target"), parents, strict=True)
            ]
            memory = [peak_memory(name, size, closed, device) for closed in ("input", None)]
            print(
                f"| {name} | {size} | {times[0]:.2f} | {times[1]:.2f} | "
                f"{memory[0]:.0f} / {memory[1]:.0f} |",
                flush=True,
            )
    print("\n| BetaVAE, batch | " + " | ".join(TERMS) + " |")
    print("| " + " | ".join(["---"] * (len(TERMS) + 1)) + " |")
    for size in (64, 256):
        parent = make_step("BetaVAE", 2 * size, None, device)
        steps = [
            make_step("BetaVAE", size, "target", device, rest=["identity"], **options)
            for options in TERMS.values()
        ]
        cells = [f"{time:.2f}" for time in ratios(steps, parent, args.seconds)]
        print(f"| {size} | {' | '.join(cells)} |", flush=True)
    schedule = GatedSchedule()
    finish = schedule.finish
    shares = (schedule.warmup, 1 - schedule.warmup - finish, finish)
    titles = [f"{name} ({share:.0%})" for name, share in zip(PHASES, shares, strict=True)]
    print("\n| BetaVAE, networks | batch | " + " | ".join(titles) + " | mean | mean / 0.1 |")
    print("| " + " | ".join(["---"] * (len(titles) + 4)) + " |")
    for convolutions, size in itertools.product((False, True), (64, 256)):
        given: dict[str, Any] = {"rest": ["identity"], "convolutions": convolutions}
        parent = make_step("BetaVAE", 2 * size, None, device, convolutions=convolutions)
        former = make_step("BetaVAE", size, "target", device, **given, **NO_TERMS)
        steps = [make_step("BetaVAE", size, "target", device, phase, **given) for phase in PHASES]
        times = ratios([*steps, former], parent, args.seconds)
        mean = sum(time * share for time, share in zip(times, shares, strict=False))
        cells = [f"{time:.2f}" for time in (*times[:-1], mean, mean / times[-1])]
        networks = "convolutions" if convolutions else "Pythae's"
        print(f"| {networks} | {size} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
