"""What a USD file needs to be looked at: the head mesh's material with its baked texture, and lights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..errors import ArgumentError
from .usd_stage import to_matrix

ROUGHNESS = 0.55
Kind = Literal["dome", "distant", "sphere", "rect", "disk"]
_TYPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "dome": ("DomeLight", ()),
    "distant": ("DistantLight", ("angle",)),
    "sphere": ("SphereLight", ("radius",)),
    "rect": ("RectLight", ("width", "height")),
    "disk": ("DiskLight", ("radius",)),
}


@dataclass(frozen=True)
class Light:
    """A light by OpenUSD's own rules (UsdLux): it shines along the -z axis of its ``matrix``.

    Attributes:
        matrix: (4, 4) light to the stage's world, column vectors.
        color: linear Rec.709. intensity: UsdLux's; a dome of 1 lights evenly with radiance 1.
        exposure: stops on top of the intensity.
        normalize: whether ``intensity`` is for the whole light, not for each unit of its area.
        size: what the kind has of: angle (degrees, distant), radius (sphere, disk), width and height (rect), metres.
        cone: a spotlight's half angle in degrees and its softness 0..1, or None.
        name: of its prim below ``/Lights``.
    """

    kind: Kind = "dome"
    matrix: np.ndarray = field(default_factory=lambda: np.eye(4))
    color: tuple[float, float, float] = (1.0, 1.0, 1.0)
    intensity: float = 1.0
    exposure: float = 0.0
    normalize: bool = False
    size: Mapping[str, float] = field(default_factory=dict)
    cone: tuple[float, float] | None = None
    name: str = "Light"


def write_material(usd: Any, stage: Any, path: str, mesh: Any, texture: str) -> None:
    """A ``UsdPreviewSurface`` material at ``path`` that shows ``texture`` by the mesh's ``st``, bound to ``mesh``."""
    shade, types = usd.UsdShade, usd.Sdf.ValueTypeNames
    material = shade.Material.Define(stage, path)
    reader, image, surface = (
        shade.Shader.Define(stage, f"{path}/{name}") for name in ("Coordinates", "Texture", "Surface")
    )
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", types.String).Set("st")
    coordinates = reader.CreateOutput("result", types.Float2)
    image.CreateIdAttr("UsdUVTexture")
    image.CreateInput("file", types.Asset).Set(usd.Sdf.AssetPath(texture))
    image.CreateInput("sourceColorSpace", types.Token).Set("sRGB")
    image.CreateInput("wrapS", types.Token).Set("clamp")
    image.CreateInput("wrapT", types.Token).Set("clamp")
    image.CreateInput("st", types.Float2).ConnectToSource(coordinates)
    surface.CreateIdAttr("UsdPreviewSurface")
    surface.CreateInput("diffuseColor", types.Color3f).ConnectToSource(image.CreateOutput("rgb", types.Float3))
    surface.CreateInput("roughness", types.Float).Set(ROUGHNESS)
    surface.CreateInput("metallic", types.Float).Set(0.0)
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", types.Token))
    shade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)


def write_lights(usd: Any, stage: Any, lights: Sequence[Light]) -> None:
    """Author lights as children of ``/Lights``. Raises ``ArgumentError`` for a kind that does not exist."""
    used: set[str] = set()
    for light in lights:
        if light.kind not in _TYPES:
            raise ArgumentError(f"There is no light of kind '{light.kind}'.", remedy=f"Kinds: {', '.join(_TYPES)}.")
        schema, sizes = _TYPES[light.kind]
        stem = name = usd.Tf.MakeValidIdentifier(light.name)
        while name in used:
            name = f"{stem}_{sum(n.startswith(stem) for n in used)}"
        used.add(name)
        usd.UsdGeom.Scope.Define(stage, "/Lights")
        prim = getattr(usd.UsdLux, schema).Define(stage, f"/Lights/{name}")
        prim.AddTransformOp().Set(to_matrix(usd, light.matrix))
        prim.CreateColorAttr(usd.Gf.Vec3f(*light.color))
        prim.CreateIntensityAttr(float(light.intensity))
        prim.CreateExposureAttr(float(light.exposure))
        prim.CreateNormalizeAttr(light.normalize)
        for key in sizes:
            if key in light.size:
                getattr(prim, f"Create{key.capitalize()}Attr")(float(light.size[key]))
        if light.cone is not None:
            shaping = usd.UsdLux.ShapingAPI.Apply(prim.GetPrim())
            shaping.CreateShapingConeAngleAttr(float(light.cone[0]))
            shaping.CreateShapingConeSoftnessAttr(float(light.cone[1]))
