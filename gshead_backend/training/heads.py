"""Training material of learned heads: a photograph of a synthetic person, as the real pipeline reads it, and what they
look like from other sides and with other expressions.

The photograph goes through the same detector, parser and head fit as a user's, so its errors are the real ones. The
true pictures are then seen through cameras that were moved into the fitted head's space by the one similarity that lays
the true face on the fitted one. Chunks are made, found again and split by seeds as ``crops`` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.numpy

from ..avatar.drive import drive
from ..avatar.types import Avatar
from ..camera import Camera, look_at
from ..errors import GsheadError
from ..files import write_atomic
from ..head.catalog import load_head
from ..head.model import HeadModel
from ..head.pose import HeadPose
from ..head.skinning import PersonalHead
from ..methods.common.observe import LEFTOVER, UNSEEN, Observation, base_avatar, observe_portrait
from ..portrait.fit import fit_portrait
from ..portrait.types import PortraitFit
from ..protocol.transfer import linear_to_srgb
from .synthetic.backdrop import draw_backdrop
from .synthetic.camera_noise import develop
from .synthetic.expression import Expression, draw_expression, pose_of, with_gaze
from .synthetic.framing import draw_framing
from .synthetic.light import Light, draw_light
from .synthetic.people import Person, make_person
from .synthetic.photograph import ALWAYS_IN_HEAD, exposed, render, room_to_head, shade
from .synthetic.sample import SHOTS, Drawing

CHUNK = 4
VIEW = 192
"""Pixels of the true pictures."""
SIDES = (
    (-80, -45),
    (-45, -10),
    (10, 45),
    (45, 80),
)  # degrees of yaw, one picture each, with the photograph's expression
BEHIND = ((100, 180),)
OTHER_EXPRESSIONS = 2
VIEWS = 1 + len(SIDES) + len(BEHIND) + OTHER_EXPRESSIONS
GROUPS = ("source", "side", "far side", "behind", "expression")
"""What a picture shows beside the photograph."""
GROUP_OF_VIEW = np.array(
    [0, *(1 if max(map(abs, side)) <= 45 else 2 for side in SIDES), *[3] * len(BEHIND), *[4] * OTHER_EXPRESSIONS],
    np.uint8,
)
"""(VIEWS,) index into ``GROUPS`` of a synthetic person's views; samples of footage bring their own ("group")."""
_PITCH, _SPREAD = 22.0, 60.0
_MISSED = 0.02  # metres between true and fitted face after alignment, beyond which the detector saw something else


@dataclass(frozen=True)
class Truth:
    """What a head looks like, in the fitted head's space.

    Attributes:
        cameras, poses: of every view; poses are of the fitted head. Views 0 to 5 show the photograph's expression: from
            where the photographer stood, four sides, one from behind; the others show other expressions.
        color: (K, S, S, 3) uint8 straight sRGB. matte, labels: (K, S, S) uint8. albedo: (K, S, S, 3) uint8 sRGB.
        light: (9, 3) SH radiance in head space.
    """

    cameras: list[Camera]
    poses: list[HeadPose]
    color: np.ndarray
    matte: np.ndarray
    labels: np.ndarray
    albedo: np.ndarray
    light: np.ndarray


def head_sample(seed: int, how: Drawing) -> dict[str, np.ndarray] | None:
    """The arrays of one sample; None where the pipeline does not find the face. See ``arrays``."""
    head = load_head(how.head or "default")
    person = _person(seed // SHOTS, head, how)
    shot = seed % SHOTS

    def stream(part: int) -> np.random.Generator:
        return np.random.default_rng((person.seed, shot, part))

    expression = with_gaze(head, draw_expression(stream(0)))
    vertices = person.avatar.personal.vertices(pose_of(head, expression))
    camera = draw_framing(stream(1), vertices[head.region_mask(*ALWAYS_IN_HEAD)], how.size)
    gain = np.exp(stream(11).normal(0, [0.18, 0.05, 0.05]))
    gain = gain[0] * np.array([gain[1], 1.0, gain[2]])  # one exposure and white balance for the photo and the truth
    light = exposed(draw_light(stream(2), room_to_head(camera)), person)
    photo = _photo(person, expression, camera, light, gain, stream, how)
    try:
        fit = fit_portrait(photo, head)
        seen = observe_portrait(fit, head)
    except GsheadError:
        return None
    similarity = face_similarity(person.avatar.personal, fit, head)
    if similarity is None:
        return None
    truth = _truth(person, expression, camera, light, gain, fit, similarity, stream(12), how.device)
    return arrays(seed, seen, truth, person)


def _person(seed: int, head: HeadModel, how: Drawing) -> Person:
    from .synthetic.hair_meshes import hair_mesh_files

    return make_person(seed, head, hair_meshes=hair_mesh_files(how.hair_meshes) if how.hair_meshes else ())


def _photo(
    person: Person, expression: Expression, camera: Camera, light: Light, gain: np.ndarray, stream: Any, how: Drawing
) -> bytes:  # fmt: skip
    splats = drive(person.avatar, pose_of(person.head, expression))
    linear, _, matte, _ = render(person, splats, shade(person, splats, camera, light), camera, device=how.device)
    behind = draw_backdrop(stream(3), how.size).astype(np.float32)
    rng = stream(5)
    picture = (linear + (1 - matte[..., None]) * behind) * gain
    blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), float(rng.uniform(0.3, 0.9)))
    noisy = blurred + rng.normal(size=blurred.shape) * np.sqrt(np.maximum(blurred, 0)) * 0.02 * rng.random()
    image = develop(noisy, rng, 0.0)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(80, 98))]
    return cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), quality)[1].tobytes()


