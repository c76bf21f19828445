"""Synthetic people as footage: the shards that a user's own videos become, with heads that are known exactly.

A person is seen in some frames with other expressions from other sides, in one light that stands in the room, as if
filmed. Trainers read these shards and those of real footage with the same code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...avatar.drive import drive
from ...camera import Camera, look_at
from ...head.catalog import load_head
from ...protocol.transfer import linear_to_srgb, srgb_to_linear
from ...raster import rasterize
from ..footage_shard import About, CodedFrame, coded, write_shard
from .expression import draw_expression, pose_of, with_gaze
from .light import draw_light
from .people import Person, make_person
from .photograph import ALWAYS_IN_HEAD, BRIGHTEST, FADING, exposed, room_to_head, shade
from .sample import FIRST_PERSON, SHOTS, Drawing

LICENCE = "synthetic people of gshead"
FRONTAL, WIDE = 15.0, 30.0
"""Standard deviations of the head's yaw in degrees, in half of the frames each."""


def clip_frames(person: Person, count: int, size: int, device: str = "cpu") -> list[CodedFrame]:
    """``count`` frames of a person, ``size`` pixels square, a second apart. Frame k depends on the person and k."""
    light_of = lambda camera: draw_light(np.random.default_rng((person.seed, 71)), room_to_head(camera))  # noqa: E731
    gain = np.exp(np.random.default_rng((person.seed, 72)).normal(0, [0.18, 0.05, 0.05]))
    gain = gain[0] * np.array([gain[1], 1.0, gain[2]])
    return [_frame(person, k, size, light_of, gain, device) for k in range(count)]


def _frame(person: Person, k: int, size: int, light_of: Any, gain: np.ndarray, device: str) -> CodedFrame:
    rng = np.random.default_rng((person.seed, 70, k))
    head = person.head
    pose = pose_of(head, with_gaze(head, draw_expression(rng)))
    vertices = person.avatar.personal.vertices(pose)
    camera = _camera(rng, vertices[head.region_mask(*ALWAYS_IN_HEAD)], size, FRONTAL if k % 2 == 0 else WIDE)
    splats = drive(person.avatar, pose)
    radiance = shade(person, splats, camera, exposed(light_of(camera), person)) * gain
    shown = replace(splats, colors=linear_to_srgb(np.clip(radiance, 0, BRIGHTEST)).astype(np.float32))
    seen = rasterize(shown, camera, backend="cpu" if device == "cpu" else "gsplat")
    matte = np.clip(seen.alpha, 0, 1)
    straight = np.clip(seen.color / np.maximum(matte, FADING)[..., None], 0, BRIGHTEST)
    straight = np.clip(linear_to_srgb(np.clip(srgb_to_linear(straight), 0, 1)), 0, 1)
    to_bytes = lambda a: np.ascontiguousarray(a * 255 + 0.5, np.uint8)  # noqa: E731
    return coded(
        to_bytes(straight), to_bytes(matte), camera, pose, time=float(k), view=0, number=k, error_px=0.0,
        covers=np.array([0.0, 0.0, size, size]),
    )  # fmt: skip


def _camera(rng: np.random.Generator, points: np.ndarray, size: int, spread: float) -> Camera:
    """A head that fills about half of the picture, so that the network's window is no larger than it."""
    low, high = points.min(0), points.max(0)
    middle, height = (low + high) / 2, float(high[1] - low[1])
    focal = size * rng.uniform(1.8, 3.2)
    distance = focal * height / (rng.uniform(0.46, 0.58) * size)
    a, b = np.radians(np.clip(rng.normal(0, spread), -75, 75)), np.radians(np.clip(rng.normal(0, 9), -25, 25))
    eye = middle + distance * np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]])
    return Camera(size, size, K, look_at(eye, middle))


def make_clip(
    source: str, seeds: Sequence[int], path: str, how: Drawing | None = None, *, frames: int = 6
) -> tuple[int, int]:
    """Write one person's shard; see ``crops.make_chunk``. ``source`` is not used, ``seeds`` holds one."""
    del source
    how = how or Drawing()
    (seed,) = seeds
    person = _person(seed // SHOTS, how)
    split = "validation" if person.seed < FIRST_PERSON["train"] else "train"
    head = person.head
    name = hashlib.sha256(f"{LICENCE} {person.seed} {head.sha256}".encode()).hexdigest()[:16]
    settings = hashlib.sha256(f"{how} {frames}".encode()).hexdigest()[:16]
    about = About(head.name, head.sha256, name, name, LICENCE, split, "clip", settings, how.size)
    offsets = person.avatar.vertex_offsets
    write_shard(Path(path), about, person.avatar.betas, offsets, clip_frames(person, frames, how.size, how.device))
    return frames, 0


def _person(seed: int, how: Drawing) -> Person:
    from .hair_meshes import hair_mesh_files

    meshes = hair_mesh_files(how.hair_meshes) if how.hair_meshes else ()
    return make_person(seed, load_head(how.head or "default"), hair_meshes=meshes)
