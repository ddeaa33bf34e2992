"""The results of the study: one line of JSON per run."""

import importlib.metadata
import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pythae_gated
from study_parts.runs import Run, Settings


class Lines:
    """The completed runs in a file, one line of JSON each.

    A torn last line, of a study that was killed while writing, is removed.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self.settings = path, settings
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text() if path.exists() else ""
        complete = text[: text.rfind("\n") + 1]
        if complete != text:
            path.write_text(complete)
        self.results: list[dict[str, Any]] = [json.loads(line) for line in complete.splitlines()]
        for result in self.results:
            if result["settings"] != asdict(settings):
                raise SystemExit(
                    f"{path} contains runs with other settings, {result['settings']}: choose "
                    f"another folder with --output"
                )

    def done(self) -> set[Run]:
        return {Run(**result["run"]) for result in self.results}

    def add(self, run: Run, result: dict[str, Any]) -> None:
        origin = {"run": asdict(run), "settings": asdict(self.settings), "versions": versions()}
        self.results.append({**origin, **result})
        with self.path.open("a") as file:
            file.write(json.dumps(self.results[-1]) + "\n")


def versions() -> dict[str, str]:
    """Versions of the packages that the results depend on."""
    names = ("pythae", "torch", "numpy", "scikit-learn")
    own = {"python": platform.python_version(), "pythae-gated": pythae_gated.__version__}
    return own | {name: importlib.metadata.version(name) for name in names}
