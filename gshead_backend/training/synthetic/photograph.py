"""Photographs of synthetic people: pose, framing, light, lens — and the exact truth beside the picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from ...avatar.drive import drive
from ...avatar.types import Splats
from ...camera import Camera
from ...head.model import HeadModel
from ...portrait.labels import LABEL_INDEX, LABELS
from ...protocol.transfer import linear_to_srgb, srgb_to_linear
from ...raster import rasterize
from .backdrop import draw_backdrop
from .bystanders import with_bystanders
from .camera_noise import develop
from .expression import draw_expression, pose_of, with_gaze
from .facts import facts
from .framing import draw_framing
from .light import Light, draw_light, reflected
from .people import Person, occluders, shading_normals
from .sample import Sample
from .shadow import visibility

ALWAYS_IN_HEAD = ("skin", "scalp", "ear", "lips", "lids")
SHADOW_REACH = 0.06  # metres from what casts a shadow to where it falls, typically: nose, brow, hair
IRIS_RADIANS = 0.40
BRIGHTEST = 4.0  # what a splat may be above white
GLASS_ALONE = 0.1  # of a pixel's light from what has a label, below which only clear glass is there
FADING = 0.03  # alpha below which colour is not worth dividing by


def photograph(
    person: Person, shot_seed: int, size: int = 512, *, device: str = "cpu", maps: bool = True, kind: str = ""
) -> Sample:
    """Shot ``shot_seed`` of a person, ``size`` pixels square; the same arguments give the same bytes on one device.

    Without ``maps`` the sample's labels and albedo are empty; nothing else changes. ``kind``: as ``draw_expression``.
    Raises ``RenderError`` when ``device`` is not there.
    """

    def stream(part: int) -> np.random.Generator:
        return np.random.default_rng((person.seed, shot_seed, part))

    head, personal = person.head, person.avatar.personal
    expression = with_gaze(head, draw_expression(stream(0), kind))
    pose = pose_of(head, expression)
    vertices = personal.vertices(pose)
    camera = draw_framing(stream(1), vertices[head.region_mask(*ALWAYS_IN_HEAD)], size)
    light = exposed(draw_light(stream(2), room_to_head(camera)), person)
    splats = drive(person.avatar, pose)
    radiance = shade(person, splats, camera, light)
    linear, albedo, matte, labels = render(person, splats, radiance, camera, device=device, maps=maps)
    behind = with_bystanders(_backdrop(stream(3), size), camera, stream(4), person.seed)
    picture = linear + (1 - matte[..., None]) * behind
    return Sample(
        seed=person.seed, shot_seed=shot_seed, image=develop(picture, stream(5), 1.0), matte=matte, labels=labels,
        albedo=albedo, camera=camera, pose=pose, arkit=expression.arkit, gaze=expression.gaze, betas=person.face.betas,
        light=light.sh, sun=(light.direction, light.sun), landmarks=landmarks(head, vertices, camera),
        about=facts(person, expression.name, expression.gaze, camera, light, labels),
    )  # fmt: skip


def exposed(light: Light, person: Person) -> Light:
    """The light as the camera's exposure makes it: longer, but not all the way, for darker people."""
    luminance = float(np.dot(person.face.skin_color, [0.2126, 0.7152, 0.0722]))
    return light.scaled(1.4 * (0.35 / max(luminance, 0.02)) ** 0.4)


def room_to_head(camera: Camera) -> np.ndarray:
    """(3, 3): directions in the room (x right, y up, z toward the camera) to head space."""
    return camera.viewmat[:3, :3].T @ np.diag([1.0, -1.0, -1.0])


def shade(person: Person, splats: Splats, camera: Camera, light: Light) -> np.ndarray:
    """(N, 3) linear radiance of every splat toward the camera, shadows included."""
    s = person.surfels
    normals = shading_normals(person, splats.quats)
    view = camera.position.astype(np.float32) - splats.means
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    got = person.transfer @ light.sh.astype(np.float32)
    open_sky = np.clip(got[:, 0] / np.maximum(got[:, 1], 0.02 * max(float(got[:, 1].max()), 1e-6)), 0, 1)
    sunlit = np.zeros(len(s), np.float32)
    if light.sun.any():
        softness = max(SHADOW_REACH * light.softness, 0.0008)
        everyone = np.arange(len(s))
        sunlit = visibility(*occluders(splats), light.direction, person.ramp, blur=softness, targets=everyone)
    skin = np.isin(s.labels, [LABEL_INDEX[n] for n in ("skin", "lips", "ears", "mouth")])
    return reflected(light, s.albedo, normals, view, s.gloss, open_sky=open_sky, sunlit=sunlit, skin=skin)


