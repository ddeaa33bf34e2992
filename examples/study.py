"""The study behind the README's results: gated against ungated models and against competitors.

    python examples/study.py --photographs DIR

trains and judges about 175 models on two cores, in some four hours, and writes one line of JSON
for each as it is done. It may be stopped at any time: what is done is not done again. Tables and
figures are made of these lines alone, by

    python examples/study.py --report

DIR holds the CMU Face Images, as for examples/cmu_faces.py; without it their runs are left out.
"""

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import platform
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cmu_faces
import torch
from study_report import write_report
from study_training import Run, Settings, run_one

import pythae_gated

RESULTS = Path(__file__).parent / "results"
WORKERS = 2
GRID_SEED = 100  # weights are chosen on a seed that no table shows


@dataclass(frozen=True)
class Extent:
    """How much of the study there is to do."""

    grids: dict[str, tuple[float, ...]]  # backbone -> weights to choose from
    competitors: tuple[str, ...] = ("group", "ada", "match", "supervised")
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    few_seeds: tuple[int, ...] = (0, 1, 2)
    shares: tuple[float, ...] = (0.1, 0.01)
    wrongs: tuple[float, ...] = (0.1, 0.2, 0.4)
    remedies: tuple[str, ...] = ("costly rest", "independent rest", "blind rest")
    options: tuple[str, ...] = (
        "twice the steps",
        "three times the self pairs",
        "half of beta",
        "warm start",
    )
    folds: tuple[int, ...] = (0, 1, 2, 3, 4)


WHOLE = Extent({"beta": (0.01, 0.02, 0.05, 0.1), "info": (1, 10, 100), "dip": (1, 5, 25)})
TINY = Extent(
    {"beta": (0.02,)},
    competitors=("match", "supervised"),
    seeds=(0,),
    few_seeds=(0,),
    shares=(0.5,),
    wrongs=(0.4,),
    remedies=("blind rest",),
    options=("warm start",),
    folds=(0,),
)
TINY_SETTINGS = Settings(
    n_train=256, n_test=128, n_fit=128, epochs=4, batch=64, photograph_steps=4
)


def main() -> None:
    """Run what is not done yet, or report what is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the lines are kept")
    parser.add_argument("--photographs", type=Path, help="folder of the CMU Face Images")
    parser.add_argument("--image-size", type=int, default=32, choices=(32, 64))
    parser.add_argument("--report", action="store_true", help="tables and figures, no training")
    parser.add_argument("--tiny", action="store_true", help="a study of seconds, to try it")
    args = parser.parse_args()
    extent, settings = (TINY, TINY_SETTINGS) if args.tiny else (WHOLE, Settings())
    lines = Lines(args.output / "study.jsonl", replace(settings, image_size=args.image_size))
    if not args.report:
        try:
            study(lines, extent, args.photographs)
        except KeyboardInterrupt:
            raise SystemExit(f"\nStopped; {len(lines.found)} runs lie in {lines.path}") from None
    print(write_report(lines.found, args.output))


class Lines:
    """The runs that are done, one line of JSON each."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self.settings = path, settings
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text() if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # killed while it wrote
            path.write_text(whole)
        self.found: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        for line in self.found:
            if line["settings"] != asdict(settings):
                raise SystemExit(
                    f"{path} holds runs with other settings, {line['settings']}: name another "
                    f"folder by --output"
                )

    def done(self) -> set[Run]:
        return {Run(**line["run"]) for line in self.found}

    def add(self, run: Run, found: dict[str, Any]) -> None:
        line = {"run": asdict(run), "settings": asdict(self.settings), "versions": versions()}
        self.found.append({**line, **found})
        with self.path.open("a") as file:
            file.write(json.dumps(self.found[-1]) + "\n")


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    names = ("pythae", "torch", "numpy", "scikit-learn")
    found = {name: importlib.metadata.version(name) for name in names}
    own = {"python": platform.python_version(), "pythae-gated": pythae_gated.__version__}
    return own | found


