"""Every way out of Blender and the way back: USD by our operator and by Blender's own, splats, ARKit meshes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import common
import numpy as np

FRAMES = (1, 8, 12)
INPUTS = [
    *(
        f"inputs:{name}"
        for name in ("angle", "color", "exposure", "height", "intensity", "normalize", "radius", "width")
    ),
    "inputs:shaping:cone:angle",
    "inputs:shaping:cone:softness",
]


def head_of(heads: Any, takes: Any) -> Any:
    from gshead_backend.avatar.file import avatar_to_bytes
    from gshead_backend.avatar.take import demo_take

    made = heads.add_head(bpy.context, avatar_to_bytes(common.tiny_avatar()), "Ada K.")
    takes.apply_take(made.rig, demo_take(), fps=24)
    made.rig.pose.bones["neck"].rotation_euler[1] = 0.2
    made.rig.location = (0.4, -0.2, 1.1)
    made.rig.rotation_euler = (0.1, 0.2, 0.7)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = FRAMES[0], FRAMES[-1]
    return made


def add_lights() -> None:
    for kind in ("POINT", "SUN", "SPOT", "AREA"):
        data = bpy.data.lights.new(kind, kind)
        data.energy, data.color = 40.0, (1, 0.5, 0.25)
        lamp = bpy.data.objects.new(kind, data)
        lamp.location, lamp.rotation_euler = (1, 2, 3), (0.3, 0.2, 0.1)
        bpy.context.collection.objects.link(lamp)


def splats_in_world(made: Any, reader: Any, storage: Any, axes: Any, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Means in Blender's world as the project itself computes them, and the same in head space."""
    from gshead_backend.avatar.drive import drive_vertices

    bpy.context.scene.frame_set(frame)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    avatar = storage.read(made.mesh.data).avatar
    vertices = reader.read_vertices(made.mesh.evaluated_get(depsgraph))
    means = drive_vertices(avatar, vertices, reader.read_state(made.mesh, avatar, depsgraph).pose).means
    world = axes.head_to_world(np.array(made.mesh.evaluated_get(depsgraph).matrix_world))
    return means @ world[:3, :3].T + world[:3, 3], means


def usd_means(stage: Any, path: str, frame: int, name: str = "positions") -> np.ndarray:
    from pxr import UsdGeom

    prim = stage.GetPrimAtPath(path)
    matrix = np.array(UsdGeom.XformCache(frame).GetLocalToWorldTransform(prim))
    local = np.array(prim.GetAttribute(name).Get(frame))
    return (np.column_stack([local, np.ones(len(local))]) @ matrix)[:, :3]


def splat_prims(stage: Any) -> list[str]:
    return [str(p.GetPath()) for p in stage.Traverse() if p.GetTypeName() == "ParticleField3DGaussianSplat"]


