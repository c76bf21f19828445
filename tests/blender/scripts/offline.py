"""Without a backend: load a .gshead, rig, key, save it again, export USD; rendering says what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import bpy
import common
import numpy as np
import render_setup


def main() -> None:
    common.enable()
    out = Path(common.ARGS["out"])
    source = out / "Ada.gshead"
    source.write_bytes(render_setup.tiny_bytes())
    bpy.ops.gshead.load_avatar(filepath=str(source))
    rig = bpy.context.object
    scene = bpy.context.scene
    scene.render.fps = 24
    scene.frame_start, scene.frame_end = 1, 6
    bpy.ops.gshead.import_take(filepath=common.ARGS["take"])
    scene.frame_set(3)
    common.module("rig.controls").set_channels(rig, {"cheekPuff": 0.25})
    bpy.ops.gshead.key_all()
    render_setup.add_camera(scene, 64)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.gshead.save_avatar(filepath=str(out / "again.gshead"))
    for name, mode in (("baked.usdc", "baked"), ("rig.usda", "rig")):
        bpy.ops.gshead.export_usd(filepath=str(out / name), mode=mode)
    given, sys.modules["pxr"] = sys.modules["pxr"], None  # type: ignore[assignment]  # a Blender that was built without
    try:
        bpy.ops.gshead.export_usd(filepath=str(out / "no.usdc"))
        without_usd = ""
    except RuntimeError as error:
        without_usd = str(error)
    sys.modules["pxr"] = given
    try:
        scene.render.filepath = str(out / "no.png")
        bpy.ops.render.render(write_still=True)
        failure = ""
    except RuntimeError as error:
        failure = str(error)
    heads = common.module("heads")
    frames = {}
    for frame in range(1, 7):
        scene.frame_set(frame)
        head = heads.visible_heads(bpy.context.evaluated_depsgraph_get())[0]
        frames[frame] = {"pose": head.state.pose.to_vector().tolist(), "matrix": head.matrix.ravel().tolist()}
    broken = out / "broken.gshead"
    broken.write_bytes(b"not an avatar")
    try:
        bpy.ops.gshead.load_avatar(filepath=str(broken))
        refused = ""
    except RuntimeError as error:
        refused = str(error)
    from gshead_backend.protocol import codec  # there since the extension is enabled
    from gshead_backend.protocol.messages import FrameInfo

    names = ("zmq", "msgspec", "safetensors", "lz4", "simplejpeg", "gshead_backend")
    wheels = {name: __import__(name).__file__ for name in names}
    rgba = np.random.default_rng(0).integers(0, 256, (20, 30, 4)).astype(np.uint8)
    info = FrameInfo(30, 20, "uint8", parts=["rgba"], codec="jpeg")
    packed = codec.decode(info, codec.encode(info, [rgba], 95))[0].reshape(rgba.shape)
    common.report(without_usd=without_usd,
                  same=source.read_bytes() == (out / "again.gshead").read_bytes(), failure=failure, frames=frames,
                  refused=refused, objects=len(scene.objects), wheels=wheels,
                  alpha=bool((packed[..., 3] == rgba[..., 3]).all()), codecs=codec.readable())  # fmt: skip


common.run(main)
