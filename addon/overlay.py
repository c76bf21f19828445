"""Heads in every shading mode: an overlay that is tested against the scene's depth, one ``LiveView`` a region.

Blender calls POST_VIEW handlers with the viewport's overlay buffer bound, whose depth is the scene's: Solid, Material
Preview and EEVEE leave theirs there, and with overlays shown Blender draws one for Cycles and other engines. That
buffer comes after the view transform, so a photo's colours stay as they are under AgX, too.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import bpy

from gshead_backend.errors import GsheadError

from . import boxes, compat, overlay_bones, storage, ticker
from .boxes import PROPERTY
from .camera import SEEN_EVERYWHERE, clip_planes, depth_to_ndc, viewport_camera
from .final import wire_heads
from .live import LiveView
from .reading import read_heads
from .screen import draw_notice

MESH_MARGIN = 0.01
"""Metres by which splats win over their own mesh where it cannot be hidden: linked heads, and EEVEE's renders."""
ENGINE = "GSHEAD"


@dataclass
class _Region:
    """What the overlay keeps for one region."""

    live: LiveView
    notice: str = ""
    warning: str = ""  # why the picture may differ from the meshes
    read_at: tuple[Any, ...] = ()
    foreign: list[bool] = field(default_factory=list)
    covered: bool = False  # a mesh that could not be made a box lies over its splats


_regions: dict[int, _Region] = {}
_handlers: list[Any] = []
_changes = 0  # grows with everything that may move a head


def shown_in(space: Any, scene: Any) -> bool:
    """Whether the overlay draws in a 3D viewport: not where the Gaussian Head engine already does."""
    engine_draws = space.shading.type == "RENDERED" and scene.render.engine == ENGINE
    return getattr(scene, PROPERTY) and not engine_draws and space.show_object_viewport_mesh


def _draw_view() -> None:
    context = bpy.context
    space, region, view = context.space_data, context.region, context.region_data
    if view is None or not shown_in(space, context.scene):
        _drop(region.as_pointer())
        return
    entry = _regions.get(region.as_pointer())
    if entry is None:
        if not storage.any_head():
            return
        entry = _regions[region.as_pointer()] = _Region(LiveView(_redraws(region.as_pointer()), depth=True))
        entry.live.region = region.as_pointer()
    try:
        _read(entry, context)
        camera = viewport_camera(view.window_matrix, view.view_matrix, region.width, region.height)
        entry.notice = entry.live.exchange(camera) or entry.notice
        covered = entry.covered or (space.shading.type == "RENDERED" and context.scene.render.engine == compat.EEVEE)
        to_ndc = depth_to_ndc(view.window_matrix, view.view_matrix, camera, nearer=MESH_MARGIN * covered)
        clip = clip_planes(view.clip_planes, camera) if view.use_clip_planes else SEEN_EVERYWHERE
        if entry.live.picture.draw_overlay(to_ndc, clip):
            overlay_bones.draw(context)
    except GsheadError as error:
        entry.notice = str(error)


def _draw_text() -> None:
    region = bpy.context.region
    entry = _regions.get(region.as_pointer())
    if entry is not None and entry.notice:
        draw_notice(entry.notice, region)


def _read(entry: _Region, context: Any) -> None:
    space = context.space_data
    state = (_changes, context.scene.as_pointer(), context.view_layer.name, space.local_view is not None)
    thorough = state == entry.read_at and entry.live.resting()
    if state == entry.read_at and not thorough:
        entry.notice = entry.warning
        return
    entry.notice = ""
    entry.live.rested = thorough
    lines = []  # whether each mesh is drawn as lines

    def shown(obj: Any) -> bool:
        visible = obj.visible_in_viewport_get(space) or not obj.users_scene
        if visible:
            lines.append(obj.display_type in ("BOUNDS", "WIRE"))
        return visible

    heads = read_heads(context.evaluated_depsgraph_get(), thorough=thorough, shown=shown)
    entry.warning = next((head.warning for head in heads if head.warning), "")
    entry.notice = entry.warning
    entry.covered = not all(lines)
    foreign = [head.state.vertices is not None for head in heads]
    if not (thorough and foreign == entry.foreign):
        entry.live.show(wire_heads(heads))
    entry.read_at, entry.foreign = state, foreign


# --- regions that go -------------------------------------------------------------------------------------------------


def _redraws(pointer: int) -> Any:
    def redraw() -> None:
        region = _live_regions().get(pointer)
        if region is None:
            raise ReferenceError
        region.tag_redraw()

    return redraw


def _live_regions() -> dict[int, Any]:
    """The 3D viewports' regions on screen, by pointer; a workspace that is not shown has none."""
    found = {}
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                found.update({region.as_pointer(): region for region in area.regions if region.type == "WINDOW"})
    return found


def _drop(pointer: int) -> None:
    entry = _regions.pop(pointer, None)
    if entry is not None:
        entry.live.close()


def tidy() -> None:
    """Close views whose region has gone, and hide the meshes that splats stand for; called by the live timer."""
    if _regions:
        there = _live_regions()
        for pointer in [pointer for pointer in _regions if pointer not in there]:
            _drop(pointer)
    boxes.update()


# --- life ------------------------------------------------------------------------------------------------------------


@bpy.app.handlers.persistent
def _changed(*_: Any) -> None:
    global _changes
    _changes += 1


@bpy.app.handlers.persistent
def _renewed(*_: Any) -> None:
    boxes.look_again()
    _changed()


@bpy.app.handlers.persistent
def _file_opened(*_: Any) -> None:
    for pointer in list(_regions):
        _drop(pointer)
    _renewed()


def _toggled(scene: Any, context: Any) -> None:
    _changed()
    boxes.update()
    for region in _live_regions().values():
        region.tag_redraw()


def _popover(panel: Any, context: Any) -> None:
    panel.layout.prop(context.scene, PROPERTY)


def _hooks() -> list[tuple[list[Any], Any]]:
    handlers = bpy.app.handlers
    return [
        (handlers.depsgraph_update_post, _changed), (handlers.frame_change_post, _changed),
        (handlers.undo_post, _renewed), (handlers.redo_post, _renewed), (handlers.load_post, _file_opened),
    ]  # fmt: skip


def register() -> None:
    setattr(
        bpy.types.Scene,
        PROPERTY,
        bpy.props.BoolProperty(
            name="Gaussian Heads", default=True, update=_toggled,
            description="Draw the splats of heads into viewports of every shading; their meshes become boxes meanwhile",
        ),
    )  # fmt: skip
    for hook, function in _hooks():
        hook.append(function)
    bpy.types.VIEW3D_PT_overlay_object.append(_popover)
    ticker.on_tick.append(tidy)
    if not bpy.app.background:
        for draw, kind in ((_draw_view, "POST_VIEW"), (_draw_text, "POST_PIXEL")):
            _handlers.append(bpy.types.SpaceView3D.draw_handler_add(draw, (), "WINDOW", kind))


def unregister() -> None:
    while _handlers:
        bpy.types.SpaceView3D.draw_handler_remove(_handlers.pop(), "WINDOW")
    for pointer in list(_regions):
        _drop(pointer)
    with contextlib.suppress(ValueError):
        ticker.on_tick.remove(tidy)
    bpy.types.VIEW3D_PT_overlay_object.remove(_popover)
    for hook, function in _hooks():
        if function in hook:
            hook.remove(function)
    delattr(bpy.types.Scene, PROPERTY)