def main() -> None:
    common.enable()
    heads, takes, storage = (common.module(n) for n in ("heads", "takes", "storage"))
    reader, axes, compat = (common.module(n) for n in ("rig.read_pose", "rig.axes", "compat"))
    out = Path(common.ARGS["out"])
    made = head_of(heads, takes)
    add_lights()
    bpy.context.view_layer.objects.active = made.rig
    want = {f: splats_in_world(made, reader, storage, axes, f) for f in FRAMES}
    np.savez(out / "want.npz", **{f"f{f}": want[f][1] for f in FRAMES})
    bpy.context.scene.frame_set(8)
    compat.bundled_pxr()
    from pxr import Usd

    for mode in ("baked", "clips", "rig"):
        bpy.ops.gshead.export_usd(filepath=str(out / f"{mode}.usdc"), mode=mode, chunk=5, use_camera=False)
    errors = {}
    for mode in ("baked", "clips"):
        stage = Usd.Stage.Open(str(out / f"{mode}.usdc"))
        found = [usd_means(stage, "/Avatar/Splats", f) for f in FRAMES]
        errors[mode] = max(np.abs(g - want[f][0]).max() for g, f in zip(found, FRAMES, strict=True))
    del stage

    # Blender's own exporter, the hook beside it
    native, lights = {}, {}
    for name, options in (
        ("armature", {"export_armatures": True}),
        ("points", {"export_armatures": False, "export_shapekeys": False}),
    ):
        path = str(out / f"native_{name}.usdc")
        assert bpy.ops.wm.usd_export(filepath=path, export_animation=True, **options) == {"FINISHED"}
        stage = Usd.Stage.Open(path)
        (prim,) = splat_prims(stage)
        native[name] = max(np.abs(usd_means(stage, prim, f) - want[f][0]).max() for f in FRAMES)
        lights = light_values(stage)
        del stage
    ours = light_values(Usd.Stage.Open(str(out / "baked.usdc")))
    scene, counts = bpy.context.scene, {}
    for choice in ("rig", "half", "none"):
        scene.gshead_usd_splats = choice
        bpy.ops.wm.usd_export(filepath=str(out / f"native_{choice}.usdc"), export_animation=True)
        stage = Usd.Stage.Open(str(out / f"native_{choice}.usdc"))
        prims = splat_prims(stage)
        name = "positionsh" if choice == "half" else "positions"
        counts[choice] = [len(prims), sum(stage.GetPrimAtPath(p).GetAttribute(name).GetNumTimeSamples() for p in prims)]
        del stage
    scene.gshead_usd_splats = "baked"
    modifier = made.mesh.modifiers.new("Thicker", "SOLIDIFY")
    bpy.ops.wm.usd_export(filepath=str(out / "native_finer.usdc"), export_armatures=False, export_shapekeys=False)
    counts["finer"] = len(splat_prims(Usd.Stage.Open(str(out / "native_finer.usdc"))))
    made.mesh.modifiers.remove(modifier)
    hook, before = common.module("usd_hook"), compat.usd_hook_class
    hook.unregister()
    compat.usd_hook_class = lambda: None  # a Blender that was built without USD
    hook.register()
    bpy.ops.wm.usd_export(filepath=str(out / "native_unhooked.usdc"), export_animation=False)
    counts["unhooked"] = len(splat_prims(Usd.Stage.Open(str(out / "native_unhooked.usdc"))))
    hook.unregister()
    compat.usd_hook_class = before
    hook.register()

    # splats and the ARKit mesh
    bpy.ops.gshead.export_splats(filepath=str(out / "one.ply"))
    for ending in (".ply", ".spz", ".glb"):
        bpy.ops.gshead.export_splats(filepath=str(out / f"all{ending}"), file_format=ending, frames="range")
    datablocks = [len(d) for d in (bpy.data.objects, bpy.data.meshes, bpy.data.armatures, bpy.data.images)]
    datablocks += [len(bpy.data.actions), len(bpy.data.materials)]
    bpy.ops.object.mode_set(mode="POSE")
    for ending in (".glb", ".fbx"):
        bpy.ops.gshead.export_face(filepath=str(out / f"face{ending}"), file_format=ending)
    mode = bpy.context.mode
    bpy.ops.object.mode_set(mode="OBJECT")
    after = [len(d) for d in (bpy.data.objects, bpy.data.meshes, bpy.data.armatures, bpy.data.images)]
    after += [len(bpy.data.actions), len(bpy.data.materials)]

    # and back
    poses = {}
    for name in ("rig.usdc", "native_armature.usdc"):
        before = set(bpy.data.objects)
        bpy.ops.gshead.import_usd(filepath=str(out / name))
        (mesh,) = (o for o in bpy.data.objects if o not in before and storage.is_head(o))
        new = type(made)(mesh, reader.find_rig(mesh))
        poses[name] = max(np.abs(splats_in_world(new, reader, storage, axes, f)[0] - want[f][0]).max() for f in FRAMES)
    (out / "foreign.usda").write_text("#usda 1.0\n")
    count = len(bpy.data.objects)
    try:
        bpy.ops.gshead.import_usd(filepath=str(out / "foreign.usda"))
        refused = ""
    except RuntimeError as error:
        refused = str(error)
    fbx = import_fbx(out / "face.fbx")
    common.report(
        errors=errors, native=native, counts=counts, lights=lights, ours=ours, poses=poses, refused=refused, mode=mode,
        nothing_added=len(bpy.data.objects) == count + fbx.pop("objects"), left=[datablocks, after], fbx=fbx,
        files=sorted(p.name for p in out.iterdir()), native_splats=compat.native_splats(),
    )  # fmt: skip


def import_fbx(path: Path) -> dict[str, Any]:
    before = set(bpy.data.objects)
    bpy.ops.import_scene.fbx(filepath=str(path)) if "fbx" in dir(bpy.ops.import_scene) else bpy.ops.wm.fbx_import(
        filepath=str(path)
    )
    new = [o for o in bpy.data.objects if o not in before]
    mesh = next(o for o in new if o.type == "MESH")
    blocks = mesh.data.shape_keys.key_blocks
    points = np.empty((len(blocks), len(mesh.data.vertices), 3), np.float32)
    for block, row in zip(blocks, points, strict=True):
        block.points.foreach_get("co", row.ravel())
    at = [b.name for b in blocks].index("jawOpen")
    world = np.array(mesh.matrix_world)[:3, :3]
    moved = (points[at] - points[0]) @ world.T
    return {"objects": len(new), "names": [b.name for b in blocks], "jaw": float(np.linalg.norm(moved, axis=1).max())}


def light_values(stage: Any) -> dict[str, list[float]]:
    """Numbers of each light by type, as (world matrix, then its inputs)."""
    from pxr import UsdGeom

    found = {}
    for prim in stage.Traverse():
        if prim.GetTypeName().endswith("Light") and prim.GetTypeName() != "DomeLight":
            inputs = {a.GetName(): a.Get() for a in prim.GetAttributes() if a.GetName() in INPUTS}
            values = [np.array(inputs[n]).ravel() for n in sorted(inputs)]
            matrix = np.array(UsdGeom.XformCache().GetLocalToWorldTransform(prim)).ravel()
            spot = prim.HasAttribute("inputs:shaping:cone:angle")
            found[prim.GetTypeName() + spot * "Spot"] = np.concatenate([matrix, *values]).round(4).tolist()
    return found


common.run(main)
