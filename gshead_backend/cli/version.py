"""``gshead version``."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from .. import __version__
from .console import emit, parse


def main(args: Sequence[str]) -> int:
    return parse(version, "version", args)


def version(*, json: bool = False) -> int:
    """Print the versions of gshead and of the Python it runs on.

    Args:
        json: one JSON object instead of text.
    """
    facts = {"gshead": __version__, "python": platform.python_version(), "platform": platform.platform()}
    emit(facts, f"gshead {__version__} (Python {facts['python']}, {facts['platform']})", as_json=json)
    return 0
