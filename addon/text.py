"""Breaking text into lines by its width as Blender's interface font draws it."""

from __future__ import annotations

import blf

FONT = 0


def wrap(text: str, width: float, size: float) -> list[str]:
    """Lines of whole words, each at most ``width`` pixels at ``size`` points where its words allow it."""
    blf.size(FONT, size)
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and blf.dimensions(FONT, longer)[0] > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line] if line else lines