def study(lines: Lines, extent: Extent, photographs: Path | None) -> None:
    """Do all runs that are not done: first the grids, then what rests on their choice."""
    if photographs is None:
        print("No --photographs: the runs on the CMU Face Images are left out.")
        extent = replace(extent, folds=())
    grids = list(grid_runs(extent))
    stages = (
        lambda: grids,
        lambda: list(main_runs(extent, choose_weights(lines.found))),
        lambda: list(cost_runs(extent, choose_weights(lines.found))),
    )
    for stage, workers in zip(stages, (WORKERS, WORKERS, 1), strict=True):
        todo = [run for run in stage() if run not in lines.done()]
        if todo:
            run_all(todo, lines, photographs, workers)


def grid_runs(extent: Extent) -> Iterable[Run]:
    """One seed for each weight: of the ungated models, and of each competitor."""
    for backbone, weights in extent.grids.items():
        for weight in weights:
            yield Run("grid", backbone, "ungated", weight, seed=GRID_SEED)
    for scheme in extent.competitors:
        for weight in extent.grids["beta"]:
            yield Run("grid", "beta", scheme, weight, seed=GRID_SEED)


def choose_weights(lines: Iterable[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """(backbone, scheme) -> the weight with the highest mean of D, C and I."""
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for line in lines:
        run = Run(**line["run"])
        if run.part != "grid":
            continue
        told = list(line["informativeness"].values())
        score = line["disentanglement"] + line["completeness"] + sum(told) / len(told)
        key = (run.backbone, run.scheme)
        best[key] = max(best.get(key, (-1.0, 0.0)), (score, run.weight))
    return {key: weight for key, (_, weight) in best.items()}


def main_runs(extent: Extent, weights: dict[tuple[str, str], float]) -> Iterable[Run]:
    """Everything that the tables show, seed by seed, so that a part of it is already one."""
    beta = weights["beta", "ungated"]
    for seed in extent.seeds:
        for backbone in extent.grids:
            weight = weights[backbone, "ungated"]
            yield Run("claim", backbone, "ungated", weight, seed=seed)
            for scheme in ("target", "input"):
                for labelled in ("rest", "all"):
                    yield Run("claim", backbone, scheme, weight, labelled, seed=seed)
        for scheme in extent.competitors:
            yield Run("competitors", "beta", scheme, weights["beta", scheme], seed=seed)
        if seed not in extent.few_seeds:
            continue
        for share in extent.shares:
            yield Run("weak", "beta", "target", beta, share=share, seed=seed)
        for wrong in extent.wrongs:
            yield Run("noisy", "beta", "target", beta, wrong=wrong, seed=seed)
        for scheme in extent.remedies:
            yield Run("remedies", "beta", scheme, beta, seed=seed)
        for option in extent.options:
            weight = beta / 2 if option == "half of beta" else beta
            yield Run("remedies", "beta", "target", weight, option=option, seed=seed)
    for fold in extent.folds:
        for scheme in ("ungated", "target", "group"):
            yield Run("photographs", "beta", scheme, cmu_faces.BETA, seed=fold)


def cost_runs(extent: Extent, weights: dict[tuple[str, str], float]) -> Iterable[Run]:
    """Timings, to be taken while nothing else runs."""
    for backbone in extent.grids:
        yield Run("cost", backbone, "all", weights[backbone, "ungated"])


def run_all(todo: list[Run], lines: Lines, photographs: Path | None, workers: int) -> None:
    """Keep that many processes busy, and keep each run as it ends."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = multiprocessing.get_context("spawn")
    started = time.perf_counter()
    with ProcessPoolExecutor(workers, context, _start_worker, (os.getpid(), threads)) as pool:
        runs: dict[Future[dict[str, Any]], Run] = {
            pool.submit(run_one, run, lines.settings, photographs): run for run in todo
        }
        try:
            waiting = set(runs)
            while waiting:
                ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in ended:
                    lines.add(runs[future], future.result())
                    n_done = len(todo) - len(waiting)
                    spent = (time.perf_counter() - started) / 60
                    left = spent / n_done * len(waiting)
                    print(f"{n_done}/{len(todo)}, {spent:.0f} minutes, {left:.0f} left: ", end="")
                    print(runs[future], flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start_worker(parent: int, threads: int) -> None:
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """A worker whose study was killed would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
