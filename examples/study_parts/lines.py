"""What is done of the study: one line of JSON a run."""

import importlib.metadata
import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pythae_gated
from study_parts.runs import Run, Settings


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
