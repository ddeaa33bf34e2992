"""A study of gated and ungated models and of competing methods; results in STUDY.md.

    python examples/study.py --photographs DIR --speech FILE --mice FILE --mnist DIR

trains and evaluates some 500 models on two cores, in about eleven hours, and writes one line of
JSON per run. It may be stopped at any time and resumes where it was stopped. Tables and figures
are computed from these lines by

    python examples/study.py --report

which rewrites the tables in STUDY.md and README.md. The first folder contains the CMU Face
Images, as for examples/cmu_faces.py, the second t10k-images-idx3-ubyte.gz and its labels; the
files are those of examples/speech.py and examples/proteins.py. Without one of them, its runs are
left out, and without matplotlib, whose fonts they have, those on letters. `--part main --seed 0`
runs only some: parts are "main", "grid", "labels", "input", "steps", "options", "large" and
"competitors".
"""

import argparse
import multiprocessing
import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from study_parts import tables
from study_parts.data import Sources
from study_parts.lines import Lines
from study_parts.run_one import run_one
from study_parts.runs import (
    TINY,
    TINY_SETTINGS,
    WHOLE,
    Extent,
    Run,
    Settings,
    choose_multiples,
    competitor_runs,
    grid_runs,
    lower_grid_runs,
    main_runs,
)

EXAMPLES = Path(__file__).parent
RESULTS = EXAMPLES / "results"
DOCUMENTS = (EXAMPLES / "STUDY.md", EXAMPLES.parent / "README.md")
WORKERS = 2


def main() -> None:
    """Complete the study, unless only a report is requested, and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of study.jsonl")
    for name in ("photographs", "speech", "mice", "mnist"):
        parser.add_argument(f"--{name}", type=Path)
    for name, what in (
        ("part", "table"),
        ("data", "data set"),
        ("scheme", "model"),
        ("seed", "seed"),
    ):
        kind = int if name == "seed" else str
        parser.add_argument(f"--{name}", nargs="+", type=kind, help=f"run only this {what}")
    parser.add_argument(
        "--report", action="store_true", help="only tables and figures, no training"
    )
    parser.add_argument("--tiny", action="store_true", help="a study of a minute, as a trial")
    args = parser.parse_args()
    extent, settings = (TINY, TINY_SETTINGS) if args.tiny else (WHOLE, Settings())
    lines = Lines(args.output / "study.jsonl", settings)
    if not args.report:
        try:
            sources = Sources(args.photographs, args.speech, args.mice, args.mnist)
            chosen = {name: getattr(args, name) for name in ("part", "data", "scheme", "seed")}
            study(lines, extent, sources, chosen)
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


def study(
    lines: Lines, extent: Extent, sources: Sources, chosen: Mapping[str, Any] | None = None
) -> None:
    """Complete all runs; competitors come last, with the weights chosen from the grid."""
    for stage in (
        lambda: main_runs(extent),
        lambda: grid_runs(extent),
        lambda: lower_grid_runs(extent, choose_multiples(lines.results)),
        lambda: competitor_runs(extent, choose_multiples(lines.results)),
    ):
        done = lines.done()
        todo = [run for run in stage() if run not in done and sources.has(run.data)]
        for key, values in (chosen or {}).items():
            todo = [run for run in todo if values is None or getattr(run, key) in values]
        if todo:
            run_all(todo, lines, sources)


def run_all(todo: list[Run], lines: Lines, sources: Sources) -> None:
    """Execute the runs on worker processes, and save each result when it is complete."""
    threads = max(1, (os.cpu_count() or 1) // WORKERS)
    context = multiprocessing.get_context("spawn")
    started = time.perf_counter()
    with ProcessPoolExecutor(WORKERS, context, _start_worker, (os.getpid(), threads)) as pool:
        runs: dict[Future[dict[str, Any]], Run] = {
            pool.submit(run_one, run, lines.settings, sources, lines.path.parent): run
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
