"""Breaking text into lines by its width as Blender's interface font draws it."""

from __future__ import annotations

from typing import Any

import blf

FONT = 0
_MARGIN = 50  # of a panel and the tabs beside it, in pixels of an unscaled interface


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


def draw_text(
    layout: Any, context: Any, text: str, *, icon: str = "NONE", width: float = 0.0, inset: bool = False
) -> None:
    """Labels of whole words that fit a sidebar's region (``inset``: a box in it), or ``width`` pixels.

    The icon goes to the first line.
    """
    scale = context.preferences.system.ui_scale
    points = context.preferences.ui_styles[0].widget.points
    room = (width or context.region.width) - (_MARGIN + 24 * (icon != "NONE") + 20 * inset) * scale
    column = layout.column(align=True)
    column.scale_y = 0.8
    for row, line in enumerate(wrap(text, room, points * scale)):
        column.label(text=line, icon=icon if row == 0 or icon == "NONE" else "BLANK1")