def render(
    person: Person, splats: Splats, radiance: np.ndarray, camera: Camera, *, device: str = "cpu", maps: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the camera sees of the person alone.

    Returns:
        (S, S, 3) linear premultiplied, (S, S, 3) linear straight albedo, (S, S) matte, (S, S) uint8 labels; albedo
        and labels without a pixel where ``maps`` is false.
    """
    count = len(LABELS) - 1
    features = np.zeros((len(splats), 6 + count if maps else 3), np.float32)
    features[:, :3] = linear_to_srgb(np.clip(radiance, 0, BRIGHTEST))
    if maps:
        features[:, 3:6] = person.avatar.color
        told = np.flatnonzero(person.surfels.labels)  # clear glass tells nothing
        features[told, 5 + person.surfels.labels[told].astype(int)] = 1
    seen = _rasterize(replace(splats, colors=features), camera, device)
    color, alpha = seen.color, np.clip(seen.alpha, 0, 1)
    straight = color[..., :6] / np.maximum(alpha, FADING)[..., None]
    linear = srgb_to_linear(straight[..., :3]) * alpha[..., None]
    if not maps:
        return linear, np.zeros((0, 0, 3), np.float32), alpha, np.zeros((0, 0), np.uint8)
    albedo = srgb_to_linear(np.clip(straight[..., 3:], 0, 1)) * (alpha > FADING)[..., None]
    empty = (alpha < 0.5) | (color[..., 6:].sum(-1) < GLASS_ALONE)
    labels = np.where(empty, 0, 1 + color[..., 6:].argmax(-1)).astype(np.uint8)
    return linear, albedo, alpha, labels


def landmarks(head: HeadModel, vertices: np.ndarray, camera: Camera) -> np.ndarray:
    """(478, 2) float32 pixels: the embedding's points, then centre and rim of the right iris and of the left."""
    marks = np.einsum("lk,lkc->lc", head.landmark_bary, vertices[head.faces[head.landmark_triangles]])
    points = [camera.project(marks)[:, :2]]
    right, down = camera.viewmat[0, :3], camera.viewmat[1, :3]
    for name in ("eye_right", "eye_left"):
        mine = head.region_mask(name)
        ball, rest = vertices[mine], head_rest(head)[mine]
        middle = (ball.min(0) + ball.max(0)) / 2
        axis = ball[rest[:, 2].argmax()] - middle
        radius = float(np.linalg.norm(axis))
        centre = middle + axis * np.cos(IRIS_RADIANS)
        across = radius * np.sin(IRIS_RADIANS)
        x = _unit(right - axis * (right @ axis) / radius**2) * across
        y = _unit(down - axis * (down @ axis) / radius**2) * across
        ring = [middle + axis, centre + x, centre - y, centre - x, centre + y]
        points.append(camera.project(np.array(ring))[:, :2])
    return np.concatenate(points).astype(np.float32)


def head_rest(head: HeadModel) -> np.ndarray:
    """(V, 3) the mean head's dense vertices, kept with the head."""
    if "synthetic_rest" not in head._cache:
        template = head.template
        head._cache["synthetic_rest"] = template if head.subdivision is None else head.subdivision @ template
    return head._cache["synthetic_rest"]


def _rasterize(splats: Splats, camera: Camera, device: str) -> Any:
    if device == "cpu":
        return rasterize(splats, camera)
    return rasterize(splats, camera, backend="gsplat")


def _backdrop(rng: np.random.Generator, size: int) -> np.ndarray:
    behind = draw_backdrop(rng, size) * np.exp(rng.normal(0, 0.25))
    if rng.random() < 0.35:  # shallow depth of field
        behind = cv2.GaussianBlur(behind, (0, 0), size * rng.uniform(0.003, 0.015))
    return behind.astype(np.float32)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / max(float(np.linalg.norm(v)), 1e-12)
