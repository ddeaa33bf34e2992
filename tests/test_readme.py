"""The README's scripts run as they stand, one after another, as a reader would run them."""

import re
from pathlib import Path

import pytest

from pythae_gated.metrics import evaluate

README = Path(__file__).parents[1] / "README.md"
BLOCKS = r"<!-- run -->\n```python\n(.*?)```"

pytestmark = pytest.mark.slow


def shape_of(text):
    """The text without its numbers and the spaces that align them."""
    return re.sub(r"[-+]?\d[\d,.]*", "0", re.sub(r"[ ()*]+", " ", text)).strip()


@pytest.fixture(scope="module")
def readers_session(tmp_path_factory):
    """The reader's folder, variables and what the first script printed."""
    folder, printed = tmp_path_factory.mktemp("reader"), []
    names = {"printed": printed}
    scripts = re.findall(BLOCKS, README.read_text(), re.DOTALL)
    assert len(scripts) >= 5
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        first = scripts[0].replace("print(", "printed.append(")
        assert first.count("printed.append(") == 1
        exec(compile(first, str(README), "exec"), names)
        intended = {"yaw": "pose", "pitch": "pose"}
        first_result = evaluate(
            names["model"], names["images"], names["factors"], intended=intended
        )
        for script in scripts[1:]:
            exec(compile(script, str(README), "exec"), names)
    return folder, first_result, str(printed[0])


def test_the_first_script_encodes_yaw_and_pitch_in_their_partition(readers_session):
    _, result, _ = readers_session
    for factor in ("yaw", "pitch"):
        assert result.share["pose"][factor] >= 0.9
        assert result.scores["pose"][factor] >= 0.9


def test_the_readme_shows_the_output_of_the_first_script(readers_session):
    shown = re.search(r"\n```\n( *importance in.*?)```", README.read_text(), re.DOTALL)[1]
    assert shape_of(shown) == shape_of(readers_session[2])


def test_later_scripts_leave_their_pictures_and_report(readers_session):
    folder = readers_session[0] / "output/readme"
    for name in ("swaps.png", "traversals.png", "variations.png", "report/report.html"):
        assert (folder / name).exists()
    assert (folder / "evaluation.jsonl").exists()
