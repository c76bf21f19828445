"""Everything that differs between Blender 4.5, 5.0 and 5.2, in one place. Nothing else asks for the version."""

from __future__ import annotations

from typing import Any

import bpy

from gshead_backend.errors import ExportError

DEFAULT_SPACE = "Linear Rec.709"
EEVEE = "BLENDER_EEVEE_NEXT" if bpy.app.version < (5, 0) else "BLENDER_EEVEE"
"""Identifier of the EEVEE engine."""


def ensure_action(obj: Any, name: str) -> Any:
    """The object's action, made and assigned with a slot of its own when there is none."""
    if obj.animation_data is None:
        obj.animation_data_create()
    animation = obj.animation_data
    if animation.action is None:
        animation.action = bpy.data.actions.new(name)
    if animation.action_slot is None:
        slots = animation.action_suitable_slots
        animation.action_slot = slots[0] if len(slots) else animation.action.slots.new(obj.id_type, obj.name)
    return animation.action


def channelbag(obj: Any, action: Any) -> Any:
    """Where the F-curves of ``obj`` live in ``action``: layers, strips and slots exist since 4.4 in every version."""
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(obj.animation_data.action_slot, ensure=True)


def curve(bag: Any, path: str, index: int, group: str) -> Any:
    """The F-curve of a channelbag for ``path[index]``, made in ``group`` when it is missing."""
    found = bag.fcurves.find(path, index=index)
    if found is None:
        found = bag.fcurves.new(path, index=index)
        found.group = bag.groups.get(group) or bag.groups.new(group)
    return found


def scene_curves(obj: Any) -> list[Any]:
    """The F-curves that animate ``obj`` now; empty when it has no action."""
    animation = obj.animation_data
    if animation is None or animation.action is None or animation.action_slot is None:
        return []
    return list(channelbag(obj, animation.action).fcurves)


def find_curve(obj: Any, path: str, index: int) -> Any | None:
    """The F-curve that animates ``path[index]`` of ``obj`` in its own action, or None. Changes nothing."""
    animation = obj.animation_data
    if animation is None or animation.action is None or animation.action_slot is None:
        return None
    for layer in animation.action.layers:
        for strip in layer.strips:
            bag = strip.channelbag(animation.action_slot)
            if bag is not None and (found := bag.fcurves.find(path, index=index)) is not None:
                return found
    return None


def slot_curves(action: Any, slot: Any) -> list[tuple[Any, Any]]:
    """(channelbag, F-curve) of everything that a slot of an action animates."""
    strips = [strip for layer in action.layers for strip in layer.strips]
    bags = [bag for strip in strips if (bag := strip.channelbag(slot)) is not None] if slot is not None else []
    return [(bag, curve) for bag in bags for curve in bag.fcurves]


def select_bone(bone: Any, selected: bool) -> None:
    """Select a pose bone; its own flag since 5.0, before that its armature's."""
    holder = bone if hasattr(bone, "select") else bone.bone
    holder.select = selected


def world_tree(world: Any | None) -> Any | None:
    """The node tree that a world uses, or None; worlds always use theirs since 5.0."""
    if world is None or (bpy.app.version < (5, 0) and not world.use_nodes):
        return None
    return world.node_tree


def set_file_format(settings: Any, name: str) -> None:
    """Set the format of ``scene.render.image_settings``, FFMPEG or one of single images, with its media type (5.0)."""
    if hasattr(settings, "media_type"):
        settings.media_type = "VIDEO" if name == "FFMPEG" else "IMAGE"
    settings.file_format = name


def working_space() -> str:
    """Name of the scene-linear space that render results are in (a setting of the file since 5.0)."""
    settings = getattr(bpy.data, "colorspace", None)
    return getattr(settings, "working_space", DEFAULT_SPACE) or DEFAULT_SPACE


def exit_handlers() -> list[Any] | None:
    """The list of handlers that run before Blender quits (5.1 and later), or None."""
    return getattr(bpy.app.handlers, "exit_pre", None)


def bundled_pxr() -> Any:
    """Blender's own OpenUSD package; pip's would shadow them and break USD hooks.

    Raises ``ExportError`` in a Blender that was built without USD, or without its Python module, as Debian's.
    """
    expose = getattr(bpy.utils, "expose_bundled_modules", None)
    if expose is not None:
        expose()
    try:
        import pxr
    except ImportError as error:
        raise ExportError(
            "This Blender has no OpenUSD Python module (pxr).",
            remedy="Use a Blender from blender.org, or Export Take and Save Avatar, then: gshead export --take.",
        ) from error
    return pxr


def usd_hook_class() -> type | None:
    """Base class of hooks into Blender's USD exporter, or None in a Blender that was built without USD."""
    return getattr(bpy.types, "USDHook", None)


def native_splats() -> bool:
    """Whether this Blender draws point clouds as Gaussian splats itself (5.3 and later are to; 5.2 does not)."""
    settings = bpy.types.PointCloud.bl_rna.properties.get("render_type")
    return settings is not None and any("SPLAT" in item.identifier for item in settings.enum_items)


def bone_selected(bone: Any) -> bool:
    """Whether a pose bone is selected (kept with the pose since 5.0)."""
    return bool(bone.select if hasattr(bone, "select") else bone.bone.select)


def bone_hidden(bone: Any) -> bool:
    """Whether a pose bone is hidden, itself (kept with the pose since 5.0) or with all its collections."""
    if bone.hide if hasattr(bone, "hide") else bone.bone.hide:
        return True
    collections = bone.bone.collections
    return bool(len(collections)) and not any(collection.is_visible_effectively for collection in collections)


def compositor_tree(scene: Any) -> Any | None:
    """The compositor's node tree that a scene uses, or None."""
    if bpy.app.version < (5, 0):
        return scene.node_tree if scene.use_nodes else None
    return scene.compositing_node_group


def new_compositor_tree(scene: Any) -> tuple[Any, Any]:
    """Give a scene an empty compositor; returns (tree, the input socket of its output node)."""
    if bpy.app.version < (5, 0):
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        return tree, tree.nodes.new("CompositorNodeComposite").inputs["Image"]
    tree = bpy.data.node_groups.new("Compositor Nodes", "CompositorNodeTree")
    tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    scene.compositing_node_group = tree
    return tree, tree.nodes.new("NodeGroupOutput").inputs["Image"]


def drop_compositor_tree(scene: Any) -> None:
    """Take away what :func:`new_compositor_tree` made. Blender 4.5 keeps the (empty, unused) tree itself."""
    if bpy.app.version < (5, 0):
        scene.node_tree.nodes.clear()
        scene.use_nodes = False
        return
    tree, scene.compositing_node_group = scene.compositing_node_group, None
    if tree is not None and tree.users == 0:
        bpy.data.node_groups.remove(tree)


def uses_compositor(scene: Any) -> bool:
    """Whether a render of this scene passes through its compositor."""
    return scene.render.use_compositing and compositor_tree(scene) is not None
