"""Light as spherical harmonics in head space, and an avatar seen in another light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...avatar.drive import binding_of, drive
from ...avatar.types import Avatar
from ...errors import ArgumentError
from ...head.pose import HeadPose
from ...head.rotation import quat_to_matrix
from ..uvfit.light import to_linear, to_srgb

BAND = np.array([0, 1, 1, 1, 2, 2, 2, 2, 2])
COSINE = np.array([np.pi, 2 * np.pi / 3, np.pi / 4])[BAND]
"""The clamped cosine's factor per band (Ramamoorthi & Hanrahan 2001, eq. 9)."""
_FAINTEST = 0.12  # of the mean irradiance: what no light reaches directly still gets this much
_CHANGE = (0.08, 5.0)


def sh_basis(d: np.ndarray) -> np.ndarray:
    """(n, 3) unit vectors to (n, 9) real spherical harmonics: order 1, y, z, x, xy, yz, 3z²-1, xz, x²-y²."""
    x, y, z = np.moveaxis(np.asarray(d), -1, 0)
    return np.stack(
        [
            np.full_like(x, 0.282095), 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y, 1.092548 * y * z,
            0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y),
        ], -1,
    )  # fmt: skip


def irradiance(sh: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(n, 3) irradiance from SH radiance (9, 3); a sky of constant radiance 1 gives pi."""
    return np.maximum(sh_basis(normals) @ (COSINE[:, None] * sh), 0)


def lamp(
    yaw: float, pitch: float, *, soft: float = 0.35, color: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> np.ndarray:
    """(9, 3) SH radiance of one distant lamp and an even light around.

    Args:
        yaw, pitch: degrees; yaw 0 is in front and grows toward the person's left, pitch upward.
        soft: 0 lamp alone .. 1 even light alone. color: linear RGB of the lamp.
    Raises ``ArgumentError`` when ``soft`` is outside 0..1.
    """
    if not 0 <= soft <= 1:
        raise ArgumentError(f"The share of even light lies in 0..1, not {soft}.")
    a, b = np.radians(yaw), np.radians(pitch)
    toward = np.array([[np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)]])
    key = sh_basis(toward)[0][:, None] * np.asarray(color, np.float64)
    even = np.zeros((9, 3))
    even[0] = 2 / np.sqrt(np.pi)  # an irradiance of 1, about what the lamp gives to a surface that faces it
    return (1 - soft) * key + soft * even


def photo_light(avatar: Avatar) -> np.ndarray:
    """(9, 3) the light of the photo that the avatar was made from. Raises ``ArgumentError`` when it is not known."""
    light = np.asarray(avatar.provenance.get("light", []), np.float64)
    if light.shape != (9, 3) or not np.isfinite(light).all():
        raise ArgumentError(
            f"The avatar '{avatar.name}' does not tell in which light its photo was taken.",
            remedy="Make it with 'gshead reconstruct --method rar', with that method's weights installed.",
        )
    return light


def relit(avatar: Avatar, light: np.ndarray, strength: float = 1.0) -> Avatar:
    """The avatar in another light: its colours times the new light's share of the old one's, splat by splat.

    Args:
        light: (9, 3) SH radiance in head space; its brightness does not count, the avatar's stays.
        strength: 0 changes nothing, 1 is the new light alone.
    Raises ``ArgumentError``: see ``photo_light``.
    """
    before = photo_light(avatar)
    normals = splat_normals(avatar)
    old, new = irradiance(before, normals), irradiance(np.asarray(light, np.float64), normals)
    old, new = (e / max(float(e.mean()), 1e-9) for e in (old, new))
    ratio = np.clip((new + _FAINTEST) / (old + _FAINTEST), *_CHANGE) ** strength
    color = to_srgb(to_linear(np.clip(avatar.color, 0, 1)) * ratio).astype(np.float32)
    mixed = (1 - strength) * before / max(float(before[0].mean()), 1e-9) + strength * light / max(light[0].mean(), 1e-9)
    notes = {**avatar.provenance, "light": np.round(mixed, 4).tolist()}
    return replace(avatar, color=color, provenance=notes)


def splat_normals(avatar: Avatar) -> np.ndarray:
    """(N, 3) directions in which the splats face at rest: their thinnest axis, outward from the head."""
    splats = drive(avatar, HeadPose.neutral(avatar.head.expression_count))
    rotation = quat_to_matrix(np.asarray(splats.quats, np.float64))
    thin = np.asarray(splats.scales).argmin(1)
    normal = np.take_along_axis(rotation, thin[:, None, None], 2)[..., 0]
    outward = np.asarray(splats.means, np.float64) - binding_of(avatar).neutral.mean(0)
    return normal * np.where((normal * outward).sum(1, keepdims=True) < 0, -1.0, 1.0)
