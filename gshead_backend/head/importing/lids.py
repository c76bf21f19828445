"""Blinks that close the eyes of everybody: how far lids must go, and how much further where an eye is wide."""

from __future__ import annotations

import dataclasses

import numpy as np

from ...camera import Camera, orbit_camera
from ..arkit import ARKIT_INDEX
from ..bake.render import cast
from ..model import HeadModel
from ..skinning import PersonalHead, pose_from_arkit

RIMS = {
    "Right": ((161, 160, 159, 158, 157), (163, 144, 145, 153, 154)),
    "Left": ((388, 387, 386, 385, 384), (390, 373, 374, 380, 381)),
}
"""Landmarks of the upper lid's rim and those below them."""
SHUT = 0.002
"""Share of an open eye's pixels that a shut one may show."""
STEP, FURTHEST = 0.02, 1.4
_PIXELS = 256


def with_closing_lids(head: HeadModel) -> HeadModel:
    """The head with blinks that shut the eyes of the mean head (``arkit_expression``) and of others
    (``expression_gain``): one displacement for all leaves wide eyes open and drives narrow ones through the lower lid.

    Only where a channel drives a shape of its own, as in ICT-FaceKit; a gain changes all that a shape is used for.
    """
    gain = np.zeros((head.expression_count, head.identity_count))
    drive = head.arkit_expression.copy()
    for side in RIMS:
        channel = ARKIT_INDEX["eyeBlink" + side]
        shapes = np.flatnonzero(head.arkit_expression[channel])
        if len(shapes) == 1:
            move = opening(head, head.expression_dirs[:, :, shapes[0]], side)
            gain[shapes[0]] = -(move @ opening(head, head.identity_dirs, side)) / max(float(move @ move), 1e-12)
            drive[channel] *= _to_shut(head, side)
    return dataclasses.replace(head, expression_gain=gain.astype(np.float32), arkit_expression=drive)


def opening(head: HeadModel, shapes: np.ndarray, side: str) -> np.ndarray:
    """(5, ...) metres between the rims along the lid, for vertices or displacements (V, 3, ...)."""
    upper, lower = (np.array(rim) for rim in RIMS[side])

    def height(marks: np.ndarray) -> np.ndarray:
        corners = shapes[head.faces[head.landmark_triangles[marks]], 1]
        return np.einsum("pc...,pc->p...", corners.astype(np.float64), head.landmark_bary[marks])

    return height(upper) - height(lower)


def shown(head: HeadModel, person: PersonalHead, blink: float, side: str) -> int:
    """Pixels of an eyeball that are seen from the front at this eyeBlink."""
    values = np.zeros(52)
    values[ARKIT_INDEX["eyeBlink" + side]] = blink
    eye = head.region_mask("eye_" + side.lower())
    hits = cast(person.vertices(pose_from_arkit(head, values)), head.faces, _before(person.rest[eye]))
    return int(eye[head.faces[hits.triangle[hits.triangle >= 0], 0]].sum())


def _to_shut(head: HeadModel, side: str) -> float:
    """How much further than the shape the lids of the mean head go."""
    person = PersonalHead.create(head, np.zeros(head.identity_count, np.float32))
    most = SHUT * shown(head, person, 0.0, side)
    steps = np.arange(1, FURTHEST, STEP)
    return next((float(f) for f in steps if shown(head, person, f, side) <= most), 1.0)


def _before(eye: np.ndarray) -> Camera:
    """A camera in front of an eyeball (n, 3) that holds it and the lids around it."""
    x, y, z = eye.mean(0)
    return orbit_camera(
        0, 0, size=(_PIXELS, _PIXELS), focal_mm=600, distance=1.0, target=(float(x), float(y), float(z))
    )
