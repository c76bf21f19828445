"""Render ``synthetic_portrait.png``: a made-up person on the default head, with everything about the picture known.

Run with the backend's Python: ``python samples/synthetic_portrait.py [FOLDER]``. The ground truth in
``synthetic_portrait.json`` (identity, pose, camera, 468 landmarks) and the matte are exact; the appearance is
procedural: skin, brows, lips, irises, short hair and a jersey as coloured Gaussians, lit by a soft key light and a sky.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from gshead_backend.avatar.types import Splats
from gshead_backend.camera import Camera, orbit_camera
from gshead_backend.head import ARKIT_NAMES, HeadModel, HeadPose, default_head, pose_from_arkit
from gshead_backend.head.skinning import PersonalHead
from gshead_backend.protocol.transfer import linear_to_srgb
from gshead_backend.raster import rasterize

SEED = 11
SPLATS = 480_000
SIZE = 512
EXPRESSION = {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.65, "jawOpen": 0.12, "browInnerUp": 0.2}
HEAD_DEGREES = (1.0, 9.0, 2.0)  # pitch, yaw, roll
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))
EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
# Linear albedo
SKIN, LIP, BLUSH = np.array([0.52, 0.31, 0.215]), np.array([0.40, 0.135, 0.12]), np.array([0.55, 0.20, 0.15])
HAIR, WHITE, IRIS = np.array([0.040, 0.022, 0.013]), np.array([0.62, 0.60, 0.57]), np.array([0.07, 0.11, 0.085])
CLOTH, TOOTH, FLESH = np.array([0.035, 0.085, 0.15]), np.array([0.60, 0.55, 0.46]), np.array([0.20, 0.055, 0.05])
KEY, KEY_COLOR, SKY = np.array([-0.45, 0.5, 0.74]), np.array([0.98, 0.93, 0.86]), np.array([0.36, 0.38, 0.42])
IRIS_RADIANS, PUPIL_RADIANS = 0.40, 0.15


class Points:
    """Points spread over a head's surface.

    Attributes:
        rest: (N, 3) metres on the mean head at rest, where features are defined. posed: (N, 3) on this person now.
        normal: (N, 3) unit, posed. region: (N, R) weights. spacing: metres to the next point.
    """

    def __init__(self, head: HeadModel, rest: np.ndarray, posed: np.ndarray, rng: np.random.Generator) -> None:
        corners = rest[head.faces]
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = np.linalg.norm(cross, axis=1) / 2
        area *= 1 + 3 * np.isin(head.region[head.faces[:, 0]], _regions(head, "eye_left", "eye_right", "lips", "lids"))
        places = (np.arange(SPLATS) + rng.random(SPLATS)) / SPLATS * area.sum()  # stratified: no clumps
        triangle = np.searchsorted(np.cumsum(area), places).clip(0, len(area) - 1)
        root, along = np.sqrt(rng.random(SPLATS)), rng.random(SPLATS)
        bary = np.stack([1 - root, root * (1 - along), root * along], 1)
        self.corners, self.bary = head.faces[triangle], bary
        self.rest, self.posed = self._at(rest), self._at(posed)
        self.normal = _unit(self._at(_vertex_normals(posed, head.faces)))
        self.region = np.einsum("nk,nkr->nr", bary, np.eye(len(head.region_names))[head.region][self.corners])
        self.spacing = float(np.sqrt(area.sum() / SPLATS))

    def _at(self, values: np.ndarray) -> np.ndarray:
        return np.einsum("nk,nkc->nc", self.bary, values[self.corners])


def _regions(head: HeadModel, *names: str) -> list[int]:
    return [head.region_names.index(name) for name in names]


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def _vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    out = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(out, faces[:, k], cross)
    return _unit(out)


def _step(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _noise(points: np.ndarray, wavelength: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) smooth noise, about -1..1, as a sum of random plane waves."""
    waves = rng.normal(size=(3, 24)) / wavelength
    return np.sin(2 * np.pi * points @ waves + rng.uniform(0, 2 * np.pi, 24)).mean(1) * np.sqrt(48.0) / 2


