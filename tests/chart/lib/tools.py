"""The tools, where things lie, and how a check says that something is wrong."""

import os
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "claviger"
HERE = ROOT / "tests" / "chart"
ACCEPT = os.environ.get("CLAVIGER_ACCEPT") == "1"


class Wrong(Exception):
    """Something is not as it must be; the text says what, and what to do."""


def insist(problems: list[str]) -> None:
    """Nothing is wrong, or all of it at once."""
    if problems:
        raise Wrong("\n".join(problems))


def call(tool: str, *arguments: object, text: str | None = None) -> subprocess.CompletedProcess:
    """Runs a tool by the name of its variable: `call("HELM", "lint", ...)`."""
    program = os.environ.get(f"CLAVIGER_TEST_{tool}")
    if not program:
        raise Wrong(f"CLAVIGER_TEST_{tool} is not set: start this by tests/chart/run")
    command = [program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, input=text, timeout=300, env=clean())


def done(tool: str, *arguments: object, text: str | None = None) -> str:
    """What a tool prints; it must succeed."""
    ran = call(tool, *arguments, text=text)
    if ran.returncode:
        raise Wrong(f"{tool.lower()} {' '.join(map(str, arguments))} ends with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def clean() -> dict[str, str]:
    """An environment in which nobody's own Helm repositories and plugins are seen."""
    nowhere = Path(tempfile.gettempdir()) / "claviger-chart-helm"
    homes = {f"HELM_{name}_HOME": str(nowhere / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    return {**os.environ, **homes, "KUBECONFIG": "/dev/null"}


@contextmanager
def folder():
    """A temporary folder."""
    with tempfile.TemporaryDirectory(prefix="claviger-chart-") as path:
        yield Path(path)
