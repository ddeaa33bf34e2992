"""A study of gated and ungated models and of competing methods; results in STUDY.md.

    python examples/study.py --photographs DIR

trains and evaluates about 250 models on two cores, in about five hours, and writes one line of
JSON per run. It may be stopped at any time and resumes where it was stopped. Tables and figures
are computed from these lines by

    python examples/study.py --report

which rewrites the tables in STUDY.md and in both READMEs. DIR contains the CMU Face Images,
as for examples/cmu_faces.py; without it their runs are left out. Swaps of photographs are drawn
when the models are trained, and by no other command.
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
from study_parts.run_one import run_one
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

EXAMPLES = Path(__file__).parent
RESULTS = EXAMPLES / "results"
DOCUMENTS = (EXAMPLES / "STUDY.md", EXAMPLES / "README.md", EXAMPLES.parent / "README.md")
WORKERS = 2


def main() -> None:
    """Complete the study, unless only a report is requested, and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of study.jsonl")
    parser.add_argument("--photographs", type=Path, help="folder of the CMU Face Images")
    parser.add_argument("--image-size", type=int, default=32, choices=(32, 64))
    parser.add_argument(
        "--report", action="store_true", help="only tables and figures, no training"
    )
    parser.add_argument("--tiny", action="store_true", help="a study of a minute, as a trial")
    args = parser.parse_args()
    extent, settings = (TINY, TINY_SETTINGS) if args.tiny else (WHOLE, Settings())
    lines = Lines(args.output / "study.jsonl", replace(settings, image_size=args.image_size))
    if not args.report:
        try:
            study(lines, extent, args.photographs)
        except KeyboardInterrupt:
            raise SystemExit(f"\nStopped; {len(lines.results)} runs are in {lines.path}") from None
    report(lines, args.output)


def report(lines: Lines, output: Path) -> None:
    """Print the tables and save the figures, study_*.png.

    The tables in `DOCUMENTS` are rewritten too if the results are those in `RESULTS`.
    """
    written = tables.make_tables(lines.results)
    print("\n\n".join(table for table in written.values() if table))
    if output.resolve() == RESULTS.resolve():
        for path in DOCUMENTS:
            path.write_text(tables.fill_tables(path.read_text(), written))
    try:
        from study_parts import charts
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        print("No figures: they require matplotlib, installed with the extra `plots`.")
    else:
        charts.save_charts(tables.group(lines.results), output)


def study(lines: Lines, extent: Extent, photographs: Path | None) -> None:
    """Complete all runs: the grid first, since the others use the weights chosen from it."""
    if photographs is None:
        print("No --photographs: the runs on the CMU Face Images are left out.")
        extent = replace(extent, folds=())
    stages = (
        lambda: grid_runs(extent),
        lambda: main_runs(extent, choose_weights(lines.results)),
        lambda: cost_runs(extent, choose_weights(lines.results)),
    )
    for stage, workers in zip(stages, (WORKERS, WORKERS, 1), strict=True):
        done = lines.done()
        todo = [run for run in stage() if run not in done]
        if todo:
            run_all(todo, lines, photographs, workers)


def run_all(todo: list[Run], lines: Lines, photographs: Path | None, workers: int) -> None:
    """Execute the runs on worker processes, and save each result when it is complete."""
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
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _exit_with(parent: int) -> None:
    """Exit when the parent process is killed; the worker would wait forever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main()
