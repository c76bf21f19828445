"""The render engine "Gaussian Head": final frames through ``final``, the viewport through ``viewport``.

Only ``report({'ERROR'}, ...)`` makes Blender fail a render: raising, or returning without a result, would write a
black image and call it finished. So every failure ends there.
"""

from __future__ import annotations

import traceback
from typing import Any

import bpy

from gshead_backend.errors import Cancelled, GsheadError

from . import compositing_guard, final, render_settings, runtime, viewport
from .problem import Problem

ENGINE = "GSHEAD"


class GaussianHeadEngine(bpy.types.RenderEngine):
    """Draws the Gaussian heads of a scene; everything else in the scene is left to other engines."""

    bl_idname = ENGINE
    bl_label = "Gaussian Head"
    bl_use_preview = False
    bl_use_postprocess = True
    bl_use_shading_nodes_custom = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._view: viewport.View | None = None

    def render(self, depsgraph: Any) -> None:
        """F12 and every frame of an animation; in the GUI each on a new thread."""
        if render_settings.of(depsgraph.scene).gives_up:
            self._say("The Gaussian heads of this frame could not be drawn.")
            return
        try:
            final.render_frame(self, depsgraph)
        except Cancelled:
            return
        except GsheadError as error:
            self._fail(str(error), Problem.of(error, "Render"), depsgraph)
        except Exception as error:
            traceback.print_exc()
            message = f"Gaussian Head could not render: {type(error).__name__}: {error}"
            self._fail(message, Problem("", message, "", "Render"), depsgraph)

    def update_render_passes(self, scene: Any = None, renderlayer: Any = None) -> None:
        """The passes this engine fills."""
        for name, channels, letters, kind in final.pass_names(scene, renderlayer):
            self.register_pass(scene, renderlayer, name, channels, letters, kind)

    def view_update(self, context: Any, depsgraph: Any) -> None:
        """Something in the scene changed."""
        self._viewport().update(context, depsgraph)

    def view_draw(self, context: Any, depsgraph: Any) -> None:
        """Draw the newest frame that has arrived and ask for the next; never waits."""
        self._viewport().draw(context, depsgraph)

    def _viewport(self) -> viewport.View:
        if getattr(self, "_view", None) is None:
            self._view = viewport.View(self)
        return self._view

    def _fail(self, message: str, problem: Problem, depsgraph: Any) -> None:
        self._say(message)
        runtime.problem = problem
        if render_settings.of(depsgraph.scene).source is not None:
            # Drawn for another scene's compositor, which never hears of this engine's errors.
            final.failed_frame(self, depsgraph.scene)
            compositing_guard.give_up(depsgraph.scene, problem)

    def _say(self, message: str) -> None:
        self.report({"ERROR"}, message)
        self.update_stats("Gaussian Head", message)


def _wanted(panel: Any) -> bool:
    """Blender's own panels that make sense for this engine: size, camera, output, colour management, world colour."""
    engines = getattr(panel, "COMPAT_ENGINES", None)
    skipped = ("VIEWLAYER_PT_filter", "VIEWLAYER_PT_layer_passes", "RENDER_PT_simplify", "RENDER_PT_freestyle")
    return engines is not None and "BLENDER_RENDER" in engines and not panel.__name__.startswith(skipped)


def register() -> None:
    bpy.utils.register_class(GaussianHeadEngine)
    for panel in _panels():
        panel.COMPAT_ENGINES.add(ENGINE)


def unregister() -> None:
    for panel in _panels():
        panel.COMPAT_ENGINES.discard(ENGINE)
    bpy.utils.unregister_class(GaussianHeadEngine)


def _panels() -> list[Any]:
    return [panel for panel in bpy.types.Panel.__subclasses__() if _wanted(panel)]
