"""Splats as a ``ParticleField3DGaussianSplat`` prim, authored by name.

The schema class came with OpenUSD 26.03; its attributes are written here by their exact names and types, so that
Blender's older bundled OpenUSD (25.02, 25.08) writes the same file.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ..avatar.types import REGIONS, Avatar, Splats
from .ply import rgb_to_sh
from .usd_stage import bounds, set_value, to_floats, to_ints, to_quats, to_vec3

Precision = Literal["float", "half"]
PRIM_TYPE = "ParticleField3DGaussianSplat"
_SIGMAS = 3.0  # how far a splat reaches in the authored extent
_SMALLEST_SCALE = {"float": 1e-9, "half": 1e-7}  # sizes must stay positive after rounding
_TYPES = {
    "positions": ("Point3fArray", "Point3hArray"),
    "orientations": ("QuatfArray", "QuathArray"),
    "scales": ("Float3Array", "Half3Array"),
    "opacities": ("FloatArray", "HalfArray"),
    "radiance:sphericalHarmonicsCoefficients": ("Float3Array", "Half3Array"),
}
_DOCUMENTATION = (
    "Positions, orientations and scales (standard deviations, metres) are in the space of this prim. Radiance is the "
    "degree-0 spherical-harmonic coefficient of an sRGB-encoded colour: rgb = 0.5 + 0.28209479 * coefficient, to be "
    "blended as encoded. primvars:gshead:* bind each splat to the head mesh: triangle, barycentric (the first two of "
    "three), and, in the frame of its triangle at rest, offset (metres), rotation and logScale."
)


class SplatWriter:
    """Writes one splat prim frame by frame, so that only one frame is in memory at a time."""

    def __init__(self, usd: Any, stage: Any, path: str, avatar: Avatar, precision: Precision) -> None:
        self._usd, self._half, self._floor = usd, precision == "half", _SMALLEST_SCALE[precision]
        self._animate_looks = avatar.dynamic is not None
        self._previous: np.ndarray | None = None
        prim = stage.DefinePrim(path, PRIM_TYPE)
        prim.SetDocumentation(_DOCUMENTATION)
        types, uniform = usd.Sdf.ValueTypeNames, usd.Sdf.VariabilityUniform
        self._attributes = {
            name: prim.CreateAttribute(name + "h" * self._half, getattr(types, kinds[self._half]), False)
            for name, kinds in _TYPES.items()
        }
        self._extent = prim.CreateAttribute("extent", types.Float3Array, False)
        prim.CreateAttribute("radiance:sphericalHarmonicsDegree", types.Int, False, uniform).Set(0)
        coefficients = self._attributes["radiance:sphericalHarmonicsCoefficients"]
        coefficients.SetMetadata("interpolation", usd.UsdGeom.Tokens.vertex)
        coefficients.SetMetadata("elementSize", 1)
        _write_binding(usd, prim, avatar)

    def write(self, splats: Splats, time: float | None) -> None:
        """Author one frame; ``time`` None writes the default only."""
        usd, half, put = self._usd, self._half, self._attributes
        first = self._previous is None
        quats = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
        if self._previous is not None:
            quats = np.where((quats * self._previous).sum(1, keepdims=True) < 0, -quats, quats)
        self._previous = quats
        scales = np.maximum(splats.scales, self._floor)
        set_value(put["positions"], to_vec3(usd, splats.means, half=half), time)
        set_value(put["orientations"], to_quats(usd, quats, half=half), time)
        set_value(put["scales"], to_vec3(usd, scales, half=half), time)
        margin = _SIGMAS * scales.max(1, keepdims=True)
        set_value(self._extent, to_vec3(usd, bounds(splats.means, margin)), time)
        if first or self._animate_looks:
            looks = time if self._animate_looks else None
            set_value(put["opacities"], to_floats(usd, np.clip(splats.opacities, 0, 1), half=half), looks)
            colors = to_vec3(usd, rgb_to_sh(splats.colors), half=half)
            set_value(put["radiance:sphericalHarmonicsCoefficients"], colors, looks)


def _write_binding(usd: Any, prim: Any, avatar: Avatar) -> None:
    """What a rig needs to carry the splats itself: see ``avatar.types.Avatar`` for the formula."""
    types, vertex = usd.Sdf.ValueTypeNames, usd.UsdGeom.Tokens.vertex
    primvars = usd.UsdGeom.PrimvarsAPI(prim)
    bary = usd.Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(avatar.bary[:, :2], np.float32))
    rotation = avatar.rotation / np.linalg.norm(avatar.rotation, axis=1, keepdims=True)
    for name, kind, value in (
        ("triangle", types.IntArray, to_ints(usd, avatar.triangle)),
        ("barycentric", types.Float2Array, bary),
        ("offset", types.Float3Array, to_vec3(usd, avatar.offset)),
        ("rotation", types.QuatfArray, to_quats(usd, rotation)),
        ("logScale", types.Float3Array, to_vec3(usd, avatar.log_scale)),
        ("region", types.UCharArray, usd.Vt.UCharArray.FromNumpy(np.ascontiguousarray(avatar.region, np.uint8))),
    ):
        primvars.CreatePrimvar(f"gshead:{name}", kind, vertex).Set(value)
    prim.SetCustomDataByKey("gshead:regionNames", ",".join(REGIONS))
