"""No frame without its heads: what stops a Cycles render with heads, before and while it runs; reload and undo."""

from __future__ import annotations

from pathlib import Path

import bpy
import common
import render_setup


def attempt(path: Path, **options) -> str:
    try:
        return next(iter(render_setup.render_image(path, **options)))
    except RuntimeError as error:
        return f"RuntimeError: {error}"


def attempt_movie(path: Path) -> str:
    """Render the scene's movie."""
    scene = bpy.context.scene
    scene.render.filepath = str(path)
    try:
        return next(iter(bpy.ops.render.render(animation=True)))
    except RuntimeError as error:
        return f"RuntimeError: {error}"


def main() -> None:
    out = Path(common.ARGS["out"])
    made = render_setup.scene_with_head(size=48)
    from gshead_backend.errors import BackendDiedError  # there since the extension is enabled

    scene, runtime = bpy.context.scene, common.module("runtime")
    session = runtime.session
    render_setup.cycles(1)
    bpy.ops.gshead.add_to_compositor()
    results, reasons = {}, {}

    def refused(name: str, **options) -> None:
        results[name] = attempt(out / name / "f_", **options)
        problem, runtime.problem = runtime.problem, None
        reasons[name] = f"{problem.code} {problem.message}" if problem else ""

    settings = session.settings
    command = settings.command
    object.__setattr__(settings, "command", ("/nonexistent/gshead", "serve"))
    refused("no_backend")
    refused("no_backend_animation", animation=True)
    object.__setattr__(settings, "command", command)
    refused("restored")
    border = scene.render.use_border, scene.render.border_max_x
    scene.render.use_compositing = False
    refused("compositing_off")
    scene.render.use_compositing = True
    scene.render.use_single_layer = True
    refused("single_layer")
    scene.render.use_single_layer = False
    tree = common.module("compat").compositor_tree(scene)
    tree.nodes["Gaussian Heads Render"].mute = True
    refused("muted")
    tree.nodes["Gaussian Heads Render"].mute = False
    # a copy of the scene has no heads' scene of its own until it is asked for
    bpy.ops.scene.new(type="FULL_COPY")
    copy = bpy.context.scene
    refused("copied")
    bpy.ops.gshead.add_to_compositor()
    refused("copied_added")
    heads_scenes = len({s.gshead_render.heads_scene for s in (scene, copy)})
    bpy.ops.gshead.remove_from_compositor()
    bpy.data.scenes.remove(copy)
    bpy.context.window.scene = scene
    bpy.data.batch_remove([o for o in bpy.data.objects if not o.users_scene])
    # somebody deletes the scene that draws the heads
    bpy.data.scenes.remove(scene.gshead_render.heads_scene)
    refused("deleted")
    bpy.ops.gshead.add_to_compositor()
    # the backend is lost for good while an animation renders
    real, frames = session.render, []

    def breaks(*arguments, **options):
        frames.append(scene.frame_current)
        if scene.frame_current >= 2:
            raise BackendDiedError("The backend ended.")
        return real(*arguments, **options)

    session.render = breaks
    scene.frame_start, scene.frame_end = 1, 4
    refused("lost", animation=True)
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "VIDEO"
    settings.file_format = "FFMPEG"
    movies = {"lost_movie": attempt_movie(out / "lost_movie" / "m_")}
    guard = common.module("compositing_guard")
    with_window, guard._without_window = guard._without_window, lambda: False
    movies["movie_in_window"] = attempt_movie(out / "movie_in_window" / "m_")
    format_after = settings.file_format
    refused("lost_in_window", animation=True)
    filepath = scene.render.filepath
    guard._without_window = with_window
    scene.frame_set(3)
    refused("lost_still")
    del session.render
    scenes = [s.name for s in bpy.data.scenes]
    # undo, reload
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.gshead.remove_from_compositor()
    bpy.ops.ed.undo_push(message="after")
    removed = len(bpy.data.scenes)
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    undone = scene.gshead_render.heads_scene is not None, len(bpy.data.scenes), bpy.data.objects["Ada"].visible_camera
    refused("undone")
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(out / "scene.blend"))
    refused("reloaded")
    bpy.ops.gshead.remove_from_compositor()
    left = {"scenes": len(bpy.data.scenes), "groups": len(bpy.data.node_groups),
            "camera_rays": bpy.data.objects["Ada"].visible_camera}  # fmt: skip
    files = {name: sorted(f.name for f in (out / name).glob("*")) for name in results}
    del made
    common.report(results=results, reasons=reasons, movies=movies, format_after=format_after, files=files,
                  border=border, filepath=filepath, frames=frames, scenes=scenes,
                  removed=removed, heads_scenes=heads_scenes, undone=undone, left=left)  # fmt: skip


common.run(main)
