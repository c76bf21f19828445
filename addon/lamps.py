"""What Blender's lights and world give to a place, as spherical harmonics. No bpy here: datablocks are read.

Units are Blender's own: a lamp of P watts gives P / (4 pi d²) to what faces it at d metres, an area light is a diffuse
surface that sends out its watts, a sun gives its strength. A diffuse surface then has the radiance albedo * irradiance
/ pi, as in Cycles and EEVEE. What stands between is told by ``shadows``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin, tan
from typing import Any

import numpy as np

from gshead_backend.avatar.light import even_light, project

BRIGHTEST = 1e5
"""What the harmonics of a light are held to; 3.5 lights white as white."""
_GRID = 8  # points across an area light
_ROUGH, _DISK = 4, 16  # points across one, and on the disk of a round lamp, that rays are sent to
_NEAR = 0.05  # metres: a lamp that stands in a head counts as at least so far from its middle


@dataclass(frozen=True)
class Lamp:
    """One light as it stands in the world.

    Attributes:
        kind: POINT, SPOT, AREA or SUN. matrix: (4, 4) to the world; it shines along its own -z.
        power: (3,) watts, or W/m² of a sun, by colour, in the working space.
        cone: of a spot: the cosine of half its angle, and the share of the cone over which it fades.
        size: (2,) metres of an area light, before ``matrix``. round: it is an ellipse. spread: its angle, radians.
        radius: metres, of a point or spot. angle: radians across a sun. casts: things in its way throw shadows.
    """

    kind: str
    matrix: np.ndarray
    power: np.ndarray
    cone: tuple[float, float] = (-1.0, 0.0)
    size: tuple[float, float] = (0.0, 0.0)
    round: bool = False
    spread: float = pi
    radius: float = 0.0
    angle: float = 0.0
    casts: bool = True

    @property
    def axis(self) -> np.ndarray:
        """(3,) unit, against the way it shines."""
        return self.matrix[:3, 2] / max(float(np.linalg.norm(self.matrix[:3, 2])), 1e-12)


def lamp_of(data: Any, matrix: np.ndarray) -> Lamp:
    """A light from its (evaluated) datablock and its object's (4, 4) world matrix."""
    color = np.array(data.color, np.float64)
    if getattr(data, "use_temperature", False):
        color = color * np.array(data.temperature_color, np.float64)
    power = color * data.energy * 2.0 ** getattr(data, "exposure", 0.0) * data.diffuse_factor * _emission(data)
    matrix = np.asarray(matrix, np.float64)
    if not getattr(data, "normalize", True):
        power = power * _extent(data, matrix)
    casts = bool(getattr(data, "use_shadow", True))
    if data.type == "SUN":
        return Lamp("SUN", matrix, power, angle=float(data.angle), casts=casts)
    if data.type == "AREA":
        whole = data.shape in ("DISK", "ELLIPSE")
        return Lamp("AREA", matrix, power, size=_size(data), round=whole, spread=float(data.spread), casts=casts)
    cone = (cos(data.spot_size / 2), data.spot_blend) if data.type == "SPOT" else (-1.0, 0.0)
    return Lamp(data.type, matrix, power, cone, radius=float(data.shadow_soft_size), casts=casts)


def _size(data: Any) -> tuple[float, float]:
    return data.size, data.size if data.shape in ("SQUARE", "DISK") else data.size_y


def _extent(data: Any, matrix: np.ndarray) -> float:
    """The area, or a sun's solid angle, by which a light is divided unless *Normalize* is off."""
    if data.type == "SUN":
        return pi * sin(data.angle / 2) ** 2
    if data.type != "AREA":
        return 4 * pi * data.shadow_soft_size**2
    scale = np.linalg.norm(matrix[:3, :2], axis=0)
    area = float(np.prod(scale * _size(data)))
    return area * pi / 4 if data.shape in ("DISK", "ELLIPSE") else area


def _emission(data: Any) -> np.ndarray:
    """(3,) what a light's own nodes make of it: an Emission shader's colour times its strength, where plain."""
    tree = data.node_tree if getattr(data, "use_nodes", False) else None
    output = next((n for n in tree.nodes if n.bl_idname == "ShaderNodeOutputLight"), None) if tree else None
    links = list(output.inputs["Surface"].links) if output is not None else []
    node = links[0].from_node if links else None
    if node is None or node.bl_idname != "ShaderNodeEmission":
        return np.ones(3)
    return np.array(node.inputs["Color"].default_value[:3]) * node.inputs["Strength"].default_value


