"""An avatar in another light: every splat's colour without the photo's light, and which way it faces.

``lit`` is the readable twin of ``shading_fast`` (numba) and ``shading_torch``. A splat's colour stands for albedo times
the photo's irradiance; what is drawn is albedo times the new one. The photo counts as well exposed: where its light
gives the face its mean irradiance, colour is albedo. So a head beside a white card is as bright as in a photo that
shows the card as just white.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import ArgumentError, UnsupportedError
from ..head.pose import HeadPose
from ..head.rotation import quat_to_matrix
from ..srgb import linear_to_srgb, srgb_to_linear
from .drive import binding_of, drive
from .facing import splat_normals
from .light import BAND, CONSTANTS, COSINE, LUMA, checked_light, fit_shading, irradiance, sh_basis, shading_light
from .types import REGIONS, Avatar, Splats

BRIGHTEST = 64.0
"""Linear colours are kept below; 1 is white."""
BRIGHTEST_CODE = 2.0
"""Encoded colours of an avatar count as at most this."""
WINDOW = np.array([1.0, 1.0, 0.9])[BAND]
"""How much of each band counts: with less of the last, what faces a lamp gets 3 % too much, not 6, and rings less."""
GLOW = 0.04
EVEN = 1 / (1 + np.sqrt(1 + (2 * GLOW) ** 2))
LIGHT, ABSOLUTE = "light", "light_is_absolute"
"""Keys of an avatar's provenance: its photo's light, and whether its brightness is as it should be."""
_FRONT = 0.3  # cosine to the face's direction up to which the photo shows the skin
_SEEN = (0.03, 0.99)  # quantiles of the front's irradiance: nothing in the photo counts as darker or brighter
_DARKEST = 0.3  # of the mean: a darker splat's colour would be mostly noise, and its albedo a guess


@dataclass(frozen=True)
class Shading:
    """What lighting needs of an avatar.

    Attributes:
        axis: (N, 3) float32, the direction in which a splat faces, in its own axes: its quaternion turns it.
        gain: (N, 3) float32, one over what the photo's light does to its colour: 1 where the face is lit as on average.
    """

    axis: np.ndarray
    gain: np.ndarray


def lit(
    splats: Splats, shading: Shading, light: np.ndarray | None, strength: float = 1.0, shadow: np.ndarray | None = None
) -> Splats:
    """Driven splats in another light, in shadows, or in both.

    Args:
        light: (9, 3), see ``light``; None leaves the photo's. strength: 0 leaves the photo's light, 1 is the new one
            alone. shadow: (N, 3) by which linear colours are multiplied at the end, see ``splat_shadow``.
    """
    ratio = np.ones((len(splats), 3))
    if light is not None:
        normals = np.einsum("nij,nj->ni", quat_to_matrix(np.asarray(splats.quats, np.float64)), shading.axis)
        ratio = 1 - strength + strength * shading.gain * received(light, normals)
    if shadow is not None:
        ratio = ratio * shadow
    linear = srgb_to_linear(np.clip(splats.colors, 0, BRIGHTEST_CODE)) * ratio
    return replace(splats, colors=linear_to_srgb(np.minimum(linear, BRIGHTEST)))


def splat_shadow(avatar: Avatar, shadow: np.ndarray) -> np.ndarray:
    """(N, 3) float32 of each splat from (V, 3) of the dense vertices: those of its triangle, at its place in it."""
    b = binding_of(avatar)
    return np.einsum("kn,knc->nc", b.bary, np.asarray(shadow, np.float32)[b.corners])


def received(light: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N, 3) irradiance over pi of a head's surface; an even light of radiance 1 gives 1.

    Of little light the harmonics make less than none. What is bent up there is about what skin scatters round the
    terminator and its own surroundings throw back: ``GLOW`` of the mean, where nothing arrives directly.
    """
    h = np.asarray(light, np.float64) * (COSINE * WINDOW / np.pi)[:, None]
    got, mean = sh_basis(normals) @ h, h[0] * CONSTANTS[0]
    return (got + np.sqrt(got * got + (2 * GLOW * mean) ** 2)) * EVEN


