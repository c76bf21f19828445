"""Splats as a ``ParticleField3DGaussianSplat`` prim, authored by name.

The schema class came with OpenUSD 26.03; its attributes are written here by their exact names and types, so that
Blender's older bundled OpenUSD (25.02, 25.08) writes the same file.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np

from ..avatar.drive import residual_code
from ..avatar.types import REGIONS, Avatar, Splats
from ..head import HeadPose
from .ply import checked_splats, rgb_to_sh
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
_LOOKS = ("opacities", "radiance:sphericalHarmonicsCoefficients")  # constant unless the avatar has a residual
SCHEMA_VERSION = 1
"""Of ``primvars:gshead:*``; docs/export.md lists what each version holds. Readers refuse another one."""
DOCUMENTATION = (
    "Positions, orientations and scales (standard deviations, metres) are in the space of this prim. Radiance is the "
    "degree-0 spherical-harmonic coefficient of an sRGB-encoded colour: rgb = 0.5 + 0.28209479 * coefficient, to be "
    "blended as encoded. primvars:gshead:* bind each splat to the head mesh: triangle, barycentric (the first two of "
    "three), and, in the frame of its triangle at rest, offset (metres), rotation and logScale. Where "
    "dynamic:code has time samples, dynamic:basis times it is added to the splats that dynamic:index names."
)


class SplatWriter:
    """Writes one splat prim frame by frame, so that only one frame is in memory at a time.

    ``binding`` False leaves out what never changes, declared or not: for the parts of a clip, which hold samples only.
    """

    def __init__(
        self, usd: Any, stage: Any, path: str, avatar: Avatar, precision: Precision, *, binding: bool = True
    ) -> None:
        self._usd, self._half, self._floor = usd, precision == "half", _SMALLEST_SCALE[precision]
        self._animate_looks = avatar.dynamic is not None
        self._previous: np.ndarray | None = None
        prim = stage.DefinePrim(path, PRIM_TYPE)
        types, uniform = usd.Sdf.ValueTypeNames, usd.Sdf.VariabilityUniform
        self._attributes = {
            name: prim.CreateAttribute(name + "h" * self._half, getattr(types, kinds[self._half]), False)
            for name, kinds in _TYPES.items()
            if binding or self._animate_looks or name not in _LOOKS
        }
        self._residual, self._code = avatar.dynamic, None
        self._primvars = usd.UsdGeom.PrimvarsAPI(prim)
        self._extent = prim.CreateAttribute("extent", types.Float3Array, False)
        if not binding:
            return
        prim.SetDocumentation(DOCUMENTATION)
        prim.CreateAttribute("radiance:sphericalHarmonicsDegree", types.Int, False, uniform).Set(0)
        coefficients = self._attributes["radiance:sphericalHarmonicsCoefficients"]
        coefficients.SetMetadata("interpolation", usd.UsdGeom.Tokens.vertex)
        coefficients.SetMetadata("elementSize", 1)
        coefficients.SetColorSpace("srgb_rec709_scene")  # sRGB-encoded, as the splats were fitted
        write_binding(usd, prim, avatar)

    def write(self, splats: Splats, time: float | None) -> None:
        """Author one frame; ``time`` None writes the default only. Raises ``ArgumentError`` for NaN and infinity."""
        usd, half, put = self._usd, self._half, self._attributes
        first = self._previous is None
        means, quats, scales, opacities, colors = checked_splats(splats)
        if self._previous is not None:
            quats = np.where((quats * self._previous).sum(1, keepdims=True) < 0, -quats, quats)
        self._previous = quats
        scales = np.maximum(scales, self._floor)
        set_value(put["positions"], to_vec3(usd, means, half=half), time)
        set_value(put["orientations"], to_quats(usd, quats, half=half), time)
        set_value(put["scales"], to_vec3(usd, scales, half=half), time)
        margin = _SIGMAS * scales.max(1, keepdims=True)
        set_value(self._extent, to_vec3(usd, bounds(means, margin)), time)
        if "opacities" in put and (first or self._animate_looks):
            looks = time if self._animate_looks else None
            set_value(put["opacities"], to_floats(usd, opacities, half=half), looks)
            radiance = to_vec3(usd, rgb_to_sh(colors), half=half)
            set_value(put["radiance:sphericalHarmonicsCoefficients"], radiance, looks)

    def write_code(self, pose: HeadPose, time: float | None) -> None:
        """Author what a residual needs in a pose, for tools that carry the splats themselves; nothing without one."""
        if self._residual is None:
            return
        if self._code is None:
            types, constant = self._usd.Sdf.ValueTypeNames, self._usd.UsdGeom.Tokens.constant
            self._code = self._primvars.CreatePrimvar("gshead:dynamic:code", types.FloatArray, constant).GetAttr()
        set_value(self._code, to_floats(self._usd, residual_code(self._residual, pose)), time)


def write_binding(usd: Any, prim: Any, avatar: Avatar) -> None:
    """What a rig needs to carry the splats itself, and an importer to have the avatar again (docs/export.md)."""
    types, vertex, constant = usd.Sdf.ValueTypeNames, usd.UsdGeom.Tokens.vertex, usd.UsdGeom.Tokens.constant
    primvars = usd.UsdGeom.PrimvarsAPI(prim)
    bary = usd.Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(avatar.bary[:, :2], np.float32))
    rotation = avatar.rotation / np.linalg.norm(avatar.rotation, axis=1, keepdims=True)
    values = [
        ("schemaVersion", types.Int, SCHEMA_VERSION, constant),
        ("triangle", types.IntArray, to_ints(usd, avatar.triangle), vertex),
        ("barycentric", types.Float2Array, bary, vertex),
        ("offset", types.Float3Array, to_vec3(usd, avatar.offset), vertex),
        ("rotation", types.QuatfArray, to_quats(usd, rotation), vertex),
        ("logScale", types.Float3Array, to_vec3(usd, avatar.log_scale), vertex),
        ("opacityLogit", types.FloatArray, to_floats(usd, avatar.opacity_logit), vertex),
        ("color", types.Float3Array, to_vec3(usd, avatar.color), vertex),
        ("region", types.UCharArray, usd.Vt.UCharArray.FromNumpy(np.ascontiguousarray(avatar.region)), vertex),
        ("regionNames", types.String, ",".join(REGIONS), constant),
        ("head", types.String, avatar.head.name, constant),
        ("headSha256", types.String, avatar.head.sha256, constant),
        ("betas", types.FloatArray, to_floats(usd, avatar.betas), constant),
        ("vertexOffsets", types.Float3Array, to_vec3(usd, avatar.vertex_offsets), constant),
        ("name", types.String, avatar.name, constant),
        ("method", types.String, avatar.method, constant),
        ("provenance", types.String, json.dumps(avatar.provenance, sort_keys=True), constant),
    ]
    if avatar.dynamic is not None:
        d = avatar.dynamic
        values += [
            ("dynamic:index", types.IntArray, to_ints(usd, d.index), constant),
            ("dynamic:basis", types.FloatArray, to_floats(usd, d.basis.reshape(-1)), constant),
            ("dynamic:gain", types.FloatArray, to_floats(usd, d.gain.reshape(-1)), constant),
            ("dynamic:bias", types.FloatArray, to_floats(usd, d.bias), constant),
        ]
    for name, kind, value, interpolation in values:
        primvars.CreatePrimvar(f"gshead:{name}", kind, interpolation).Set(value)
