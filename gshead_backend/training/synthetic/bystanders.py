"""Other people in the picture: cut-outs of a small pool of strangers, put behind or beside the one portrayed."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from ...camera import Camera

POOL = 10
FIRST_STRANGER = 900_000_000  # no split reaches this far
FACE_HEIGHT = 0.19  # metres, hairline to chin
STRANGER_SIZE = 256
STRANGER_SPLATS = 30_000
SHARE = 0.22
"""Of the photographs that show somebody else too."""


def with_bystanders(behind: np.ndarray, camera: Camera, rng: np.random.Generator, person_seed: int) -> np.ndarray:
    """The backdrop (S, S, 3) linear, in some photographs with one or two other people before it."""
    if person_seed >= FIRST_STRANGER or rng.random() > SHARE:
        return behind
    out = behind.copy()
    size = behind.shape[0]
    middle = camera.project(np.zeros((1, 3)))[0, :2] / size
    for _ in range(1 if rng.random() < 0.6 else 2):
        linear, matte, face = stranger(int(rng.integers(POOL)))
        scale = rng.uniform(0.4, 0.8) * _face(camera) / face  # the largest face is the one that is meant
        side = rng.choice([-1.0, 1.0])
        x = (middle[0] + side * rng.uniform(0.22, 0.5)) * size
        y = (middle[1] + rng.uniform(-0.08, 0.25)) * size
        flip = rng.choice([-1.0, 1.0])
        half = STRANGER_SIZE / 2
        M = np.array([[scale * flip, 0, x - scale * flip * half], [0, scale, y - scale * 0.4 * STRANGER_SIZE]])
        four = np.concatenate([linear, matte[..., None]], -1)
        placed = cv2.warpAffine(four, M, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        low = int(np.ceil(M[1, 2] + scale * STRANGER_SIZE))
        if low < size:  # their bust ends at the cut-out's lower edge: carry it on to the picture's
            placed[max(low - 3, 0) :] = placed[max(low - 4, 0)]
        placed = cv2.GaussianBlur(placed, (0, 0), size * rng.uniform(0.002, 0.012))
        out = placed[..., :3] * np.exp(rng.normal(-0.15, 0.25)) + (1 - placed[..., 3:]) * out
    return out.astype(np.float32)


@lru_cache(maxsize=POOL)
def stranger(index: int) -> tuple[np.ndarray, np.ndarray, float]:
    """(s, s, 3) linear premultiplied, (s, s) matte, and pixels of the face of one of the pool, made when first met."""
    from ...avatar.drive import drive
    from .expression import draw_expression, pose_of
    from .framing import draw_framing
    from .light import draw_light
    from .people import make_person
    from .photograph import ALWAYS_IN_HEAD, exposed, render, room_to_head, shade

    person = make_person(FIRST_STRANGER + index, splats=STRANGER_SPLATS)
    rng = np.random.default_rng((person.seed, 0))
    pose = pose_of(person.head, draw_expression(rng))
    vertices = person.avatar.personal.vertices(pose)
    camera = draw_framing(rng, vertices[person.head.region_mask(*ALWAYS_IN_HEAD)], STRANGER_SIZE)
    splats = drive(person.avatar, pose)
    radiance = shade(person, splats, camera, exposed(draw_light(rng, room_to_head(camera)), person))
    linear, _, matte, _ = render(person, splats, radiance, camera)
    return linear, matte, _face(camera)


def _face(camera: Camera) -> float:
    """Pixels that a face of usual height takes in a picture of a head at the origin."""
    return float(camera.K[1, 1] * FACE_HEIGHT / camera.project(np.zeros((1, 3)))[0, 2])