def light_at(
    lamps: Sequence[Lamp], world: tuple[np.ndarray, np.ndarray], place: np.ndarray, turn: np.ndarray
) -> np.ndarray:  # fmt: skip
    """(9, 3) SH radiance at a place, in the axes of ``turn``.

    Args:
        world: what shines from everywhere: (3,) constant radiance, or (n, 3) directions beside (n, 3) radiance times
            solid angle, as ``world_light`` tells.
        place: (3,) metres. turn: (3, 3) rotation, from those axes to the world's.
    """
    directions, radiance = world
    sh = even_light(radiance) if directions.size == 0 else project(directions @ turn, radiance)
    for lamp in lamps:
        toward, given = arriving(lamp, place)
        sh = sh + project(toward @ turn, given)
    return sh


def arriving(lamp: Lamp, place: np.ndarray, across: int = _GRID) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (..., n, 3) from places (..., 3) toward the points of a lamp, and the irradiance (..., n, 3) that
    each gives to what faces it.

    Args:
        across: points along each side of an area light.
    """
    axis = lamp.axis
    if lamp.kind == "SUN":
        shape = (*place.shape[:-1], 1, 3)
        return np.broadcast_to(axis, shape), np.broadcast_to(lamp.power, shape)
    points = _points(lamp, across)
    away = points - place[..., None, :]
    distance = np.maximum(np.linalg.norm(away, axis=-1), 1e-9)
    toward = away / distance[..., None]
    facing = toward @ axis  # cosine between the lamp's beam and the way to the place
    distance = np.maximum(distance, _NEAR)
    if lamp.kind == "AREA":
        strength = np.maximum(facing, 0) * _spread(facing, lamp.spread) / (pi * len(points))
    else:
        strength = np.full(len(points), 1 / (4 * pi))
        if lamp.kind == "SPOT":
            strength = strength * _in_cone(facing, *lamp.cone)
    return toward, (strength / distance**2)[..., None] * lamp.power


def rays(lamp: Lamp, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ways from places (V, 3) to points all over a lamp, as wide as it is: unit vectors (V, n, 3), lengths (V, n) in
    metres (1e6 to a sun), and the irradiance (V, n, 3) that comes along each."""
    toward, given = arriving(lamp, places, _ROUGH)
    if lamp.kind == "AREA":
        return toward, np.linalg.norm(_points(lamp, _ROUGH) - places[:, None], axis=-1), given
    far = np.full((len(places), 1, 1), 1e6)
    if lamp.kind != "SUN":
        far = np.linalg.norm(lamp.matrix[:3, 3] - places, axis=-1)[:, None, None]
    radius = far * tan(lamp.angle / 2) if lamp.kind == "SUN" else np.full_like(far, lamp.radius)
    if radius.max() <= 0:
        return toward, far[..., 0], given
    i = np.arange(_DISK) + 0.5
    angle, part = i * pi * (3 - 5**0.5), np.sqrt(i / _DISK)
    side = np.cross(toward, np.where(np.abs(toward[..., :1]) < 0.7, [1.0, 0, 0], [0, 1.0, 0]))
    side /= np.linalg.norm(side, axis=-1, keepdims=True)
    around = (part * np.cos(angle))[:, None] * side + (part * np.sin(angle))[:, None] * np.cross(toward, side)
    ways = far * toward + radius * around
    length = np.linalg.norm(ways, axis=-1)
    return ways / length[..., None], length, np.repeat(given / _DISK, _DISK, axis=1)


def _points(lamp: Lamp, across: int) -> np.ndarray:
    """(n, 3) points of a lamp in the world."""
    if lamp.kind != "AREA":
        return lamp.matrix[None, :3, 3]
    middle = (np.arange(across) + 0.5) / across - 0.5
    u, v = (a.ravel() for a in np.meshgrid(middle, middle))
    if lamp.round:
        inside = u * u + v * v <= 0.25
        u, v = u[inside], v[inside]
    x, y = lamp.matrix[:3, 0] * lamp.size[0], lamp.matrix[:3, 1] * lamp.size[1]
    return lamp.matrix[:3, 3] + u[:, None] * x + v[:, None] * y


def _in_cone(facing: np.ndarray, edge: float, blend: float) -> np.ndarray:
    """Blender's falloff toward the edge of a spot's cone: a smooth step over ``blend`` of it."""
    if blend <= 0:
        return (facing > edge).astype(np.float64)
    t = np.clip((facing - edge) / ((1 - edge) * blend), 0, 1)
    return t * t * (3 - 2 * t)


def _spread(facing: np.ndarray, spread: float) -> np.ndarray:
    """How an area light's grid narrows it (Cycles' ``area_light_spread_attenuation``)."""
    if spread >= pi - 1e-4:
        return np.ones_like(facing)
    half = spread / 2
    steep = np.sqrt(np.maximum(1 - facing**2, 0)) / np.maximum(facing, 1e-6)
    return np.maximum(tan(half) - steep, 0) / max(tan(half) - half, 1e-6)
