"""The study behind the README's results: gated against ungated models and against competitors.

    python examples/study.py --photographs DIR

trains and judges about 250 models on two cores, in some five hours, and writes one line of JSON
for each as it is done. It may be stopped at any time: what is done is not done again. Tables and
figures are made of these lines alone, by

    python examples/study.py --report

DIR holds the CMU Face Images, as for examples/cmu_faces.py; without it their runs are left out.
Swaps of theirs are drawn as the models are trained, and are the one thing that no line holds.
"""

import argparse
import multiprocessing
import os
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from study_parts import tables
from study_parts.lines import Lines
from study_parts.runs import (
    TINY,
    TINY_SETTINGS,
    WHOLE,
    Extent,
    Run,
    Settings,
    choose_weights,
    cost_runs,
    grid_runs,
    main_runs,
)
from study_parts.training import run_one

RESULTS = Path(__file__).parent / "results"
WORKERS = 2


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
    report(lines, args.output)


def report(lines: Lines, output: Path) -> None:
    """Print the tables and save them as study.md, beside the figures, study_*.png."""
    text = tables.write_tables(lines.found)
    (output / "study.md").write_text(text)
    print(text)
    try:
        from study_parts import charts
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        print("No figures: they need matplotlib, of the extra `plots`.")
    else:
        charts.save_charts(tables.group(lines.found), output)


def study(lines: Lines, extent: Extent, photographs: Path | None) -> None:
    """Do all runs that are not done: first the grids, then what rests on their choice."""
    if photographs is None:
        print("No --photographs: the runs on the CMU Face Images are left out.")
        extent = replace(extent, folds=())
    stages = (
        lambda: grid_runs(extent),
        lambda: main_runs(extent, choose_weights(lines.found)),
        lambda: cost_runs(extent, choose_weights(lines.found)),
    )
    for stage, workers in zip(stages, (WORKERS, WORKERS, 1), strict=True):
        done = lines.done()
        todo = [run for run in stage() if run not in done]
        if todo:
            run_all(todo, lines, photographs, workers)


def run_all(todo: list[Run], lines: Lines, photographs: Path | None, workers: int) -> None:
    """Keep that many processes busy, and keep each run as it ends."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = multiprocessing.get_context("spawn")
    started = time.perf_counter()
    with ProcessPoolExecutor(workers, context, _start_worker, (os.getpid(), threads)) as pool:
        runs: dict[Future[dict[str, Any]], Run] = {
            pool.submit(run_one, run, lines.settings, photographs, lines.path.parent): run
            for run in todo
        }
        try:
            for n_done, future in enumerate(as_completed(runs), start=1):
                lines.add(runs[future], future.result())
                spent = (time.perf_counter() - started) / 60
                left = spent / n_done * (len(todo) - n_done)
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
    main()
