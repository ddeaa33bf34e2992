"""The README's tables of data sets are those of the committed lines."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def load_benchmark():
    path = ROOT / "tests/benchmarks/bench_data_sets.py"
    spec = importlib.util.spec_from_file_location("bench_data_sets", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_documents_show_the_tables_of_the_committed_lines():
    benchmark = load_benchmark()
    lines = benchmark.read(ROOT / "examples/results/data_sets.jsonl")
    assert benchmark.table_at_a_glance(lines) in (ROOT / "README.md").read_text()
    shown = (ROOT / "tests/benchmarks/README.md").read_text()
    assert benchmark.table_of_schemes(lines) in shown
