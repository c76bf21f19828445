"""What the viewport's shaders draw, read back from an offscreen buffer (llvmpipe): exact bytes, and depth."""

from __future__ import annotations

import itertools
from typing import Any

import bpy
import common
import gpu
import numpy as np

WIDTH, HEIGHT = 32, 16


def context() -> None:
    """A graphics context without a window."""
    if hasattr(gpu, "init"):
        gpu.init()
    else:  # a tiny Workbench render makes one in 4.5 and 5.0
        scene = bpy.context.scene
        camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
        scene.collection.objects.link(camera)
        scene.camera, scene.render.engine = camera, "BLENDER_WORKBENCH"
        scene.render.resolution_x = scene.render.resolution_y = 16
        bpy.ops.render.render()


def drawn(draw: Any, size: tuple[int, int] = (WIDTH, HEIGHT), scene_depth: float = 1.0) -> np.ndarray:
    """(H, W, 4) of what ``draw`` leaves in a buffer whose depth, 0..1, is ``scene_depth``; row 0 on top."""
    width, height = size
    offscreen = gpu.types.GPUOffScreen(width, height, format="RGBA32F")
    with offscreen.bind():
        framebuffer = gpu.state.active_framebuffer_get()
        framebuffer.clear(color=(0, 0, 0, 0), depth=scene_depth)
        draw()
        buffer = framebuffer.read_color(0, 0, width, height, 4, 0, "FLOAT")
        pixels = np.array(buffer.to_list(), np.float32).reshape(height, width, 4)[::-1]
    offscreen.free()
    return pixels


def linear(frame: np.ndarray) -> np.ndarray:
    encoded = frame / 255.0
    decoded = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return np.concatenate([decoded[..., :3], encoded[..., 3:]], -1)


