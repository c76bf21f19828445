"""Every tensor of the recipe, computed by our network, in the order in which a fault would show first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from . import recipe
from .config import Config
from .encoder import Features, resize
from .gaussians import Gaussians
from .layout import PERCEPTUAL, used_shapes
from .lifting import encode_direction, opencv_camera, plane
from .network import Network
from .raster import Placed, rasterize_features

RASTER_TEST_SIZE = 512
Named = Iterator[tuple[str, np.ndarray]]


class Weights:
    """The recipe's weights of a set: those that the network needs, and what the probes say of all of them."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], number: int, config: Config) -> None:
        self.used: dict[str, Tensor] = {}
        self.probes: dict[str, np.ndarray] = {}
        total = np.zeros(2)
        wanted = used_shapes(config)
        for name, shape in shapes.items():
            value = recipe.weight(name, shape, number)
            exact = value.astype(np.float64)
            size = float(np.abs(exact).sum())
            self.probes[name] = np.concatenate([exact.ravel()[:41], [exact.mean(), size]])
            total += (float(exact.sum()), size)
            if name in wanted and not name.startswith(PERCEPTUAL):
                self.used[name] = torch.from_numpy(value)
        self.probes["all"] = total


def stages(network: Network, number: int, raster: str = "auto") -> Named:
    """Names and whole tensors of set ``number``: (C, H, W) pictures and maps, (N, fields) Gaussians, float32."""
    c = network.config
    device = network.head_base.device
    given = recipe.inputs(number, c.image, c.points)
    for name, value in (
        ("image", given.image), ("camera_src", given.source), ("camera_drv", given.driven),
        ("points0", given.points0), ("points1", given.points1),
    ):  # fmt: skip
        yield f"in.{name}", value
    with torch.inference_mode():
        yield from _units(network, number, given.driven, raster)
        features = network.base_model(torch.from_numpy(given.image)[None].to(device))
        for i, level in enumerate(features.levels):
            yield f"dino.{c.depth - 4 + i}", _array(level[0])
        yield "f1", _array(features.vector[0])
        yield "f0", _array(features.map[0])
        yield from _avatar(network, features, given, raster)


def _units(network: Network, number: int, driven: np.ndarray, raster: str) -> Named:
    """Each stage alone, on noise."""
    c, device = network.config, network.head_base.device

    def draw(name: str, *shape: int) -> np.ndarray:
        return recipe.generator(name, number).standard_normal(shape)

    def on_device(value: np.ndarray) -> Tensor:
        return torch.from_numpy(value.astype(np.float32)).to(device)

    points, direction = plane(driven, c.plane)
    yield "unit.plane.points", points
    yield "unit.plane.dir", direction
    along = draw("unit.dir", 3)
    code = encode_direction(on_device(along / np.linalg.norm(along)))
    yield "unit.direnc", _array(code)
    smaller = torch.from_numpy(recipe.picture(number, c.image - 6))[None]
    yield f"unit.resize{c.image}", _array(resize(smaller.to(device), c.image)[0])
    vector = on_device(draw("unit.linearhead.f1", 1, c.width)).expand(c.points, -1)
    yield from _fields("unit.linearhead", network.gs_generator_g(torch.cat([network.head_base, vector], 1), code))
    map_ = on_device(1.5 * draw("unit.convhead.f0", 1, c.fused, c.plane, c.plane))
    yield from _fields("unit.convhead", network.gs_generator_l0(map_, code))
    fields = recipe.unit_gaussians(number, channels=c.features)
    xyz, colors, opacities, scales, rotations = (
        on_device(fields[name]) for name in ("xyz", "colors", "opacities", "scales", "rotations")
    )
    placed = Placed(xyz, colors, opacities, scales, rotations)
    view = opencv_camera(driven, min(c.size, RASTER_TEST_SIZE))
    yield "unit.raster", _array(rasterize_features(placed, view, raster).color.permute(2, 0, 1))
    noise = on_device(0.7 * draw("unit.styleunet.x", 1, c.features, c.size, c.size))
    yield "unit.styleunet", _array(network.upsampler(noise)[0])


def _avatar(network: Network, features: Features, given: recipe.Inputs, raster: str) -> Named:
    points, direction = plane(given.source, network.config.plane)
    yield "plane.points", points
    yield "plane.dir", direction
    yield "plane.direnc", _array(encode_direction(torch.from_numpy(direction)))
    person = network.lift(features, given.source)
    yield from _fields("g", person.points)
    yield from _fields("l0", person.front)
    yield "l0.xyz", _array(person.front_xyz)
    yield from _fields("l1", person.back)
    yield "l1.xyz", _array(person.back_xyz)
    device = network.head_base.device
    drawn = {}
    for name, places, camera in (("A", given.points0, given.source), ("B", given.points1, given.driven)):
        drawn[name] = network.frame(
            person, torch.from_numpy(places).to(device), opencv_camera(camera, network.config.size), raster=raster
        )
        yield f"{name}.raster", _array(drawn[name].raster)
    for name, frame in drawn.items():
        yield f"{name}.rgb", _array(frame.rgb)


def _fields(stem: str, g: Gaussians) -> Named:
    for name in ("colors", "opacities", "scales", "rotations", "positions"):
        value = getattr(g, name)
        if value is not None:
            yield f"{stem}.{name}", _array(value)


def _array(value: Tensor) -> np.ndarray:
    return value.detach().float().cpu().numpy()