def face_similarity(
    true: PersonalHead, fit: PortraitFit, head: HeadModel
) -> tuple[float, np.ndarray, np.ndarray] | None:
    """Scale, rotation (3, 3) and shift (3,) that lay the true neutral head on the fitted one (Umeyama 1991).

    None when they are too different for the detector to have seen this face.
    """
    mine = head.region_mask(*ALWAYS_IN_HEAD)
    a = true.rest[mine].astype(np.float64)
    b = PersonalHead.create(head, fit.betas, fit.vertex_offsets).rest[mine].astype(np.float64)
    ma, mb = a.mean(0), b.mean(0)
    U, D, Vt = np.linalg.svd((b - mb).T @ (a - ma) / len(a))
    S = np.array([1, 1, np.sign(np.linalg.det(U @ Vt))])
    R = U * S @ Vt
    scale = float((D * S).sum() / ((a - ma) ** 2).sum(1).mean())
    shift = mb - scale * R @ ma
    error = np.linalg.norm(scale * a @ R.T + shift - b, axis=1).mean()
    return None if error > _MISSED or not 0.5 < scale < 2 else (scale, R, shift)


def moved_camera(camera: Camera, similarity: tuple[float, np.ndarray, np.ndarray]) -> Camera:
    """The camera that sees the fitted head's space as ``camera`` sees the true one."""
    scale, R, shift = similarity
    viewmat = np.eye(4)
    viewmat[:3, :3] = camera.viewmat[:3, :3] @ R.T
    viewmat[:3, 3] = scale * camera.viewmat[:3, 3] - viewmat[:3, :3] @ shift
    return replace(camera, viewmat=viewmat)


def _truth(
    person: Person, expression: Expression, source: Camera, light: Light, gain: np.ndarray, fit: PortraitFit,
    similarity: tuple[float, np.ndarray, np.ndarray], rng: np.random.Generator, device: str,
) -> Truth:  # fmt: skip
    head = person.head
    own = pose_of(head, expression)
    others = [with_gaze(head, draw_expression(rng)) for _ in range(OTHER_EXPRESSIONS)]
    points = person.avatar.personal.rest[head.region_mask(*ALWAYS_IN_HEAD)]
    toward = source.position - points.mean(0)
    yaws = [np.degrees(np.arctan2(toward[0], toward[2]))]
    pitches = [np.degrees(np.arctan2(toward[1], np.hypot(toward[0], toward[2])))]
    yaws += [rng.uniform(*side) for side in SIDES]
    yaws += [rng.choice([-1, 1]) * rng.uniform(*side) for side in BEHIND]
    yaws += [rng.uniform(-_SPREAD, _SPREAD) for _ in others]
    pitches += [rng.uniform(-_PITCH, _PITCH) for _ in range(VIEWS - 1)]
    cameras = [_camera(points, yaw, pitch, rng) for yaw, pitch in zip(yaws, pitches, strict=True)]
    driven = [own] * (VIEWS - len(others)) + [pose_of(head, e) for e in others]
    shown = [fit.pose] * (VIEWS - len(others)) + driven[-len(others) :]
    layers: list[list[np.ndarray]] = [[], [], [], []]
    splats, last = drive(person.avatar, own), own
    radiance = shade(person, splats, source, light) * gain  # as seen from there: RGB splats know no moving highlights
    for camera, pose in zip(cameras, driven, strict=True):
        if pose is not last:
            splats, last = drive(person.avatar, pose), pose
            radiance = shade(person, splats, source, light) * gain
        linear, albedo, matte, labels = render(person, splats, radiance, camera, device=device)
        straight = np.clip(linear_to_srgb(np.clip(linear / np.maximum(matte, 0.03)[..., None], 0, 1)), 0, 1)
        for layer, values in zip(layers, (straight, matte, linear_to_srgb(np.clip(albedo, 0, 1))), strict=False):
            layer.append((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))
        layers[3].append(labels)
    color, matte, albedo, labels = (np.stack(layer) for layer in layers)
    cameras = [moved_camera(c, similarity) for c in cameras]
    turned = light.scaled(float(gain.mean())).sh
    return Truth(cameras, shown, color, matte, labels, albedo, turned.astype(np.float32))


