"""Weights and inputs out of one number, so that two implementations can be compared without sharing either.

A set is a number S. Every weight is drawn from a generator seeded with the checksum of its own name and S, so the order
of drawing does not matter. The picture, cameras and points are closed formulas with 40 random parameters. float64
throughout, one rounding to float32 at the end.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import numpy as np

_GAINS = tuple(
    (re.compile(pattern), gain)
    for pattern, gain in (
        (r"^gs_generator_l[01]\.gaussian_conv\.[024]\.weight$", 1.4),
        (r"^gs_generator_l[01]\.gaussian_conv\.6\.weight$", 0.7),
        (r"^gs_generator_g\.feature_layers\.[0246]\.weight$", 1.4),
        (r"^gs_generator_g\..*_layers\.0\.weight$", 1.4),
        (r"^gs_generator_g\..*_layers\.2\.weight$", 1.0),
        (r"^upsampler\.conv_body_(down|up)\.\d\.skip\.weight$", 0.7),
        (r"^upsampler\.conv_body_first\.weight$", 2.0),
        (r"^upsampler\.conv_body_(down|up)\.\d\.conv[12]\.weight$", 1.1),
        (r"^upsampler\.condition_(scale|shift)\.\d\.0\.weight$", 1.2),
        (r"^upsampler\.condition_scale\.\d\.2\.weight$", 0.35),
        (r"^upsampler\.condition_shift\.\d\.2\.weight$", 0.5),
        (r"^upsampler\.stylegan_decoder\.to_rgb.*modulated_conv\.weight$", 0.25),
        (r"^upsampler\.stylegan_decoder\.style_mlp\.\d+\.weight$", 1.3),
        (r"modulation\.weight$", 0.3),
    )
)
_TRANSPOSED = ("base_model.resize_layers.0.weight", "base_model.resize_layers.1.weight")


def generator(name: str, number: int) -> np.random.Generator:
    """The stream of a name in set ``number``."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()) ^ number))


def weight(name: str, shape: tuple[int, ...], number: int) -> np.ndarray:
    """One weight of set ``number``, float32."""
    n = generator(name, number).standard_normal(shape)
    return _scaled(name, shape, n).astype(np.float32)


def _scaled(name: str, shape: tuple[int, ...], n: np.ndarray) -> np.ndarray:
    leaf = name.rpartition(".")[2]
    if ".noises.noise" in name or name.endswith("constant_input.weight") or name == "head_base":
        return n
    if leaf in ("cls_token", "pos_embed", "mask_token"):
        return 0.2 * n
    if leaf == "gamma":
        return 0.4 + 0.1 * n
    if re.search(r"\.norm[12]?\.weight$", name):
        return 1 + 0.1 * n
    if leaf == "weight" and shape == (1,):
        return 0.05 * (1 + 0.2 * n)
    if leaf == "bias":
        return _offset(name, shape) + 0.1 * n
    gain = next((g for pattern, g in _GAINS if pattern.search(name)), 1.0)
    if name in _TRANSPOSED:
        fan_in = shape[0]
    else:
        fan_in = int(np.prod(shape[2:] if len(shape) == 5 else shape[1:]))
    return gain / np.sqrt(fan_in) * n


def _offset(name: str, shape: tuple[int, ...]) -> np.ndarray:
    offset = np.zeros(shape)
    if re.fullmatch(r"gs_generator_l[01]\.gaussian_conv\.6\.bias", name):
        offset[-9:-5] = -1.8  # opacity and scales; 32..35 of the released 41
    elif name == "gs_generator_g.opacity_layers.2.bias":
        offset += -0.5
    elif name == "gs_generator_g.scale_layers.2.bias":
        offset += -1.0
    elif re.fullmatch(r"upsampler\.condition_scale\.\d+\.2\.bias", name) or name.endswith(".modulation.bias"):
        offset += 1.0
    return offset


def _sigmoid(t: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(t, -60, 60)))


@dataclass(frozen=True)
class Inputs:
    """What a set feeds the network with, float32.

    Attributes:
        image: (3, side, side) 0..1. source, driven: (3, 4) cameras. points0, points1: (N, 3).
    """

    image: np.ndarray
    source: np.ndarray
    driven: np.ndarray
    points0: np.ndarray
    points1: np.ndarray


