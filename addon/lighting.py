"""In which light a head is shown: its photo's, or the scene's lights and world.

The setting sits on the head's rig, with everything else of a head that is keyed. Lights reach the backend as spherical
harmonics at the head's place, in the axes of the head object: bones turn the head under them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np

from . import compat, lamps, world
from .compose import rec709_to
from .rig.read_pose import find_rig

PROPERTY = "gshead_light"
_BEHIND_EYES = 0.07  # metres from between the eyes to the middle of the head


class GSHEAD_PG_light(bpy.types.PropertyGroup):
    """The light on one head"""

    source: bpy.props.EnumProperty(
        name="Light", default="PHOTO", override={"LIBRARY_OVERRIDABLE"},
        description="What lights this head, in viewports and renders",
        items=[
            ("PHOTO", "Photo", "The light that the photo was taken in, whatever the scene is lit by"),
            ("SCENE", "Scene", "The scene's lights and its world"),
        ],
    )  # fmt: skip
    strength: bpy.props.FloatProperty(
        name="Strength", default=1.0, min=0.0, max=1.0, subtype="FACTOR", override={"LIBRARY_OVERRIDABLE"},
        description="How far the scene's light takes the place of the photo's: 0 is the photo's light alone",
    )  # fmt: skip
    shadows: bpy.props.BoolProperty(
        name="Receive Shadows", default=True, override={"LIBRARY_OVERRIDABLE"},
        description="Things of the scene that stand in the way of its lights darken this head, in final frames",
    )  # fmt: skip


def settings_of(mesh: Any) -> Any:
    """The settings of a head by its mesh object."""
    return getattr(find_rig(mesh) or mesh, PROPERTY)


def receives_shadows(mesh: Any) -> bool:
    """Whether a head, by its mesh object, is darkened by the scene's shadows in final frames."""
    settings = settings_of(mesh)
    return settings.source == "SCENE" and settings.shadows


def scene_light_of(evaluated: Any, avatar: Any, depsgraph: Any) -> tuple[float, bool]:
    """0..1, how far the scene lights an evaluated head, and whether it gets shadows; not if a network draws it."""
    if avatar.portrait is not None:
        return 0.0, False
    rig = find_rig(evaluated.original)
    settings = getattr(rig.evaluated_get(depsgraph) if rig is not None else evaluated, PROPERTY, None)
    if settings is None or settings.source != "SCENE":  # factory settings take the extension's properties away
        return 0.0, False
    return float(settings.strength), bool(settings.shadows)


def light_on(
    found: Sequence[lamps.Lamp], depsgraph: Any, avatar: Any, matrix: np.ndarray, translation: np.ndarray
) -> np.ndarray:  # fmt: skip
    """(9, 3) SH radiance, linear Rec.709, in head space at the middle of a head.

    Args:
        found: the lights of the depsgraph. matrix: (4, 4) head space to world. translation: (3,) of its pose.
    """
    scene = depsgraph.scene_eval
    around = world.world_light(scene.world, compat.world_tree(scene.world))
    middle = avatar.personal.joints[3:5].mean(0) - [0, 0, _BEHIND_EYES] + translation
    u, _, vt = np.linalg.svd(matrix[:3, :3])
    turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    sh = lamps.light_at(found, around, matrix[:3, :3] @ middle + matrix[:3, 3], turn)
    space = compat.working_space()
    sh = sh if space == "Linear Rec.709" else sh @ np.linalg.inv(rec709_to(space)).T
    return np.clip(np.nan_to_num(sh), -lamps.BRIGHTEST, lamps.BRIGHTEST)


def register() -> None:
    bpy.utils.register_class(GSHEAD_PG_light)
    setattr(
        bpy.types.Object,
        PROPERTY,
        bpy.props.PointerProperty(type=GSHEAD_PG_light, override={"LIBRARY_OVERRIDABLE"}),
    )


def unregister() -> None:
    delattr(bpy.types.Object, PROPERTY)
    bpy.utils.unregister_class(GSHEAD_PG_light)
