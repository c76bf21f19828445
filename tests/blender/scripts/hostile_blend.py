"""A .blend of somebody hostile: made in one Blender (``make``), opened and rendered in another one (``open``)."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import bpy
import common
import render_setup

FOLDER = Path(common.ARGS["folder"])
WITNESS = FOLDER / "witness"
CODE = f"open({str(WITNESS)!r}, 'w').write('ran')"


class Runs:
    """What a hostile pickle holds."""

    def __reduce__(self) -> tuple[Any, tuple]:
        return exec, (CODE,)


def tampered(head: Any, storage: Any) -> Any:
    """The Text with a head's avatar, for what follows to change: a copy of its own."""
    text = bpy.data.texts.new(".gshead hostile")
    before = head.data[storage.AVATAR]
    text[storage.AVATAR], text[storage.SHA256] = bytes(before[storage.AVATAR]), before[storage.SHA256]
    head.data[storage.AVATAR] = text
    return text


def make() -> None:
    made = render_setup.scene_with_head(size=64)
    storage, heads = common.module("storage"), common.module("heads")
    secret = FOLDER / "secret.gshead"
    secret.write_bytes(render_setup.tiny_bytes(count=50, seed=9))
    import hashlib

    digest = hashlib.sha256(secret.read_bytes()).hexdigest()
    (FOLDER / "shots" / "link.gshead").symlink_to(secret)

    def hostile(name: str, change: Any) -> None:
        head = heads.add_head(bpy.context, render_setup.tiny_bytes(count=60, seed=5), name).mesh
        text = tampered(head, storage)
        change(text, head)

    def set_path(text: Any, path: str) -> None:
        del text[storage.AVATAR]
        text[storage.PATH], text[storage.SHA256] = path, digest

    def set_bytes(text: Any, data: Any) -> None:
        text[storage.AVATAR] = data
        text[storage.SHA256] = hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else "0" * 64

    hostile("changed bytes", lambda t, h: t.__setitem__(storage.AVATAR, bytes(t[storage.AVATAR])[:-1] + b"x"))
    hostile("a pickle", lambda t, h: set_bytes(t, pickle.dumps(Runs())))
    hostile("a zip", lambda t, h: set_bytes(t, b"PK\3\4" + bytes(400)))
    hostile("half of it", lambda t, h: set_bytes(t, bytes(t[storage.AVATAR])[:900]))
    hostile("a text", lambda t, h: set_bytes(t, "not bytes"))
    hostile("numbers", lambda t, h: set_bytes(t, [1.0, 2.0]))
    hostile("a way up", lambda t, h: set_path(t, "//../secret.gshead"))
    hostile("an absolute path", lambda t, h: set_path(t, str(secret)))
    hostile("a link", lambda t, h: set_path(t, "//link.gshead"))
    hostile("a share", lambda t, h: set_path(t, "\\\\server\\share\\a.gshead"))
    hostile("a sibling", lambda t, h: set_path(t, "//../shots-too/secret.gshead"))
    hostile("no text", lambda t, h: h.data.__setitem__(storage.AVATAR, bpy.data.materials.new("m")))

    evil = bpy.data.texts.new("evil.py")
    evil.from_string(CODE)
    evil.use_module = True
    for holder in (bpy.context.scene, made.mesh, made.rig, bpy.data.worlds.new("W")):
        for key in ("backend_command", "gshead_backend_command", "connection_file", "gshead_endpoint", "command"):
            holder[key] = f"sh -c 'touch {WITNESS}'"
    curve = made.mesh.driver_add("location", 0)
    curve.driver.type = "SCRIPTED"
    curve.driver.expression = f"(lambda o: 0)(__import__('pathlib').Path({str(WITNESS)!r}).touch())"
    rigged = made.rig.driver_add('["jawOpen"]') if "jawOpen" in made.rig else None
    if rigged is not None:
        rigged.driver.type, rigged.driver.expression = "SCRIPTED", f"eval({CODE!r})"
    made.rig["eyeBlinkLeft"] = float("nan")
    made.rig["browInnerUp"] = float("inf")
    made.rig["mouthSmileLeft"] = 1e38
    del made.rig["jawLeft"]
    made.rig["jawLeft"] = "a word"
    bpy.context.scene.render.filepath = str(FOLDER / "outside" / "####")
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "shots" / "hostile.blend"))
    common.report(made=len(bpy.data.objects))


def open_it() -> None:
    common.enable()
    from gshead_backend.errors import GsheadError

    runtime, storage, final = common.module("runtime"), common.module("storage"), common.module("final")
    command = runtime.session.settings.command
    bpy.ops.wm.open_mainfile(filepath=str(FOLDER / "shots" / "hostile.blend"))
    scene = bpy.context.scene
    said = {}
    for obj in list(scene.objects):
        if obj.type == "MESH" and obj.name != "Ada":
            try:
                storage.read(obj.data)
                said[obj.name] = "read"
            except GsheadError as error:
                said[obj.name] = str(error)
    scene.frame_set(2)
    bpy.context.view_layer.update()
    pictures = FOLDER / "pictures"
    try:
        render_setup.render_exr(pictures / "all.exr")
        whole = "rendered"
    except RuntimeError as error:
        whole = str(error)
    for name in said:
        bpy.data.objects.remove(bpy.data.objects[name])
    for rig in [o for o in scene.objects if o.type == "ARMATURE" and o.name != "Ada Rig"]:
        bpy.data.objects.remove(rig)
    render_setup.render_exr(pictures / "ada.exr")
    runtime.configure(None)
    del final
    settings = runtime.session.settings
    common.report(
        said=said, whole=whole, auto=bpy.context.preferences.filepaths.use_scripts_auto_execute,
        command=list(command) == list(settings.command), connection=settings.connection_file,
        environment=os.environ.get("GSHEAD_CONNECTION_FILE", ""),
    )  # fmt: skip


common.run(make if common.ARGS["mode"] == "make" else open_it)
os._exit(0)  # the 4.5 wheel may hang while it tears down what hostile drivers left