def inputs(number: int, side: int = 518, count: int = 5023) -> Inputs:
    """The picture, cameras and points of a set."""
    p = generator("input.params", number).random(40)
    q = 2 * p[32:] - 1
    source = _camera(0.15 * q[0], 0.10 * q[1], 0.08 * q[2], (0.05 * q[3], 0.05 * q[4], 10.5 + 0.5 * q[5]))
    driven = _camera(0.35 * q[6] + 0.1, -0.12 * q[7], -0.05, (-0.06, 0.04, 11.2))
    points = (a.astype(np.float32) for a in _points(p, count))
    return Inputs(picture(number, side), source.astype(np.float32), driven.astype(np.float32), *points)


def picture(number: int, side: int) -> np.ndarray:
    """(3, side, side) float32: a head-like blob with features and stripes, on black."""
    p = generator("input.params", number).random(40)
    ramp = 2 * (np.arange(side) + 0.5) / side - 1
    v, u = np.meshgrid(ramp, ramp, indexing="ij")
    head = _sigmoid(14 * (1 - (u / 0.60) ** 2 - ((v + 0.05) / 0.78) ** 2))
    body = _sigmoid(24 * (v - 0.60 - 0.35 * u**2))
    mask = 1 - (1 - head) * (1 - body)
    blobs = (
        (-0.24 + 0.06 * p[0], -0.15 + 0.06 * p[1], 0.09 + 0.03 * p[2]),
        (0.24 - 0.06 * p[3], -0.15 + 0.06 * p[4], 0.09 + 0.03 * p[5]),
        (0.06 * (p[6] - 0.5), 0.35 + 0.06 * p[7], 0.13 + 0.05 * p[8]),
        (0.5 * (p[9] - 0.5), -0.62 + 0.1 * p[10], 0.2 + 0.05 * p[11]),
    )
    out = []
    for k in range(3):
        color = (0.45 + 0.35 * p[12 + k]) * (1 + 0.35 * (p[15 + k] - 0.5) * u + 0.5 * (p[18 + k] - 0.5) * v)
        color = color + 0.10 * np.sin(2 * np.pi * ((2 + 2 * p[21 + k]) * u + (1 + 2 * p[24 + k]) * v))
        color = color + 0.05 * np.sin(31 * u + 2 * np.pi * p[27]) * np.cos(27 * v + k)
        for j, (x, y, r) in enumerate(blobs):
            w = _sigmoid(9 * (1 - ((u - x) ** 2 + (v - y) ** 2) / r**2))
            t = 0.1 + 0.8 * ((0.37 * j + 0.29 * k + p[28 + j]) % 1)
            color = color * (1 - w) + t * w
        out.append(np.clip(mask * color, 0, 1))
    return np.stack(out).astype(np.float32)


def _camera(yaw: float, pitch: float, roll: float, T: tuple[float, float, float]) -> np.ndarray:
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    Ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    Rx = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    Rz = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.column_stack([np.diag([-1.0, 1, -1]) @ Ry @ Rx @ Rz, T])


def _points(p: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    i = np.arange(count)
    y = 1 - 2 * (i + 0.5) / count
    radius, a = np.sqrt(1 - y**2), np.pi * (3 - np.sqrt(5)) * i
    d = np.stack([radius * np.cos(a), y, radius * np.sin(a)], 1)
    size = np.array([0.46 + 0.05 * p[0], 0.62 + 0.05 * p[1], 0.52 + 0.05 * p[2]])
    first = d * size + 0.015 * np.sin(7 * d[:, [1, 2, 0]] + 2 * np.pi * p[3])
    w = _sigmoid(12 * (d[:, 2] - 0.3)) * _sigmoid(-12 * (d[:, 1] + 0.15))
    moved = first + w[:, None] * np.array([0.02, -0.12, 0.03])
    return first, moved + 0.02 * np.sin(5 * d[:, [2, 0, 1]] + 2 * np.pi * p[4])


def unit_gaussians(number: int, count: int = 6000, channels: int = 32) -> dict[str, np.ndarray]:
    """Fields of the rasterizer's own test, float32: rotations of any length, some splats behind the near limit."""

    def draw(name: str) -> np.random.Generator:
        return generator(f"unit.raster.{name}", number)

    xyz = draw("xyz").standard_normal((count, 3)) * (0.45, 0.45, 0.6)
    xyz[:60, 2] += 11.5
    rotations = draw("rotations").standard_normal((count, 4))
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    fields = {
        "xyz": xyz,
        "colors": draw("colors").standard_normal((count, channels)),
        "opacities": np.minimum(1, 1.02 * draw("opacities").random((count, 1))),
        "scales": 0.06 * draw("scales").random((count, 3)) ** 2 + 0.0005,
        "rotations": rotations * (0.5 + draw("norm").random((count, 1))),
    }
    return {name: value.astype(np.float32) for name, value in fields.items()}
