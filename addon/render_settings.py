"""Settings of the scene that belong to rendering, and what the compositor set-up has to remember to undo itself."""

from __future__ import annotations

from typing import Any

import bpy


def _masks_changed(settings: Any, _context: Any) -> None:
    for layer in settings.id_data.view_layers:
        layer.update_render_passes()  # sockets of Render Layers nodes


class GSHEAD_PG_render(bpy.types.PropertyGroup):
    """Rendering of Gaussian heads in one scene"""

    samples: bpy.props.IntProperty(
        name="Blur Samples", default=16, min=1, soft_max=64, max=1024,
        description="Frames averaged for motion blur and depth of field; more are smoother and take longer",
    )  # fmt: skip
    use_masks: bpy.props.BoolProperty(
        name="Head Masks", default=False, update=_masks_changed,
        description="One pass for each head with its coverage, seen past the other heads",
    )  # fmt: skip
    # What follows is written by compositing.py and compositing_guard.py only.
    heads_scene: bpy.props.PointerProperty(type=bpy.types.Scene)
    source: bpy.props.PointerProperty(type=bpy.types.Scene)
    layers_node: bpy.props.StringProperty()
    made_tree: bpy.props.BoolProperty()
    made_depth: bpy.props.BoolProperty()
    shadows: bpy.props.BoolProperty(default=True)
    reflections: bpy.props.BoolProperty(default=True)
    refused: bpy.props.BoolProperty()
    border: bpy.props.FloatVectorProperty(size=5)
    filepath: bpy.props.StringProperty()
    movie_format: bpy.props.StringProperty()
    gives_up: bpy.props.BoolProperty()


def of(scene: Any) -> Any:
    """The settings of a scene."""
    return scene.gshead_render


def register() -> None:
    bpy.utils.register_class(GSHEAD_PG_render)
    bpy.types.Scene.gshead_render = bpy.props.PointerProperty(type=GSHEAD_PG_render)


def unregister() -> None:
    del bpy.types.Scene.gshead_render
    bpy.utils.unregister_class(GSHEAD_PG_render)
