"""One line of ``gshead doctor``'s report, and what its checks ask the machine."""

from __future__ import annotations

import importlib.metadata
import subprocess
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

Status = Literal["ok", "warning", "missing"]
ROOT = Path(__file__).parents[2]
INSTALL = "Make the environment anew: python3 bootstrap.py setup, in the folder of gshead's source"


class Finding(NamedTuple):
    """One line of the report: ``missing`` is something gshead cannot do its work without."""

    name: str
    status: Status
    detail: str
    fix: str = ""


def version_of(distribution: str) -> str:
    """Of an installed package."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "(version unknown)"


def output_of(command: list[str]) -> str:
    """What a program prints; empty when it is not there, fails or takes more than ten seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def is_writable(folder: Path) -> bool:
    """A file can be made in the folder or, while it does not exist, in the nearest parent that does."""
    there = next(p for p in (folder, *folder.parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False