def every_byte(screen: Any, texels: Any) -> int:
    """The largest difference, in bytes, over all colours and alphas, those that would be NaN as floats included."""
    rng, worst = np.random.default_rng(0), 0
    for height, width in ((256, 192), (97, 33), (1, 1)):
        frame = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
        if height == 256:
            frame[:, :64] = np.arange(256, dtype=np.uint8)[:, None, None]  # grey, alpha alike
            frame[:, 64:128, :3] = 255
            frame[:, 64:128, 3] = np.arange(256, dtype=np.uint8)[:, None]
        else:
            frame[: height // 3] = frame[:, : width // 4] = 0  # a border that is not uploaded
        picture = screen.Picture()
        picture.set(texels.texels(frame))
        got = drawn(lambda p=picture: p.draw_rendered(None), (width, height))
        encoded = np.where(got <= 0.0031308, 12.92 * got, 1.055 * np.maximum(got, 1e-9) ** (1 / 2.4) - 0.055)
        encoded[..., 3] = got[..., 3]
        worst = max(worst, int(np.abs(np.round(255 * encoded) - frame).max()))
    return worst


def depths(screen: Any, texels: Any, camera: Any) -> dict[str, float]:
    """How far the overlay's decision against a scene depth is from Blender's projection, and what it draws."""
    frame = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    frame[:, WIDTH // 2 :] = 60, 60, 60, 60  # thin hair: a quarter opaque
    metres = np.linspace(0.5, 3.5, WIDTH, dtype=np.float32) * np.ones((HEIGHT, 1), np.float32)
    metres[-2:] = np.inf
    frame[-2:] = 0
    picture, seen = screen.Picture(), {"wrong": 0, "pixels": 0, "color": 0.0}
    picture.set(texels.texels(frame, metres))
    scene, data = bpy.context.scene, bpy.data.cameras.new("Depth")
    eye = bpy.data.objects.new("Depth", data)
    scene.collection.objects.link(eye)
    data.clip_start, data.clip_end, data.ortho_scale = 0.1, 20.0, 2.0
    for kind, wall in itertools.product(("PERSP", "ORTHO"), (0.8, 2.0, 3.0)):
        data.type = kind
        depsgraph = bpy.context.evaluated_depsgraph_get()
        window = eye.calc_matrix_camera(depsgraph, x=WIDTH, y=HEIGHT)
        view = eye.matrix_world.inverted()
        clip = np.array(window) @ [0, 0, -wall, 1]
        made = camera.viewport_camera(window, view, WIDTH, HEIGHT)
        to_ndc = camera.depth_to_ndc(window, view, made)
        back = made.viewmat[2, 3] - (camera.BLENDER_TO_OPENCV @ np.array(view))[2, 3]
        picture.set(texels.texels(frame, metres + np.float32(back)))
        got = drawn(lambda n=to_ndc: picture.draw_overlay(n), scene_depth=0.5 + 0.5 * clip[2] / clip[3])
        wanted = np.where((metres < wall)[..., None], linear(frame), 0)
        away = np.abs(metres - wall) > 0.02
        seen["wrong"] += int(((got[..., 3] > 0) != (wanted[..., 3] > 0))[away].sum())
        seen["pixels"] += int((wanted[..., 3] > 0).sum())
        seen["color"] = max(seen["color"], float(np.abs(got - wanted)[away].max()))
    return seen


def clipping(screen: Any, texels: Any, camera: Any) -> dict[str, int]:
    """Pixels that a clipping region hides and shows, and those for which the overlay says otherwise."""
    frame = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    metres = np.linspace(0.5, 3.5, WIDTH, dtype=np.float32) * np.ones((HEIGHT, 1), np.float32)
    eye = bpy.data.objects["Depth"]
    eye.location, eye.rotation_euler = (0.3, -0.2, 0.5), (0.4, 0.2, 0.1)
    bpy.context.view_layer.update()
    depsgraph, seen = bpy.context.evaluated_depsgraph_get(), {"wrong": 0, "hidden": 0, "shown": 0}
    rng = np.random.default_rng(2)
    for kind in ("PERSP", "ORTHO") * 3:
        eye.data.type = kind
        window, view = eye.calc_matrix_camera(depsgraph, x=WIDTH, y=HEIGHT), eye.matrix_world.inverted()
        made = camera.viewport_camera(window, view, WIDTH, HEIGHT)
        picture = screen.Picture()
        picture.set(texels.texels(frame, metres))
        x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
        rays = np.stack([(x - made.K[0, 2]) / made.K[0, 0], (y - made.K[1, 2]) / made.K[1, 1]], -1)
        flat = rays * (1.0 if made.orthographic else metres[..., None])
        points = np.concatenate([flat, metres[..., None], np.ones((HEIGHT, WIDTH, 1))], -1)
        world = points @ np.linalg.inv(made.viewmat).T
        normals = rng.normal(size=(4, 3)) * 0.3
        middle = world.reshape(-1, 4).mean(0)[:3]
        planes = np.concatenate([normals, (0.12 - normals @ middle)[:, None]], 1)
        inside = (world @ planes.T).min(-1)
        clip, to_ndc = camera.clip_planes(planes, made), camera.depth_to_ndc(window, view, made)
        got = drawn(lambda p=picture, n=to_ndc, c=clip: p.draw_overlay(n, c))[..., 3] > 0
        seen["wrong"] += int((got != (inside >= 0))[np.abs(inside) > 1e-3].sum())
        seen["hidden"] += int((inside < 0).sum())
        seen["shown"] += int((inside >= 0).sum())
    return seen


def main() -> None:
    common.enable()
    context()
    screen, texels = common.module("screen"), common.module("texels")
    frame = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    frame[0, 2] = 128, 128, 128, 255
    wanted = linear(frame)
    results = {}
    for name, background in (("clear", None), ("over", np.array([0.2, 0.4, 0.6]))):
        picture = screen.Picture()
        picture.set(texels.texels(frame))
        results[name] = drawn(lambda p=picture, b=background: p.draw_rendered(b))
    over = wanted + (1 - wanted[..., 3:]) * np.array([0.2, 0.4, 0.6, 1.0])
    values = {
        "clear": float(np.abs(results["clear"] - wanted).max()), "over": float(np.abs(results["over"] - over).max()),
        "grey": results["clear"][0, 2].tolist(), "bytes": every_byte(screen, texels),
        "depth": depths(screen, texels, common.module("camera")),
        "clipping": clipping(screen, texels, common.module("camera")),
    }  # fmt: skip
    del picture  # before the graphics context goes
    screen.release()
    common.report(**values)


common.run(main)
