"""Blender's lights for USD, by the same numbers as Blender's own USD exporter writes. No bpy here: lights are read."""

from __future__ import annotations

from collections.abc import Iterable
from math import degrees, pi
from typing import Any

import numpy as np

from gshead_backend.export.usd_look import Light

_KINDS = {"POINT": "sphere", "SPOT": "sphere", "SUN": "distant"}
_SUN = 4.0


def lights_of(depsgraph: Any) -> list[Light]:
    """The lights that an evaluated scene shows, where they are on its frame, sorted by name."""
    return sorted(_lights(depsgraph.object_instances), key=lambda light: light.name)


def _lights(instances: Iterable[Any]) -> Iterable[Light]:
    for instance in instances:
        if instance.show_self and instance.object.type == "LIGHT":
            yield light_of(instance.object.data, np.array(instance.matrix_world, np.float64), instance.object.name)


def light_of(data: Any, matrix: np.ndarray, name: str) -> Light:
    """One light; Blender's shine along their own -z axis, as UsdLux's do."""
    kind, size, cone = _KINDS.get(data.type, "rect"), {}, None
    if data.type == "SUN":
        size = {"angle": degrees(data.angle) / 2}
    elif data.type in ("POINT", "SPOT"):
        size = {"radius": data.shadow_soft_size}
    elif data.shape in ("DISK", "ELLIPSE"):
        across = data.size if data.shape == "DISK" else (data.size + data.size_y) / 2
        kind, size = "disk", {"radius": across / 2}
    else:
        size = {"width": data.size, "height": data.size if data.shape == "SQUARE" else data.size_y}
    if data.type == "SPOT":
        cone = (degrees(data.spot_size) / 2, data.spot_blend)
    intensity = data.energy / (_SUN if data.type == "SUN" else pi)
    return Light(kind, matrix, tuple(data.color), intensity, getattr(data, "exposure", 0.0), True, size, cone, name)  # pyright: ignore[reportArgumentType]
