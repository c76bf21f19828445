"""A fitted portrait on the UV lattice: what the photo says at every texel, and what ``uvfit`` makes of the rest.

Networks see the same completed head that ``uvfit`` would fit to the photo, so what they add is a correction of it: a
network that says nothing leaves a ``uvfit`` avatar.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ...avatar.types import Avatar
from ...head.model import HeadModel
from ...portrait.types import PortraitFit, no_progress
from ..uvfit.bust import fade_bust
from ..uvfit.cloud import bind
from ..uvfit.photo import sample
from ..uvfit.pipeline import Built, Stages, build
from ..uvfit.presets import PRESETS
from .lattice import SIZE, Lattice, lattice_of

CHANNELS = (
    "color_r", "color_g", "color_b",  # completed: read, mirrored, spread; 0..1 minus a half
    "seen_r", "seen_g", "seen_b",  # read from the photo, times the confidence
    "confidence", "hair", "clothes",
    "reach",  # how far the outer surface stands off the bare head, along its normal, in 5 cm
    "facing_x", "facing_y", "facing_z",  # the posed normal in the camera's frame
    "place_x", "place_y", "place_z",  # on this person's bare head, in 10 cm
    "matte", "pixel_hair", "pixel_clothes",  # what the photo shows where the texel projects, hidden or not
    "before",  # in front of the mesh, as far as the fit says
)  # fmt: skip
PICTURE = 128
LEFTOVER = 1500
UNSEEN = -12.0  # opacity logit of what stands for nothing
GLOBALS = 33
"""Light reading (27), direction to the camera (3), tangent of half the angle of view, focal known, landmark error."""


@dataclass(frozen=True)
class Observation:
    """One portrait as networks see it.

    Attributes:
        lattice: the texels. channels: (M, C) float32, see ``CHANNELS``.
        picture: (6, P, P) float32: the head crop, matte, hair and clothes, 0..1 minus a half. facts: (G,) float32.
        built: ``uvfit``'s splats, the first M of them those of the texels.
    """

    lattice: Lattice
    channels: np.ndarray
    picture: np.ndarray
    facts: np.ndarray
    built: Built


def observe_portrait(fit: PortraitFit, head: HeadModel, size: int = SIZE) -> Observation:
    """Build ``uvfit``'s head on the lattice and read it. Raises ``UnsupportedError``, see ``lattice_of``."""
    lattice = lattice_of(head, size)
    preset = replace(PRESETS["draft"], splats=len(lattice), leftover=LEFTOVER)
    built = build(fit, head, preset, 0, Stages(no_progress), lattice.samples)
    return Observation(lattice, _channels(lattice, built), _picture(built), _facts(fit), built)


def base_avatar(seen: Observation, name: str = "base") -> Avatar:
    """``uvfit``'s splats on the lattice, as an avatar; the first M are the texels'."""
    built = seen.built
    fit, surface = built.scene.fit, built.scene.surface
    cloud = replace(built.cloud, opacity_logit=built.cloud.opacity_logit.copy())
    fade_bust(fit, surface, cloud, built.scene.posed)
    folded = np.zeros(len(cloud), bool)
    folded[: built.on_mesh] = built.shell.folded[built.samples.triangle]
    cloud.opacity_logit[folded] = UNSEEN
    return bind(
        cloud, surface, built.scene.rest, betas=fit.betas, vertex_offsets=fit.vertex_offsets, name=name, provenance={}
    )


def _channels(lattice: Lattice, built: Built) -> np.ndarray:
    scene, cloud, m = built.scene, built.cloud, len(lattice)
    fit, classes = scene.fit, scene.classes
    color, posed = cloud.color[:m], cloud.posed[:m]
    trust = cloud.confidence[:m, None]
    bare = lattice.at(scene.rest)
    reach = ((cloud.rest[:m] - bare) * cloud.normal[:m]).sum(1, keepdims=True)
    facing = cloud.posed_normal[:m] @ fit.camera.viewmat[:3, :3].T
    uv, depth, row, column = built.view.pixels(posed)
    pixels = [sample(np.ascontiguousarray(a, np.float32), uv) for a in (fit.matte, classes.hair, classes.clothes)]
    before = np.clip((built.view.depth[row, column] - depth) / 0.05, -1, 1)
    out = [
        color - 0.5, (color - 0.5) * trust, trust, cloud.hair[:m, None], cloud.clothes[:m, None], reach / 0.05, facing,
        bare / 0.1, np.stack(pixels, 1), np.nan_to_num(before, nan=1.0, posinf=1.0)[:, None],
    ]  # fmt: skip
    return np.concatenate(out, 1).astype(np.float32)


def _picture(built: Built) -> np.ndarray:
    fit, classes = built.scene.fit, built.scene.classes
    layers = [fit.image[..., k].astype(np.float32) / 255 for k in range(3)] + [fit.matte, classes.hair, classes.clothes]
    small = [
        cv2.resize(np.ascontiguousarray(a, np.float32), (PICTURE, PICTURE), interpolation=cv2.INTER_AREA)
        for a in layers
    ]
    return np.stack(small) - np.float32(0.5)


def _facts(fit: PortraitFit) -> np.ndarray:
    light = np.zeros((9, 3)) if fit.reading is None else fit.reading.light
    toward = -fit.camera.viewmat[2, :3]
    angle = fit.camera.width / (2 * fit.camera.K[0, 0])
    more = [*toward, 1.0 if fit.camera.orthographic else angle, float(fit.focal_known), fit.error_px / 4]
    return np.concatenate([np.ravel(light) * 0.5, more]).astype(np.float32)