def _to_polygon(points: np.ndarray, polygon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (m) in the frontal plane to a closed polygon, and whether a point lies inside it."""
    p, inside = points[:, :2], np.zeros(len(points), bool)
    best = np.full(len(points), np.inf)
    for a, b in zip(polygon[:, :2], np.roll(polygon[:, :2], -1, 0), strict=True):
        t = np.clip(((p - a) @ (b - a)) / max((b - a) @ (b - a), 1e-12), 0, 1)
        best = np.minimum(best, np.linalg.norm(p - a - t[:, None] * (b - a), axis=1))
        crosses = (a[1] > p[:, 1]) != (b[1] > p[:, 1])
        slope = (b[0] - a[0]) / np.where(b[1] == a[1], 1e-12, b[1] - a[1])
        inside ^= crosses & (p[:, 0] < slope * (p[:, 1] - a[1]) + a[0])
    return best, inside


def _blend(color: np.ndarray, other: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return color + (other - color) * np.clip(weight, 0, 1)[:, None]


def albedo(head: HeadModel, points: Points, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) linear albedo of everything but hair, and (N,) how much of the light reaches into a cavity."""
    rest, front = points.rest, _step(0.03, 0.07, points.rest[:, 2])
    weight = {name: points.region[:, index] for index, name in enumerate(head.region_names)}
    marks = landmarks(head, rest_vertices(head))
    color = (
        np.tile(SKIN, (len(rest), 1)) * (1 + 0.05 * _noise(rest, 0.02, rng) + 0.05 * _noise(rest, 0.003, rng))[:, None]
    )
    for x, y, size in ((0.042, -0.005, 0.022), (-0.042, -0.005, 0.022), (0.0, 0.0, 0.014)):
        spot = np.exp(-((rest[:, 0] - x) ** 2 + (rest[:, 1] - y) ** 2) / (2 * size**2)) * front
        color = _blend(color, BLUSH, 0.30 * spot)
    color = _blend(color, BLUSH, 0.25 * weight["ear"])
    color = _blend(color, LIP * (1 + 0.10 * _noise(rest, 0.003, rng))[:, None], 0.85 * weight["lips"])
    for brow in BROWS:
        distance, inside = _to_polygon(rest, marks[list(brow)])
        cover = np.where(inside, 1.0, 1 - _step(0.0, 0.0025, distance)) * front
        color = _blend(color, HAIR, cover * (0.62 + 0.22 * _noise(rest * (1, 4, 1), 0.006, rng)))
    for eye in EYES:
        distance, _ = _to_polygon(rest, marks[list(eye)])
        lash = (1 - _step(0.0004, 0.0016, distance)) * (weight["lids"] + weight["skin"] > 0.5) * front
        color = _blend(color, HAIR, 0.75 * lash)
    for name, joint in (("eye_left", 3), ("eye_right", 4)):
        ray = _unit(rest - head.joints[joint])
        angle = np.arccos(np.clip(ray[:, 2], -1, 1))
        spokes = 1 + 0.35 * np.sin(17 * np.arctan2(ray[:, 1], ray[:, 0])) * _step(0.15, 0.3, angle)
        iris = IRIS * spokes[:, None] * (1.3 - 0.8 * _step(0.30, IRIS_RADIANS, angle))[:, None]
        eye = np.where((angle < PUPIL_RADIANS)[:, None], 0.004, np.where((angle < IRIS_RADIANS)[:, None], iris, WHITE))
        color = _blend(color, eye, weight[name] > 0.5)
    flesh = weight["mouth_cavity"] + weight["gums"] + weight["tongue"]
    color = _blend(color, FLESH, flesh)
    color = _blend(color, TOOTH, weight["teeth_upper"] + weight["teeth_lower"])
    cloth = _step(-0.142, -0.150, rest[:, 1] - 0.25 * np.abs(rest[:, 0]) + 0.15 * rest[:, 2])
    color = _blend(color, CLOTH * (1 + 0.15 * _noise(rest * (1, 6, 1), 0.01, rng))[:, None], cloth)
    inside = flesh + weight["teeth_upper"] + weight["teeth_lower"] + weight["eye_socket"]
    return color, 1 - 0.82 * _step(0.3, 0.7, inside) * _step(0.092, 0.06, rest[:, 2])


def hair(head: HeadModel, points: Points, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Short hair: which points carry it, (M,) their lift off the skin in metres, and (M, 3) linear albedo."""
    rest = points.rest
    back = np.maximum(0, 0.045 - rest[:, 2])
    temple = 0.013 * np.exp(-(((np.abs(rest[:, 0]) - 0.047) / 0.014) ** 2)) * _step(0.05, 0.08, rest[:, 2])
    line = 0.088 + temple - 1.15 * back - 0.25 * np.abs(rest[:, 0]) + 0.004 * _noise(rest, 0.012, rng)
    outside = points.region[:, _regions(head, "skin", "scalp", "neck")].sum(1)
    above = np.where(outside > 0.6, rest[:, 1] - np.maximum(line, -0.07), -1.0)
    index = np.repeat(np.flatnonzero(_step(-0.004, 0.010, above) > rng.uniform(0.1, 0.95, len(above))), 2)
    lift = rng.uniform(0.02, 1.0, len(index)) * 0.017 * _step(-0.004, 0.045, above[index])
    lift *= 1 + 0.4 * _noise(rest[index], 0.025, rng)
    strand = 1 + 0.55 * _noise(rest[index] * (1, 1, 0.25), 0.004, rng) + 0.8 * lift / 0.016
    return index, np.maximum(lift, 0.0005), HAIR * np.clip(strand, 0.3, 3)[:, None]


def shade(color: np.ndarray, normal: np.ndarray, view: np.ndarray, reach: np.ndarray, gloss: np.ndarray) -> np.ndarray:
    """sRGB-encoded colours under the key light and a sky from above."""
    key = _unit(KEY)
    facing = np.clip((normal @ key + 0.25) / 1.25, 0, 1)  # wrapped: light scatters in skin
    light = reach[:, None] * (facing[:, None] * KEY_COLOR + (0.65 + 0.35 * normal[:, 1:2]) * SKY)
    shine = gloss * reach * np.clip(np.sum(normal * _unit(view + key), 1), 0, 1) ** 36
    return np.clip(linear_to_srgb(color * light + 0.10 * shine[:, None] * KEY_COLOR), 0, 1)


def _quaternions(normal: np.ndarray) -> np.ndarray:
    """(N, 4) wxyz that turn +Z onto the normals."""
    w = 1 + normal[:, 2]
    safe = np.stack([w, -normal[:, 1], normal[:, 0], np.zeros_like(w)], 1)
    return _unit(np.where((w < 1e-6)[:, None], [0.0, 1.0, 0.0, 0.0], safe))


def make_splats(head: HeadModel, vertices: np.ndarray, camera: Camera, rng: np.random.Generator) -> Splats:
    """The person as lit Gaussians."""
    points = Points(head, rest_vertices(head), vertices, rng)
    color, reach = albedo(head, points, rng)
    index, lift, hair_color = hair(head, points, rng)
    position = np.concatenate([points.posed, points.posed[index] + lift[:, None] * points.normal[index]])
    jitter = _unit(points.normal[index] + 0.35 * rng.normal(size=(len(index), 3)))
    normal = np.concatenate([points.normal, jitter])
    wet = points.region[:, _regions(head, "eye_left", "eye_right")].sum(1)
    gloss = np.concatenate([0.5 + 4 * wet, np.full(len(index), 0.35)])
    reach = np.concatenate([reach, 0.55 + 0.45 * lift / 0.016])
    view = _unit(camera.position - position)
    tangent = np.concatenate([np.full(len(color), points.spacing), np.full(len(index), 1.35 * points.spacing)])
    return Splats(
        means=position.astype(np.float32),
        quats=_quaternions(normal).astype(np.float32),
        scales=np.stack([tangent, tangent, 0.2 * tangent], 1).astype(np.float32),
        opacities=np.concatenate([np.full(len(color), 0.97), np.full(len(index), 0.75)]).astype(np.float32),
        colors=shade(np.concatenate([color, hair_color]), normal, view, reach, gloss).astype(np.float32),
    )


def rest_vertices(head: HeadModel) -> np.ndarray:
    """(V, 3) the mean head at rest."""
    mean = PersonalHead.create(head, np.zeros(head.identity_count, np.float32))
    return mean.vertices(HeadPose.neutral(head.expression_count))


def landmarks(head: HeadModel, vertices: np.ndarray) -> np.ndarray:
    """(468, 3) landmark positions on a mesh."""
    return np.einsum("nk,nkc->nc", head.landmark_bary, vertices[head.faces[head.landmark_triangles]])


def person(head: HeadModel) -> tuple[np.ndarray, HeadPose]:
    """The identity and the pose of the picture."""
    rng = np.random.default_rng(SEED)
    betas = (0.8 * rng.normal(size=head.identity_count)).astype(np.float32)
    turn = np.radians(HEAD_DEGREES) / 2
    channels = np.array([EXPRESSION.get(name, 0.0) for name in ARKIT_NAMES], np.float32)
    return betas, pose_from_arkit(head, channels, head_rotation=turn, neck_rotation=turn)


def main(folder: Path) -> None:
    """Write the picture, its matte and its ground truth into ``folder``."""
    head = default_head()
    betas, pose = person(head)
    vertices = PersonalHead.create(head, betas).vertices(pose)
    camera = orbit_camera(-4.0, 2.0, size=(SIZE, SIZE), focal_mm=70.0, distance=0.72, target=(0.004, -0.012, 0.0))
    rendered = rasterize(make_splats(head, vertices, camera, np.random.default_rng(SEED + 1)), camera)
    rows = np.linspace(0.62, 0.40, SIZE)[:, None, None]
    backdrop = rows * np.array([0.86, 0.93, 1.0])
    picture = rendered.color + (1 - rendered.alpha[..., None]) * backdrop
    Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)).save(folder / "synthetic_portrait.png")
    matte = Image.fromarray((np.clip(rendered.alpha, 0, 1) * 255 + 0.5).astype(np.uint8))
    matte.save(folder / "synthetic_portrait_matte.png")
    truth = {
        "head": head.name,
        "betas": [round(float(x), 5) for x in betas],
        "pose": [round(float(x), 6) for x in pose.to_vector()],
        "arkit": EXPRESSION,
        "camera": {
            "width": SIZE,
            "height": SIZE,
            "K": camera.K.round(4).tolist(),
            "viewmat": camera.viewmat.round(6).tolist(),
        },
        "landmarks": camera.project(landmarks(head, vertices))[:, :2].round(2).tolist(),
    }
    (folder / "synthetic_portrait.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
