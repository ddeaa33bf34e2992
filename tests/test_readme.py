"""The README's scripts run as they stand, one after another, as a reader would run them."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_scripts_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scripts = re.findall(r"<!-- run -->\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(scripts) >= 4
    names: dict[str, object] = {}
    for script in scripts:
        exec(compile(script, str(README), "exec"), names)
    assert (tmp_path / "output/readme/swaps.png").exists()
