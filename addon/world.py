"""What stands behind the heads: the world's constant colour. No bpy here: datablocks are only read."""

from __future__ import annotations

from typing import Any

import numpy as np


def background(scene: Any, tree: Any | None) -> np.ndarray | None:
    """(3,) scene-linear colour behind the heads, or None for a transparent film.

    It is the Background shader's colour times its strength, else ``world.color``. This engine cannot draw a texture
    that is linked to the colour; the socket's own colour is used.

    Args:
        tree: the world's node tree when it is in use.
    """
    if scene.render.film_transparent:
        return None
    if scene.world is None:
        return np.zeros(3)
    if tree is not None:
        output = tree.get_output_node("ALL") or tree.get_output_node("EEVEE")
        links = output.inputs["Surface"].links if output is not None else ()
        node = links[0].from_node if len(links) else None
        if node is not None and node.bl_idname == "ShaderNodeBackground":
            return np.array(node.inputs["Color"].default_value[:3]) * node.inputs["Strength"].default_value
    return np.array(scene.world.color[:3])
