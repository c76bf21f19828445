"""Light: radiance as spherical harmonics, one optional sun or flash, and what a surface sends back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...avatar.light import BAND, irradiance, sh_basis

KINDS = ("studio", "window", "overcast", "sunset", "office", "coloured", "dim", "sun", "flash")
SHARES = (0.2, 0.19, 0.13, 0.08, 0.11, 0.06, 0.06, 0.12, 0.05)
WRAP = np.array([0.22, 0.10, 0.07])
"""How far light creeps round skin's terminator, per colour: red travels furthest."""


@dataclass(frozen=True)
class Light:
    """Light on a head, in head space, linear.

    Attributes:
        kind: one of ``KINDS``. sh: (9, 3) radiance, order 1, y, z, x, xy, yz, 3z²-1, xz, x²-y².
        direction: (3,) unit, toward the sun. sun: (3,) its irradiance on a surface that faces it, zero when absent.
        softness: radians, half the angle that the sun fills. key: (3,) unit, toward the brightest soft source.
        key_radiance: (3,) what a mirror shows of it.
    """

    kind: str
    sh: np.ndarray
    direction: np.ndarray
    sun: np.ndarray
    softness: float
    key: np.ndarray
    key_radiance: np.ndarray

    def scaled(self, factor: float) -> Light:
        """The same light, brighter or darker."""
        return Light(
            self.kind, self.sh * factor, self.direction, self.sun * factor, self.softness, self.key,
            self.key_radiance * factor,
        )  # fmt: skip


def lobe(direction: np.ndarray, color: np.ndarray, width: float) -> np.ndarray:
    """(9, 3) SH of a soft source ``color * exp((cos - 1) / width²)`` around ``direction`` (Funk-Hecke)."""
    t, w = np.polynomial.legendre.leggauss(64)
    f = w * np.exp((t - 1) / width**2)
    legendre = np.stack([np.ones_like(t), t, 1.5 * t * t - 0.5])
    return (2 * np.pi * (legendre @ f))[BAND, None] * sh_basis(_unit(direction)[None])[0][:, None] * color


def draw_light(rng: np.random.Generator, to_head: np.ndarray) -> Light:
    """A light as photographers and rooms make it.

    Args:
        to_head: (3, 3) turns directions from the room (x right, y up, z toward the camera) into head space.
    """
    kind = KINDS[rng.choice(len(KINDS), p=SHARES)]
    side = rng.choice([-1.0, 1.0])
    up, ahead = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])

    def toward(azimuth: float, elevation: float) -> np.ndarray:
        a, e = np.radians(azimuth) * side, np.radians(elevation)
        return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])

    def warm(amount: float) -> np.ndarray:
        return np.array([1 + amount, 1.0, 1 - 1.3 * amount])

    ambient, tint = rng.uniform(0.15, 0.5), warm(rng.uniform(-0.08, 0.12))
    lobes = [(-up, tint * rng.uniform(0.02, 0.25), 0.9)]
    sun, softness, direction = np.zeros(3), 0.02, toward(30, 40)
    if kind == "studio":
        key, color, width = toward(rng.uniform(10, 60), rng.uniform(10, 50)), tint, rng.uniform(0.35, 0.6)
        lobes.append((toward(-rng.uniform(30, 90), rng.uniform(-5, 25)), tint * rng.uniform(0.1, 0.7), 0.6))
        if rng.random() < 0.4:  # hair light from behind
            lobes.append((toward(-rng.uniform(130, 170), rng.uniform(20, 50)), tint * 1.2, 0.4))
    elif kind == "window":
        key, color, width = toward(rng.uniform(45, 95), rng.uniform(0, 30)), warm(rng.uniform(-0.15, 0.05)), 0.45
        ambient *= 0.6
    elif kind == "overcast":
        key, color, width, ambient = _unit(up + 0.6 * ahead), warm(rng.uniform(-0.12, 0.02)), 1.0, ambient + 0.5
    elif kind == "sunset":
        key, color, width = toward(rng.uniform(20, 100), rng.uniform(2, 12)), warm(rng.uniform(0.15, 0.4)), 0.7
        direction, sun, softness = key, color * rng.uniform(1, 3), 0.03
        lobes.append((up, warm(-0.2) * 0.5, 1.0))
    elif kind == "office":
        key, color, width = _unit(up + 0.25 * ahead), warm(rng.uniform(-0.05, 0.1)) * (1, 1.04, 0.98), 0.5
        lobes.append((_unit(up - 0.5 * ahead), color * 0.8, 0.5))
    elif kind == "coloured":
        hue = rng.uniform(0, 1)
        color = 0.35 + 0.65 * np.array([0.5 + 0.5 * np.cos(2 * np.pi * (hue - k / 3)) for k in range(3)])
        key, width = toward(rng.uniform(20, 80), rng.uniform(-10, 40)), 0.5
        lobes.append((toward(-rng.uniform(40, 110), 10), (1.35 - color) * rng.uniform(0.4, 1), 0.5))
    elif kind == "dim":
        key, color, width = toward(rng.uniform(0, 100), rng.uniform(-10, 50)), warm(rng.uniform(0.05, 0.3)), 0.5
        ambient *= 0.5
    elif kind == "sun":
        key, color, width = _unit(up + 0.6 * ahead), warm(rng.uniform(-0.2, 0)), 0.9
        direction = toward(rng.uniform(5, 110), rng.uniform(18, 65))
        sun, softness = warm(rng.uniform(0, 0.15)) * rng.uniform(1.5, 5), float(np.exp(rng.uniform(-4.5, -2)))
        ambient += 0.2
    else:
        key, color, width = toward(rng.uniform(-8, 8), rng.uniform(0, 14)), tint, 0.5
        direction, sun, softness, color = key, tint * rng.uniform(1.5, 4), 0.02, tint * 0.3
    lobes.append((key, color * (1.0 if kind in ("overcast", "sun") else 2.2), width))
    sh = np.zeros((9, 3))
    sh[0] = ambient * np.sqrt(4 * np.pi) * (tint if kind != "coloured" else 0.5)
    for where, colour, wide in lobes:
        sh += lobe(to_head @ where, np.asarray(colour, np.float64), wide)
    front = irradiance(sh, np.stack([to_head @ v for v in (ahead, toward(50, 10), toward(-50, 10))])).mean()
    share = float(np.mean(sun) * max(direction @ ahead, 0.25))
    light = Light(kind, sh, to_head @ direction, sun * np.pi, softness, to_head @ _unit(key), np.asarray(color) * 1.5)
    level = np.exp(rng.normal(-0.05, 0.16)) * (0.6 if kind == "dim" else 1.0)
    return light.scaled(float(level * np.pi / (front + np.pi * share)))


