"""The tutorial notebook is committed with its outputs; the nightly tests execute it."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples/tutorial.ipynb"


def read():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    return notebook, [cell for cell in notebook.cells if cell.cell_type == "code"]


def shape_of(cell):
    """What a cell printed, without numbers and the marks and spaces that depend on them."""
    # The kernel may send a text in several parts.
    text = "".join(output.get("text", output.output_type) for output in cell.outputs)
    return re.sub(r"[ ()*]+", " ", re.sub(r"[-+]?\d[\d,.]*", "0", text))


def test_the_committed_notebook_has_outputs_and_no_errors():
    notebook, cells = read()
    assert 8 <= len(cells) <= 12
    for cell in cells:
        assert cell.outputs
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
        assert len(cell.source.splitlines()) <= 25
        assert not cell.metadata
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert NOTEBOOK.stat().st_size < 500_000


@pytest.mark.nightly
def test_the_notebook_runs_and_prints_what_is_committed(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the kernel
    notebook, cells = read()
    committed = [shape_of(cell) for cell in cells]
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, record_timing=False, resources=resources).execute()
    assert [shape_of(cell) for cell in cells] == committed
    assert (tmp_path / "output/tutorial/report/report.html").exists()
