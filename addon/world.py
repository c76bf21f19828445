"""The world's constant colour, as far as it is one. No bpy here: datablocks are only read."""

from __future__ import annotations

from typing import Any

import numpy as np


def background_color(world: Any | None) -> np.ndarray:
    """(3,) scene-linear colour behind the heads: the Background shader's colour times strength, else ``world.color``.

    A texture linked to the colour cannot be drawn by this engine; its socket's own colour is used.
    """
    if world is None:
        return np.zeros(3)
    tree = world.node_tree
    if tree is not None and world.use_nodes:
        output = tree.get_output_node("ALL") or tree.get_output_node("EEVEE")
        links = output.inputs["Surface"].links if output is not None else ()
        node = links[0].from_node if len(links) else None
        if node is not None and node.bl_idname == "ShaderNodeBackground":
            return np.array(node.inputs["Color"].default_value[:3]) * node.inputs["Strength"].default_value
    return np.array(world.color[:3])
