"""Which avatars can leave as splats."""

from __future__ import annotations

from ..avatar.types import Avatar
from ..errors import ExportError


def check_exportable(avatar: Avatar) -> None:
    """Raise ``ExportError`` for a head that a network draws: its splats are not what one sees."""
    if avatar.portrait is None:
        return
    raise ExportError(
        f"'{avatar.name}' is drawn by a network ({avatar.method}): its expressions are painted picture by picture, and "
        "the splats in its file only stand in for them, so there is nothing to export as USD or splats.",
        remedy="Render frames of it (in Blender or by 'gshead render'), or reconstruct the photo with method 'uvfit'.",
    )