def _camera(points: np.ndarray, yaw: float, pitch: float, rng: np.random.Generator) -> Camera:
    low, high = points.min(0), points.max(0)
    middle, height = (low + high) / 2, float(high[1] - low[1])
    focal = VIEW * rng.uniform(1.8, 3.0)
    distance = focal * height / (rng.uniform(0.52, 0.62) * VIEW)
    a, b = np.radians(yaw), np.radians(pitch)
    eye = middle + distance * np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
    K = np.array([[focal, 0, VIEW / 2], [0, focal, VIEW / 2], [0, 0, 1.0]])
    return Camera(VIEW, VIEW, K, look_at(eye, middle))


def arrays(seed: int, seen: Observation, truth: Truth, person: Person) -> dict[str, np.ndarray]:
    """A sample as it is stored: what ``observed_arrays`` says, ``uv_*``, the true colour and class of the outermost
    splat at each texel, the rest ``Truth``."""
    uv, at = person.uv_maps(seen.lattice.size), (seen.lattice.row, seen.lattice.column)
    return {
        **observed_arrays(seed, seen),
        "K": np.stack([c.K for c in truth.cameras]).astype(np.float32),
        "viewmat": np.stack([c.viewmat for c in truth.cameras]).astype(np.float32),
        "pose": np.stack([p.to_vector() for p in truth.poses]), "color": truth.color, "matte": truth.matte,
        "labels": truth.labels, "albedo": truth.albedo, "light": truth.light,
        "uv_color": (np.clip(linear_to_srgb(uv["color"][at]), 0, 1) * 255 + 0.5).astype(np.uint8),
        "uv_label": uv["label"][at],
    }  # fmt: skip


def observed_arrays(seed: int, seen: Observation) -> dict[str, np.ndarray]:
    """What does not need the truth: ``observed_*`` are the network's inputs, ``base_*`` ``uvfit``'s splats (M on
    texels, then ``LEFTOVER``)."""
    base, m = base_avatar(seen), len(seen.lattice)
    beyond = _some(len(base) - m, LEFTOVER)
    rows = np.concatenate([np.arange(m), m + beyond, np.zeros(LEFTOVER - beyond.size, int)])
    unseen = np.arange(len(rows)) >= m + beyond.size
    grown = np.where(np.arange(len(rows)) >= m, 0.5 * np.log(max(len(base) - m, 1) / max(beyond.size, 1)), 0)
    fit = seen.built.scene.fit
    half = lambda a: np.asarray(a, np.float16)  # noqa: E731
    return {
        "seed": np.array(seed, np.int64),
        "observed_channels": half(seen.channels), "observed_picture": half(seen.picture),
        "observed_facts": seen.facts, "betas": fit.betas.astype(np.float32), "vertex_offsets": half(fit.vertex_offsets),
        "base_triangle": base.triangle[rows].astype(np.int32), "base_bary": base.bary[rows].astype(np.float32),
        "base_offset": base.offset[rows].astype(np.float32), "base_rotation": half(base.rotation[rows]),
        "base_log_scale": half(base.log_scale[rows] + grown[:, None]), "base_color": half(base.color[rows]),
        "base_logit": half(np.where(unseen, UNSEEN, base.opacity_logit[rows])),
        "confidence": half(seen.built.cloud.confidence[:m]),
    }  # fmt: skip


def _some(count: int, limit: int) -> np.ndarray:
    """Indices of at most ``limit`` of ``count``, evenly."""
    return np.arange(count) if count <= limit else np.linspace(0, count - 1, limit).astype(int)


def make_head_chunk(source: str, seeds: Sequence[int], path: str, how: Drawing | None = None) -> tuple[int, int]:
    """Write one chunk; (kept, missed) samples. See ``crops.make_chunk``; ``source`` is not used."""
    del source
    made = [head_sample(seed, how or Drawing()) for seed in seeds]
    kept = [item for item in made if item is not None]
    stacked = {key: np.ascontiguousarray(np.stack([item[key] for item in kept])) for key in kept[0]} if kept else {}
    write_atomic(Path(path), safetensors.numpy.save(stacked or {"seed": np.zeros(0, np.int64)}))
    return len(kept), len(seeds) - len(kept)


def avatar_of(sample: dict[str, np.ndarray], head: HeadModel) -> Avatar:
    """A stored sample's ``uvfit`` splats."""
    from ..avatar.types import REGIONS

    n = sample["base_triangle"].shape[0]
    single = {k: np.ascontiguousarray(sample[k], np.float32) for k in sample if k.startswith("base_")}
    return Avatar(
        head=head, betas=np.array(sample["betas"]), vertex_offsets=sample["vertex_offsets"].astype(np.float32),
        triangle=np.array(sample["base_triangle"]), bary=single["base_bary"],
        region=np.full(n, REGIONS.index("skin"), np.uint8), offset=single["base_offset"],
        rotation=single["base_rotation"], log_scale=single["base_log_scale"], opacity_logit=single["base_logit"],
        color=single["base_color"], name="base", method="uvfit",
    )  # fmt: skip


def camera_of(sample: dict[str, np.ndarray], view: int) -> Camera:
    """The camera of a stored view."""
    size = sample["color"].shape[1]
    return Camera(size, size, sample["K"][view], sample["viewmat"][view])
