"""No frame without its heads: handlers that prepare a render with heads in the compositor, or stop it.

A handler cannot fail a render by raising, and an error of the heads' engine does not reach the scene that asked for
it. What Blender 4.5 to 5.2 do obey:

- before a render, a render region of no width: it is refused with an error, no file is written, scripts get a
  ``RuntimeError``. So everything that can be known beforehand is checked then (``refuse``).
- during a render without a window, a second render inside it that fails: both end as cancelled, no file is written,
  movies end with the frame before (``give_up``).
- during an animation in a window, a file that cannot be written: the frame that lacks its heads becomes the error that
  ends it, movies end with the frame before. A still writes no file and shows the engine's error colour: nothing ends it
  there, a dialog says why.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import bpy

from gshead_backend.errors import GsheadError

from . import compat, compositing, render_settings, runtime, storage, telling
from .problem import Problem

WHAT = "Heads in the Compositor"
_BORDER = ("border_min_x", "border_max_x", "border_min_y", "border_max_y")


@bpy.app.handlers.persistent
def prepare(scene: Any, *_: Any) -> None:
    """Before a render: bring the scene of the heads up to date, and make sure that they can be drawn."""
    restore(scene)
    if not compositing.is_set_up(scene):
        return
    try:
        compositing.check(scene)
        compositing.take_up(scene)
        _hand_over(render_settings.of(scene).heads_scene)
    except GsheadError as error:
        refuse(scene, Problem.of(error, WHAT))
    except Exception as error:
        traceback.print_exc()
        refuse(scene, Problem("", f"Heads cannot be added to this render: {type(error).__name__}: {error}", "", WHAT))


@bpy.app.handlers.persistent
def follow(scene: Any, *_: Any) -> None:
    """Before every frame: settings that are animated."""
    if compositing.is_set_up(scene) and not render_settings.of(scene).refused:
        # Nothing of this can fail now that ``prepare`` has passed.
        compositing.sync(scene)


def refuse(scene: Any, problem: Problem) -> None:
    """Make the render that is about to begin fail. The region is put back as soon as Blender lets something run."""
    settings, render = render_settings.of(scene), scene.render
    settings.border = (render.use_border, *(getattr(render, name) for name in _BORDER))
    settings.refused = True
    render.use_border = True
    for name, value in zip(_BORDER, (0.0, 1e-6, 0.0, 1e-6), strict=True):
        setattr(render, name, value)
    telling.on_main_thread(restore)  # before the dialog: whoever sees it may press F12 again
    telling.tell(problem)


@bpy.app.handlers.persistent
def restore(scene: Any = None, *_: Any) -> None:
    """Put back the render regions that :func:`refuse` replaced."""
    for each in bpy.data.scenes if not isinstance(scene, bpy.types.Scene) else (scene,):
        settings = render_settings.of(each)
        if settings.refused:
            use, *border = settings.border
            each.render.use_border = bool(use)
            for name, value in zip(_BORDER, border, strict=True):
                setattr(each.render, name, value)
            settings.refused = False
        if settings.movie_format:
            compat.set_file_format(each.render.image_settings, settings.movie_format)
            settings.movie_format = ""
        if settings.filepath:
            each.render.filepath = settings.filepath
            settings.filepath = ""


def give_up(scene: Any, problem: Problem) -> None:
    """End a render under way whose heads failed; ``scene`` is the scene of the heads.

    A render inside a render is for one thread, so with a window it is the file that cannot be written which ends it.
    """
    telling.tell(problem)
    if not _without_window():
        _make_unwritable(render_settings.of(scene).source)
        return
    broken = bpy.data.scenes.new("Gaussian Heads failed")
    broken.render.engine = "GSHEAD"
    broken.render.resolution_x = broken.render.resolution_y = 8
    broken.camera = scene.camera
    render_settings.of(broken).gives_up = True
    try:
        bpy.ops.render.render(scene=broken.name)
    except RuntimeError:
        pass  # that is its purpose
    finally:
        bpy.data.scenes.remove(broken)


def _make_unwritable(scene: Any) -> None:
    """Let the frame under way be the error that ends an animation; a movie keeps the frames that it has."""
    settings, render = render_settings.of(scene), scene.render
    if render.is_movie_format:  # Blender writes frames to what the settings say now, and closes what it opened
        settings.movie_format = render.image_settings.file_format
        compat.set_file_format(render.image_settings, "PNG")
    settings.filepath = settings.filepath or render.filepath
    render.filepath = str(Path(__file__) / "heads are missing")


def _without_window() -> bool:
    return bpy.app.background


def _hand_over(made: Any) -> None:
    """Start or find the backend and give it every avatar of a scene. Raises ``GsheadError``."""
    client = runtime.session.client()
    meshes = {o for o in made.objects if storage.is_head(o)}
    stored = [storage.read(o.data) for o in meshes if not o.hide_render]
    runtime.session.hand_over(client, {s.avatar_id: s.data for s in stored})


_HANDLERS = (
    ("render_init", prepare), ("render_pre", follow), ("render_complete", restore), ("render_cancel", restore),
    ("save_pre", restore), ("frame_change_pre", restore),
)  # fmt: skip


def register() -> None:
    for name, function in _HANDLERS:
        getattr(bpy.app.handlers, name).append(function)


def unregister() -> None:
    for name, function in _HANDLERS:
        handlers = getattr(bpy.app.handlers, name)
        if function in handlers:
            handlers.remove(function)