def only_photo_light(name: str) -> UnsupportedError:
    """What to raise when a head that a network draws is to be lit."""
    return UnsupportedError(
        f"The head of '{name}' is drawn by a network, which knows only the photo's light.",
        remedy="Make it with another method, uvfit for example.",
    )


def relit(avatar: Avatar, light: np.ndarray, strength: float = 1.0) -> Avatar:
    """The avatar as it looks at rest in another light; the arguments are those of ``lit``. Its colours end at white."""
    rest = drive(avatar, HeadPose.neutral(avatar.head.expression_count))
    before = photo_light(avatar, splat_normals(avatar, rest))
    seen = lit(replace(rest, colors=avatar.color), shading_of(avatar), light, strength)
    mixed = (1 - strength) * before + strength * np.asarray(light, np.float64)
    notes = {**avatar.provenance, LIGHT: np.round(mixed, 4).tolist(), ABSOLUTE: True}
    return replace(avatar, color=np.clip(seen.colors, 0, 1).astype(np.float32), provenance=notes)


def harmonics(light: np.ndarray) -> np.ndarray:
    """(9, 3) float32: a light as ``received`` reads it, as coefficients of 1, y, z, x, xy, yz, 3z²-1, xz, x²-y²."""
    return (np.asarray(light, np.float64) * (COSINE * WINDOW * CONSTANTS / np.pi)[:, None]).astype(np.float32)


def shading_of(avatar: Avatar) -> Shading:
    """The avatar's :class:`Shading`; computed once."""
    if "shading" not in avatar._cache:
        rest = drive(avatar, HeadPose.neutral(avatar.head.expression_count))
        normals = splat_normals(avatar, rest)
        axis = np.einsum("nij,ni->nj", quat_to_matrix(np.asarray(rest.quats, np.float64)), normals)
        gain = 1 / photo_shade(avatar, normals)
        avatar._cache["shading"] = Shading(*(np.ascontiguousarray(a, np.float32) for a in (axis, gain)))
    return avatar._cache["shading"]


def photo_shade(avatar: Avatar, normals: np.ndarray) -> np.ndarray:
    """(N, 3) what the photo's light does to colours, 1 on average over the front of the face.

    Kept within what the photo shows: how it lights what it does not show is not known.
    """
    got = received(photo_light(avatar, normals), normals)
    front = _front(avatar, normals)
    if not front.any():
        return np.maximum(got, _DARKEST)
    return np.clip(got, np.maximum(np.quantile(got[front], _SEEN[0], axis=0), _DARKEST),
                   np.quantile(got[front], _SEEN[1], axis=0))  # fmt: skip


def photo_light(avatar: Avatar, normals: np.ndarray) -> np.ndarray:
    """(9, 3) the light of the photo in head space, as bright as it counts (see the module).

    It is what the reconstruction stored. Where it stored none, it is read from the skin's own colours.
    """
    front = _front(avatar, normals)
    try:
        told = checked_light(avatar.provenance.get(LIGHT))
    except (ArgumentError, TypeError, ValueError):  # of a file from elsewhere: anything
        brightness = srgb_to_linear(np.clip(avatar.color, 0, 1)).astype(np.float64) @ LUMA
        told = shading_light(fit_shading(normals, brightness, front.astype(np.float64)))
    if avatar.provenance.get(ABSOLUTE) or not front.any():
        return told
    mean = irradiance(told, normals[front]).mean(0)
    return told * np.pi / np.maximum(mean, 1e-6)


def with_light(avatar: Avatar) -> Avatar:
    """The avatar with its photo's light in its provenance; one that tells it already is left alone."""
    if LIGHT in avatar.provenance:
        return avatar
    rest = drive(avatar, HeadPose.neutral(avatar.head.expression_count))
    light = photo_light(avatar, splat_normals(avatar, rest))
    return replace(avatar, provenance={**avatar.provenance, LIGHT: np.round(light, 4).tolist()})


def _front(avatar: Avatar, normals: np.ndarray) -> np.ndarray:
    """(N,) bool: skin that a photo from the front shows."""
    return (avatar.region == REGIONS.index("skin")) & (normals[:, 2] > _FRONT) & (avatar.opacity_logit > 0)
