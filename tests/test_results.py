"""The README's tables of data sets are those of the committed lines."""

from pathlib import Path

from tests.benchmarks import data_set_tables

ROOT = Path(__file__).parents[1]


def test_the_documents_show_the_tables_of_the_committed_lines():
    lines = data_set_tables.read(ROOT / "examples/results/data_sets.jsonl")
    assert data_set_tables.table_at_a_glance(lines) in (ROOT / "README.md").read_text()
    shown = (ROOT / "tests/benchmarks/README.md").read_text()
    assert data_set_tables.table_of_schemes(lines) in shown
    runs = data_set_tables.read(ROOT / "examples/results/settings.jsonl")
    for setting in ("size", "learning_rate", "batch", "labels"):
        varied = data_set_tables.select(runs, vary=setting)
        assert data_set_tables.table_of_settings(varied) in shown