def reflected(
    light: Light, albedo: np.ndarray, normals: np.ndarray, view: np.ndarray, gloss: np.ndarray, *, open_sky: np.ndarray,
    sunlit: np.ndarray, skin: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(n, 3) linear radiance toward the camera.

    Args:
        albedo: (n, 3). normals, view: (n, 3) unit; view points to the camera. gloss: (n,) 0..1.
        open_sky: (n, 3) share of the soft light that arrives. sunlit: (n,) of the sun. skin: (n,) bool, scatters.
    """
    open_sky = open_sky / np.maximum(1 - 0.8 * albedo * (1 - open_sky), 0.2)  # light that bounces once more
    out = irradiance(light.sh, normals) * open_sky
    if light.sun.any():
        cos = (normals @ light.direction)[:, None]
        wrap = np.where(skin[:, None], WRAP, 0.03)
        wrapped = np.clip((cos + wrap) / (1 + wrap), 0, 1) ** (1 + wrap)
        out += wrapped * sunlit[:, None] * light.sun
    out *= albedo / np.pi
    shine = _highlight(normals, view, light.key, 18.0, gloss) * open_sky.mean(1)
    out += 0.10 * shine[:, None] * light.key_radiance
    if light.sun.any():
        shine = _highlight(normals, view, light.direction, 60.0, gloss) * sunlit
        out += 0.25 * shine[:, None] * light.sun / np.pi
    return out


def _highlight(n: np.ndarray, v: np.ndarray, to: np.ndarray, width: float, gloss: np.ndarray) -> np.ndarray:
    """Blinn-Phong with Schlick's Fresnel term; glossier is narrower and stronger."""
    h = _unit(v + to)
    nh, vh = np.clip(np.sum(n * h, 1), 0, 1), np.clip(np.sum(v * h, 1), 0, 1)
    power = width * (0.5 + 6 * gloss**2)
    fresnel = 0.35 + 0.65 * (1 - vh) ** 5
    return gloss * (0.6 + gloss) * fresnel * nh**power * np.clip(4 * (n @ to) + 0.2, 0, 1)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)
