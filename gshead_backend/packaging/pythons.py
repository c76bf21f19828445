"""Find CPython interpreters of a wanted version on Linux, macOS and Windows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROBE = """
import json, platform, struct, sys
try:
    import ensurepip, venv
    usable = True
except ImportError:
    usable = False
print(json.dumps({"version": list(sys.version_info[:3]), "bits": struct.calcsize("P") * 8, "usable": usable,
                  "name": platform.python_implementation(), "path": sys.executable}))
"""


@dataclass(frozen=True)
class Python:
    """An interpreter that can make virtual environments.

    Attributes:
        path: the executable.
        version: major, minor, patch.
    """

    path: Path
    version: tuple[int, int, int]

    @property
    def minor(self) -> str:
        """Such as ``"3.11"``."""
        return f"{self.version[0]}.{self.version[1]}"


def _candidates(minor: str) -> Iterator[str]:
    """Places where ``python<minor>`` may be, the likeliest first; they need not exist."""
    if minor == f"{sys.version_info.major}.{sys.version_info.minor}":
        yield sys.executable
    if chosen := os.environ.get(f"GSHEAD_PYTHON_{minor.replace('.', '_')}"):
        yield chosen
    if found := shutil.which(f"python{minor}"):
        yield found
    home = Path.home()
    if os.name == "nt":
        for folder in (os.environ.get("LOCALAPPDATA"), os.environ.get("PROGRAMFILES")):
            if folder:
                name = f"Python{minor.replace('.', '')}"
                yield str(Path(folder) / "Programs" / "Python" / name / "python.exe")
                yield str(Path(folder) / name / "python.exe")
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions"
    uv = home / ".local" / "share" / "uv" / "python"
    for folder, pattern in ((pyenv, f"{minor}.*"), (uv, f"cpython-{minor}.*")):
        for version in sorted(folder.glob(pattern), reverse=True):
            yield str(version / "bin" / f"python{minor}")
    for prefix in ("/opt/homebrew/opt/python@{}/bin", "/usr/local/opt/python@{}/bin", "/usr/local/bin", "/usr/bin"):
        yield f"{prefix.format(minor)}/python{minor}"
    yield f"/Library/Frameworks/Python.framework/Versions/{minor}/bin/python{minor}"


def _run(command: list[str]) -> dict[str, object] | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def _probe(command: list[str], minor: str) -> Python | str | None:
    """The interpreter behind ``command``, a sentence saying why it cannot be used, or None when it is not one."""
    answer = _run([*command, "-c", PROBE])
    if answer is None:
        return None
    version = tuple(answer["version"])  # type: ignore[arg-type]
    path = str(answer["path"])
    if f"{version[0]}.{version[1]}" != minor:
        return None
    if answer["name"] != "CPython" or answer["bits"] != 64:
        return f"{path} is not a 64-bit CPython"
    if not answer["usable"]:
        return f"{path} cannot make virtual environments (on Debian/Ubuntu: apt-get install python{minor}-venv)"
    return Python(Path(path), version)


def find_python(minor: str) -> tuple[Python | None, list[str]]:
    """Find an interpreter.

    Args:
        minor: such as ``"3.11"``. The environment variable ``GSHEAD_PYTHON_3_11`` names one that is not found.

    Returns:
        The interpreter or None, and sentences about those that were found and cannot be used.
    """
    reasons: list[str] = []
    tried: set[str] = set()
    commands = [[path] for path in _candidates(minor)]
    if os.name == "nt" and shutil.which("py"):
        commands.append(["py", f"-{minor}"])
    for command in commands:
        if command[0] in tried and len(command) == 1:
            continue
        tried.add(command[0])
        answer = _probe(command, minor)
        if isinstance(answer, Python):
            return answer, reasons
        if answer:
            reasons.append(answer)
    return None, reasons
