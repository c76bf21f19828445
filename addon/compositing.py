"""Heads in the renders of Cycles and EEVEE: a second scene, drawn by this extension's engine, joined in the compositor.

Blender itself renders that scene for every frame of the first, in stills, animations, background and farm, because a
Render Layers node asks for it. It holds the head objects themselves, so there is nothing to keep alike but the
settings of the frame (``sync``), which ``compositing_guard`` does before each render.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy

from gshead_backend.errors import ArgumentError

from . import compat, compositing_nodes, lighting, render_settings, shadow_casters, storage

ENGINES = ("CYCLES", "BLENDER_EEVEE", "BLENDER_EEVEE_NEXT")
_VISIBLE = "gshead_visible"  # on a head's mesh object: how rays saw it before
_RAYS = ("camera", "diffuse", "glossy", "transmission", "volume_scatter", "shadow")
_FRAME = (
    "resolution_x", "resolution_y", "resolution_percentage", "pixel_aspect_x", "pixel_aspect_y", "use_border",
    "border_min_x", "border_max_x", "border_min_y", "border_max_y", "use_crop_to_border", "use_multiview",
    "views_format", "use_motion_blur", "motion_blur_shutter", "motion_blur_position", "frame_map_old", "frame_map_new",
    "use_persistent_data",
)  # fmt: skip


def is_set_up(scene: Any) -> bool:
    """Whether a scene's renders show heads through the compositor."""
    return bool(render_settings.of(scene).layers_node)


def set_up(scene: Any, *, shadows: bool = True, reflections: bool = True) -> None:
    """Add the heads of a scene to its Cycles or EEVEE renders; a second call takes up new options.

    Args:
        shadows: the heads' meshes cast shadows. reflections: they are seen in reflections and give indirect light.

    Raises:
        ArgumentError: another engine, or no camera.
    """
    if scene.render.engine not in ENGINES:
        raise ArgumentError(
            f"The render engine is {scene.render.engine}; heads are added to the renders of Cycles and EEVEE.",
            remedy="Choose one of them. The engine Gaussian Head draws heads by itself.",
        )
    if scene.camera is None:
        raise ArgumentError("The scene has no camera.", remedy="Add one and make it the scene's active camera.")
    settings = render_settings.of(scene)
    if not _own_heads_scene(scene):
        remove(scene)
        settings.heads_scene = _new_heads_scene(scene)
        sync(scene)
        _join(scene)
    settings.shadows, settings.reflections = shadows, reflections
    sync(scene)
    for obj in _head_meshes(scene):
        _show_to_rays(obj, shadows, reflections)


def take_up(scene: Any) -> None:
    """``sync``, and treat heads that have come since :func:`set_up` as it did those that were there."""
    sync(scene)
    settings = render_settings.of(scene)
    for obj in _head_meshes(scene):
        if _VISIBLE not in obj:
            _show_to_rays(obj, settings.shadows, settings.reflections)


def remove(scene: Any) -> None:
    """Undo :func:`set_up`: nodes, scene and visibility are as they were. Harmless when nothing is set up."""
    settings = render_settings.of(scene)
    tree, made = compat.compositor_tree(scene), settings.heads_scene
    own = _own_heads_scene(scene)
    shown = {*scene.objects, *(_head_meshes(scene) if own else ())}  # those of instanced collections, too
    if tree is not None:
        layers = tree.nodes.get(settings.layers_node)
        compositing_nodes.take_out(tree, layers, made)
        if layers is not None and settings.made_depth:
            scene.view_layers[layers.layer].use_pass_z = False
        if settings.made_tree and {n.bl_idname for n in tree.nodes} <= _OWN_NODES:
            compat.drop_compositor_tree(scene)
    for name in ("heads_scene", "layers_node", "made_tree", "made_depth"):
        settings.property_unset(name)
    if own:
        bpy.data.scenes.remove(made)
    for obj in shown:
        _show_as_before(obj)


_OWN_NODES = {"CompositorNodeRLayers", "CompositorNodeComposite", "NodeGroupOutput"}


def sync(scene: Any) -> None:
    """Make the scene of the heads agree with ``scene``: objects, camera, frame, size, region, views, blur."""
    made = render_settings.of(scene).heads_scene
    layer = _layer(scene)
    shade = any(lighting.receives_shadows(obj) for obj in bpy.data.objects if storage.is_head(obj))
    wanted, there = set(_sources(layer.layer_collection, scene.collection, shade)), set(made.collection.objects)
    for obj in there - wanted:
        made.collection.objects.unlink(obj)
    for obj in wanted - there:
        made.collection.objects.link(obj)
    if wanted != there:
        made.view_layers[0].update()  # a render that begins with what was never evaluated here crashes Blender 5.2
    for name in _FRAME:
        _copy(scene.render, made.render, name)
    for name in ("world", "camera", "frame_start", "frame_end", "frame_step"):
        _copy(scene, made, name)
    if made.frame_subframe != scene.frame_subframe:  # the frame itself is handed over by Blender
        made.frame_subframe = scene.frame_subframe
    _sync_markers(scene, made)
    _sync_views(scene, made)
    for name in ("samples", "use_masks"):
        _copy(render_settings.of(scene), render_settings.of(made), name)


