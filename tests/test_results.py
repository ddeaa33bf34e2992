"""The tables of settings are those of the committed lines."""

from pathlib import Path

from tests.benchmarks import setting_tables

ROOT = Path(__file__).parents[1]


def test_the_document_shows_the_tables_of_the_committed_lines():
    shown = (ROOT / "tests/benchmarks/README.md").read_text()
    runs = setting_tables.read(ROOT / "examples/results/settings.jsonl")
    for setting in ("size", "learning_rate", "batch", "labels", "shift", "balanced"):
        varied = setting_tables.select(runs, vary=setting)
        assert setting_tables.table_of_settings(varied) in shown
    assert setting_tables.table_of_beta(setting_tables.select(runs, vary="beta")) in shown
