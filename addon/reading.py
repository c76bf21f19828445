"""Reading heads for live views: quickly while things move, thoroughly when they rest.

Comparing every vertex of a mesh with its pose finds whatever else deforms it, but takes longer than the rest of a
redraw. While only the rig can have moved it, what the last comparison said still holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .heads import PosedHead, visible_heads

_foreign: dict[int, bool] = {}


def read_heads(
    depsgraph: Any, *, thorough: bool = False, shown: Callable[[Any], bool] | None = None
) -> list[PosedHead]:
    """The visible heads; compares the meshes that something but their rig may deform, and all when ``thorough``.

    Args:
        shown: whether an original object is to be seen in this view.
    Raises:
        GsheadError: an avatar cannot be read.
    """
    heads = visible_heads(depsgraph, foreign=(lambda obj: None) if thorough else _known, shown=shown)
    for head in heads:
        _foreign[head.uid] = head.state.vertices is not None
    return heads


def forget() -> None:
    """Compare everything again, e.g. when another file is opened."""
    _foreign.clear()


def _known(original: Any) -> bool | None:
    if original.mode != "OBJECT" or any(modifier.type != "ARMATURE" for modifier in original.modifiers):
        return None
    return _foreign.get(original.session_uid)