def check(scene: Any) -> None:
    """Raise ``ArgumentError`` when a render of ``scene`` as it is set now would leave its heads out."""
    made, tree = render_settings.of(scene).heads_scene, compat.compositor_tree(scene)
    problem = ""
    if not _own_heads_scene(scene):
        problem = "the scene that draws them was deleted, or belongs to the scene that this one is a copy of"
    elif scene.render.engine not in ENGINES:
        problem = f"the engine is {scene.render.engine}, neither Cycles nor EEVEE"
    elif not compat.uses_compositor(scene):
        problem = "compositing is off"
    elif not compositing_nodes.connected(tree, made):
        problem = "its nodes are gone, muted or disconnected"
    elif scene.render.use_single_layer:
        problem = "Render Single Layer is on, and Blender then skips other scenes"
    elif not _layer(scene).use_pass_z:
        problem = f"view layer '{_layer(scene).name}' has no Depth pass"
    if problem:
        raise ArgumentError(
            f"Heads cannot be added to this render: {problem}.",
            remedy="Put it right, or press Remove from Compositor and, unless you want no heads, Add again.",
        )


def _own_heads_scene(scene: Any) -> bool:
    made = render_settings.of(scene).heads_scene
    return made is not None and render_settings.of(made).source == scene


def _new_heads_scene(scene: Any) -> Any:
    made = bpy.data.scenes.new(f"{scene.name} Heads")
    made.render.engine = "GSHEAD"
    made.render.film_transparent = True
    made.view_layers[0].use_pass_z = True
    render_settings.of(made).source = scene
    return made


def _join(scene: Any) -> None:
    """Find or make the Render Layers node to follow, and insert the group behind it."""
    settings = render_settings.of(scene)
    tree = compat.compositor_tree(scene)
    settings.made_tree = tree is None
    output = None
    if tree is None:
        tree, output = compat.new_compositor_tree(scene)
    own = (n for n in tree.nodes if n.bl_idname == "CompositorNodeRLayers" and n.scene in (None, scene) and not n.mute)
    layers = next(own, None)
    if layers is None:
        layers = tree.nodes.new("CompositorNodeRLayers")
        layers.scene = scene
    if output is not None:
        tree.links.new(layers.outputs["Image"], output)
        output.node.location = 640, 0
    settings.layers_node = layers.name
    layer = scene.view_layers[layers.layer]
    settings.made_depth = not layer.use_pass_z
    layer.use_pass_z = True
    compositing_nodes.insert(tree, layers, settings.heads_scene)


def _layer(scene: Any) -> Any:
    """The view layer that the heads are laid over."""
    tree = compat.compositor_tree(scene)
    node = tree.nodes.get(render_settings.of(scene).layers_node) if tree is not None else None
    return scene.view_layers.get(node.layer if node is not None else "") or scene.view_layers[0]


def _sources(layer: Any, collection: Any, shade: bool) -> Iterator[Any]:
    """Objects that show heads in a render, light them or, with ``shade``, throw shadows on them; instanced as well."""
    if layer.exclude or collection.hide_render:
        return
    for obj in collection.objects:
        inside = obj.instance_collection if obj.instance_type == "COLLECTION" else None
        if any(_counts(o, shade) for o in (obj, *(inside.all_objects if inside is not None else ()))):
            yield obj
    for child in layer.children:
        yield from _sources(child, child.collection, shade)


def _counts(obj: Any, shade: bool) -> bool:
    return obj.type == "LIGHT" or storage.is_head(obj) or (shade and shadow_casters.can_cast(obj))


def _head_meshes(scene: Any) -> set[Any]:
    made = render_settings.of(scene).heads_scene
    instanced = [o.instance_collection.all_objects for o in made.objects if o.instance_collection is not None]
    return {o for group in (made.objects, *instanced) for o in group if storage.is_head(o)}


def _show_to_rays(obj: Any, shadows: bool, reflections: bool) -> None:
    if _VISIBLE not in obj:
        obj[_VISIBLE] = [getattr(obj, f"visible_{ray}") for ray in _RAYS]
    for ray in _RAYS:
        setattr(obj, f"visible_{ray}", False if ray == "camera" else shadows if ray == "shadow" else reflections)


def _show_as_before(obj: Any) -> None:
    if _VISIBLE in obj:
        for ray, visible in zip(_RAYS, obj[_VISIBLE], strict=True):
            setattr(obj, f"visible_{ray}", bool(visible))
        del obj[_VISIBLE]


def _copy(source: Any, target: Any, name: str) -> None:
    """Only what differs is written: a write tags the scene for evaluation."""
    if getattr(source, name) != getattr(target, name):
        setattr(target, name, getattr(source, name))


def _sync_markers(scene: Any, made: Any) -> None:
    wanted = [(m.frame, m.camera) for m in scene.timeline_markers if m.camera is not None]
    if wanted != [(m.frame, m.camera) for m in made.timeline_markers]:
        made.timeline_markers.clear()
        for frame, camera in wanted:
            made.timeline_markers.new(camera.name, frame=frame).camera = camera


def _sync_views(scene: Any, made: Any) -> None:
    views = made.render.views
    for view in list(views):
        if view.name not in scene.render.views:
            views.remove(view)
    for view in scene.render.views:
        other = views.get(view.name) or views.new(view.name)
        for name in ("use", "camera_suffix", "file_suffix"):
            _copy(view, other, name)
