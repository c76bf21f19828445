"""The examples of docs/api.md, as Python to run. Standard library only: Blender's tests read them as well."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "api.md"


def examples(heading: str) -> list[str]:
    """The Python blocks below a heading of the page, in order."""
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def run(heading: str) -> None:
    """Run them one after the other in one namespace, in the current folder."""
    found, names = examples(heading), {"__name__": "example"}
    assert len(found) > 3
    for number, code in enumerate(found, 1):
        exec(compile(code, f"{DOCUMENT.name}, {heading}, example {number}", "exec"), names)
