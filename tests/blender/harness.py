"""Running scripts inside real Blenders (bpy wheels in environments of their own) with the built extension installed.

The wheels' environments hold no pyzmq, msgspec or safetensors: what is used there is what the zip brings along.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from this_tree import BACKEND_COMMAND

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "scripts"
VERSIONS = ("4.5", "5.0", "5.2")
MARK = "GSHEAD-RESULT "
HIDDEN = (
    *("PYTHONPATH", "PYTHONHOME", "GSHEAD_BACKEND_COMMAND", "GSHEAD_CONNECTION_FILE"),
    "PYTHONDONTWRITEBYTECODE",  # a user's Blender compiles the extension once, not at every start
)


def blender_python(version: str) -> Path:
    """The interpreter of a Blender environment, whether or not it is there."""
    inside = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    return ROOT / ".venvs" / f"blender-{version}" / inside


@lru_cache(maxsize=1)
def extension_zip() -> Path:
    """The extension as it is now, built by the command that users run (quick when nothing changed)."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "bootstrap.py"), "build-addon"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, f"build-addon failed:\n{done.stdout}\n{done.stderr}"
    return Path(done.stdout.strip().splitlines()[-1])


@dataclass
class Blender:
    """One Blender version with a settings folder of its own, in which the extension is installed on first use.

    Attributes:
        version: such as ``"4.5"``. resources: takes the place of the user's settings and extensions.
        runtime: where its backends put sockets and locks. environment: further variables.
    """

    version: str
    resources: Path
    runtime: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, script: str, **arguments: Any) -> subprocess.Popen[str]:
        """Start a script of ``scripts/`` and return at once; end it with ``result``."""
        kept = {k: v for k, v in os.environ.items() if k not in HIDDEN}
        environment = {
            **kept, "BLENDER_USER_RESOURCES": str(self.resources), "GSHEAD_RUNTIME_DIR": str(self.runtime),
            "GSHEAD_BACKEND_COMMAND": json.dumps(BACKEND_COMMAND), "PYTHONNOUSERSITE": "1", "OMP_NUM_THREADS": "1",
            "GSHEAD_TEST_ARGS": json.dumps({"zip": str(extension_zip()), **arguments}), **self.environment,
        }  # fmt: skip
        return subprocess.Popen(
            [str(blender_python(self.version)), str(SCRIPTS / f"{script}.py")], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.resources,
        )  # fmt: skip

    def run(self, script: str, *, timeout: float = 200, **arguments: Any) -> dict[str, Any]:
        """Run a script to its end and return what it reported; its output is shown when it fails."""
        return result(self.start(script, **arguments), timeout)


def result(process: subprocess.Popen[str], timeout: float = 200) -> dict[str, Any]:
    """The report of a started script."""
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        pytest.fail(f"Blender did not end within {timeout} s:\n{output[-4000:]}")
    lines = [line for line in output.splitlines() if line.startswith(MARK)]
    assert lines, f"no report, exit status {process.returncode}:\n{output[-6000:]}"
    assert process.returncode == 0, f"exit status {process.returncode}:\n{output[-6000:]}"
    return {**json.loads(lines[-1][len(MARK) :]), "output": output}


def read_line(process: subprocess.Popen[str], start: str) -> str:
    """Read a running script's output up to the line that begins with ``start``."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith(start):
            return line[len(start) :].strip()
    pytest.fail(f"the script ended without '{start}':\n{''.join(seen)[-4000:]}")


@contextlib.contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """A started script that is ended with the block, however it ends."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
