"""The world: what stands behind the heads, and what it shines on them. No bpy here: datablocks are only read."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from gshead_backend.srgb import srgb_to_linear

_ROWS, _COLUMNS = 32, 64  # of the picture that an environment texture is brought down to
_pictures: dict[tuple[Any, ...], np.ndarray] = {}


def background(scene: Any, tree: Any | None) -> np.ndarray | None:
    """(3,) scene-linear colour behind the heads, or None for a transparent film.

    It is the Background shader's colour times its strength, else ``world.color``. This engine cannot draw a texture
    that is linked to the colour; the socket's own colour is used.

    Args:
        tree: the world's node tree when it is in use.
    """
    return None if scene.render.film_transparent else _constant(scene.world, tree)


def world_light(world: Any | None, tree: Any | None) -> tuple[np.ndarray, np.ndarray]:
    """What the world shines on a scene: no directions and its constant radiance (3,), or, of an environment texture,
    directions (n, 3) beside radiance times solid angle (n, 3), both in the working space.

    The texture may be turned by a Mapping node; other nodes between count as nothing, other textures as the Background
    shader's own colour.

    Args:
        tree: the world's node tree when it is in use.
    """
    node = _background_node(tree)
    links = list(node.inputs["Color"].links) if node is not None else []
    texture = links[0].from_node if links else None
    if node is None or texture is None or texture.bl_idname != "ShaderNodeTexEnvironment" or texture.image is None:
        return np.zeros((0, 3)), _constant(world, tree)
    picture = _picture(texture.image)
    if picture is None or texture.projection != "EQUIRECTANGULAR":
        return np.zeros((0, 3)), _constant(world, tree)
    directions, solid = sphere()
    return directions @ _turn(texture), picture * solid[:, None] * node.inputs["Strength"].default_value


def sphere() -> tuple[np.ndarray, np.ndarray]:
    """Directions (n, 3) in Blender's world of an equirectangular picture's pixels, row 0 below, and solid angles."""
    height = ((np.arange(_ROWS) + 0.5) / _ROWS - 0.5) * pi
    around = -((np.arange(_COLUMNS) + 0.5) / _COLUMNS - 0.5) * 2 * pi
    theta, phi = (a.ravel() for a in np.meshgrid(height, around, indexing="ij"))
    directions = np.stack([np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), np.sin(theta)], 1)
    weight = np.cos(theta)
    return directions, 4 * pi * weight / weight.sum()


def forget() -> None:
    """Read pictures again, e.g. when another file is opened."""
    _pictures.clear()


def _constant(world: Any | None, tree: Any | None) -> np.ndarray:
    if world is None:
        return np.zeros(3)
    node = _background_node(tree)
    if node is not None:
        return np.array(node.inputs["Color"].default_value[:3]) * node.inputs["Strength"].default_value
    return np.array(world.color[:3])


def _background_node(tree: Any | None) -> Any | None:
    if tree is None:
        return None
    output = tree.get_output_node("ALL") or tree.get_output_node("EEVEE")
    links = list(output.inputs["Surface"].links) if output is not None else []
    node = links[0].from_node if links else None
    return node if node is not None and node.bl_idname == "ShaderNodeBackground" else None


def _turn(texture: Any) -> np.ndarray:
    """(3, 3) by which a Mapping node turns the texture's lookups: picture = turn @ world, so rows are turned back."""
    links = list(texture.inputs["Vector"].links)
    mapping = links[0].from_node if links else None
    if mapping is None or mapping.bl_idname != "ShaderNodeMapping":
        return np.eye(3)
    x, y, z = mapping.inputs["Rotation"].default_value
    cx, cy, cz, sx, sy, sz = *np.cos((x, y, z)), *np.sin((x, y, z))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    turn = about_z @ about_y @ about_x
    return turn.T if mapping.vector_type == "TEXTURE" else turn


def _picture(image: Any) -> np.ndarray | None:
    """(n, 3) mean linear colours over the cells of ``sphere``; read once. None for a picture that is not there."""
    width, height = image.size
    key = (image.original.session_uid, image.filepath, width, height, image.colorspace_settings.name)
    if key not in _pictures:
        if not width or not height or image.channels < 3:
            return None
        pixels = np.empty(width * height * image.channels, np.float32)
        image.pixels.foreach_get(pixels)
        pixels = pixels.reshape(height, width, image.channels)[..., :3]
        small = _shrunk(_shrunk(pixels, _ROWS, 0), _COLUMNS, 1).reshape(-1, 3).astype(np.float64)
        if not image.is_float and image.colorspace_settings.name == "sRGB":
            small = srgb_to_linear(small).astype(np.float64)
        _pictures[key] = np.nan_to_num(np.maximum(small, 0), posinf=0.0)
    return _pictures[key]


def _shrunk(pixels: np.ndarray, cells: int, axis: int) -> np.ndarray:
    """Means of ``cells`` equal runs along an axis, that may be shorter than them."""
    size = pixels.shape[axis]
    starts = np.arange(cells) * size // cells
    if size < cells:
        return np.take(pixels, starts, axis)
    shape = [1] * pixels.ndim
    shape[axis] = cells
    counts = np.diff(np.append(starts, size)).reshape(shape)
    return np.add.reduceat(pixels, starts, axis, dtype=np.float64) / counts
