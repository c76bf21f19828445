"""What every part of the USD export needs: modules, arrays, attributes, cameras. ``pxr`` is always handed in."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..camera import Camera

_MODULES = ("Gf", "Kind", "Sdf", "Tf", "Usd", "UsdGeom", "UsdLux", "UsdShade", "UsdSkel", "UsdUtils", "Vt")
_SENSOR_WIDTH = 0.036  # metres; only the ratio to the focal length matters
_OPENCV_TO_USD = np.diag([1.0, -1.0, -1.0, 1.0])


def usd_modules(pxr: Any) -> Any:
    """``pxr`` with its submodules as attributes: usd-core's in the backend, Blender's own inside Blender."""
    found = {}
    for name in _MODULES:
        module = getattr(pxr, name, None)
        found[name] = importlib.import_module(f"{pxr.__name__}.{name}") if module is None else module
    return SimpleNamespace(**found)


def to_matrix(usd: Any, matrix: np.ndarray) -> Any:
    """A (4, 4) matrix for column vectors to ``Gf.Matrix4d``, which is for row vectors."""
    return usd.Gf.Matrix4d(np.asarray(matrix, np.float64).T.tolist())


def to_vec3(usd: Any, array: np.ndarray, *, half: bool = False) -> Any:
    """(n, 3) to ``Vt.Vec3fArray`` or ``Vt.Vec3hArray``."""
    if half:
        return usd.Vt.Vec3hArray.FromNumpy(np.ascontiguousarray(array, np.float16))
    return usd.Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(array, np.float32))


def to_quats(usd: Any, quats: np.ndarray, *, half: bool = False) -> Any:
    """(n, 4) wxyz to ``Vt.QuatfArray`` or ``Vt.QuathArray``, whose memory is xyzw."""
    xyzw = np.asarray(quats)[:, [1, 2, 3, 0]]
    if half:
        return usd.Vt.QuathArray.FromNumpy(np.ascontiguousarray(xyzw, np.float16))
    return usd.Vt.QuatfArray.FromNumpy(np.ascontiguousarray(xyzw, np.float32))


def to_floats(usd: Any, array: np.ndarray, *, half: bool = False) -> Any:
    """(n,) to ``Vt.FloatArray`` or ``Vt.HalfArray``."""
    if half:
        return usd.Vt.HalfArray.FromNumpy(np.ascontiguousarray(array, np.float16))
    return usd.Vt.FloatArray.FromNumpy(np.ascontiguousarray(array, np.float32))


def to_ints(usd: Any, array: np.ndarray) -> Any:
    """(n,) to ``Vt.IntArray``."""
    return usd.Vt.IntArray.FromNumpy(np.ascontiguousarray(array, np.int32))


def set_value(attribute: Any, value: Any, time: float | None) -> None:
    """The first value becomes the default as well, so that readers without a time find one."""
    if time is None or not attribute.HasAuthoredValue():
        attribute.Set(value)
    if time is not None:
        attribute.Set(value, time)


def set_values(attribute: Any, values: Sequence[Any], times: Sequence[float | None]) -> None:
    """Time samples, or only a default when the value never changes."""
    if all(value == values[0] for value in values):
        attribute.Set(values[0])
        return
    for value, time in zip(values, times, strict=True):
        set_value(attribute, value, time)


def bounds(points: np.ndarray, margin: np.ndarray | float = 0.0) -> np.ndarray:
    """(2, 3) corners around (n, 3) points, each with its margin ((n, 1) or a number)."""
    return np.stack([(points - margin).min(0), (points + margin).max(0)])


def write_camera(usd: Any, stage: Any, cameras: Sequence[Camera], times: Sequence[float | None]) -> None:
    """Author ``/Camera`` from OpenCV cameras, exactly: off-centre principal points become aperture offsets.

    Lengths of a USD camera are in tenths of a scene unit (here: of a metre); only their ratios carry meaning, except
    for an orthographic camera, whose aperture is the width that it sees.
    """
    prim = usd.UsdGeom.Camera.Define(stage, "/Camera")
    tokens = usd.UsdGeom.Tokens
    prim.CreateProjectionAttr(tokens.orthographic if cameras[0].orthographic else tokens.perspective)
    poses = [to_matrix(usd, np.linalg.inv(c.viewmat) @ _OPENCV_TO_USD) for c in cameras]
    set_values(prim.AddTransformOp().GetAttr(), poses, times)
    lenses = [_lens(usd, camera) for camera in cameras]
    for name in lenses[0]:
        set_values(getattr(prim, f"Create{name}Attr")(), [lens[name] for lens in lenses], times)


def _lens(usd: Any, camera: Camera) -> dict[str, Any]:
    fx, fy, cx, cy = camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2]
    width = camera.width / fx if camera.orthographic else _SENSOR_WIDTH
    height = width * (camera.height / fy) / (camera.width / fx)
    return {
        "FocalLength": 10 * (0.05 if camera.orthographic else width * fx / camera.width),
        "HorizontalAperture": 10 * width,
        "VerticalAperture": 10 * height,
        "HorizontalApertureOffset": 10 * width * (0.5 - cx / camera.width),
        "VerticalApertureOffset": 10 * height * (cy / camera.height - 0.5),
        "ClippingRange": usd.Gf.Vec2f(camera.near, camera.far),
    }
