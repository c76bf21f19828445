"""Contact sheets of a head, to look at after a bake: numbers do not see a crease."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ...camera import orbit_camera
from ..arkit import ARKIT_INDEX, ARKIT_NAMES
from ..model import HeadModel
from ..skinning import PersonalHead, pose_from_arkit
from .paint import paint
from .render import shade


@dataclass(frozen=True)
class Shot:
    """One picture. channels: ARKit values, a name without side sets both. betas: identity. yaw, pitch: degrees."""

    label: str
    channels: dict[str, float] = field(default_factory=dict)
    betas: np.ndarray | None = None
    yaw: float = 0.0
    pitch: float = 0.0


def draw(head: HeadModel, shot: Shot, size: int, distance: float, target: tuple[float, float, float]) -> Image.Image:
    """One labelled picture."""
    betas = np.zeros(head.identity_count) if shot.betas is None else shot.betas
    person = PersonalHead.create(head, betas)
    values = np.zeros(52)
    for name, value in shot.channels.items():
        for key in [name] if name in ARKIT_INDEX else [name + "Left", name + "Right"]:
            values[ARKIT_INDEX[key]] = value
    vertices = person.vertices(pose_from_arkit(head, values)).astype(np.float64)
    color, gloss = paint(head, person.rest, person.joints)
    camera = orbit_camera(shot.yaw, shot.pitch, size=(size, size), distance=distance, target=target)
    image = Image.fromarray(shade(vertices, head.faces, color, camera, gloss=gloss))
    ImageDraw.Draw(image).text((5, 4), shot.label, fill=(120, 20, 20))
    return image


def sheet(
    head: HeadModel, shots: list[Shot], *, columns: int, size: int = 240, distance: float = 0.95,
    target: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Image.Image:  # fmt: skip
    """Pictures in a grid."""
    rows = -(-len(shots) // columns)
    out = Image.new("RGB", (columns * size, rows * size), "white")
    for k, shot in enumerate(shots):
        out.paste(draw(head, shot, size, distance, target), (k % columns * size, k // columns * size))
    return out


PAIRS: tuple[tuple[str, dict[str, float]], ...] = (
    ("neutral", {}),
    ("jawOpen + mouthPucker", {"jawOpen": 1, "mouthPucker": 1}),
    ("jawOpen + mouthSmile", {"jawOpen": 1, "mouthSmile": 1}),
    ("jawOpen + mouthFunnel", {"jawOpen": 1, "mouthFunnel": 1}),
    ("jawOpen + mouthClose", {"jawOpen": 1, "mouthClose": 1}),
    ("jawOpen .5 + tongueOut", {"jawOpen": 0.5, "tongueOut": 1}),
    ("jawOpen + jawLeft", {"jawOpen": 1, "jawLeft": 1}),
    ("smile + upper + lower lip", {"mouthSmile": 1, "mouthUpperUp": 1, "mouthLowerDown": 1}),
    ("smile + cheekSquint", {"mouthSmile": 1, "cheekSquint": 1}),
    ("eyeBlink + eyeSquint", {"eyeBlink": 1, "eyeSquint": 1}),
    ("eyeBlink + eyeLookDown", {"eyeBlink": 1, "eyeLookDown": 1}),
    ("eyeBlink .5", {"eyeBlink": 0.5}),
    ("browDown + noseSneer", {"browDown": 1, "noseSneer": 1}),
    ("eyeWide + browInnerUp", {"eyeWide": 1, "browInnerUp": 1, "browOuterUp": 1}),
    ("mouthFrown + mouthPress", {"mouthFrown": 1, "mouthPress": 1}),
    ("cheekPuff + mouthPucker", {"cheekPuff": 1, "mouthPucker": 1}),
)
"""Channels that are hardest on a face together."""


def write_sheets(head: HeadModel, folder: Path) -> None:
    """``head-identities.jpg``, ``head-components.jpg``, ``head-expressions.jpg`` and ``head-pairs.jpg``."""
    rng = np.random.default_rng(5)
    people = [Shot(f"mean {yaw}°", yaw=yaw) for yaw in (0, 30, 60, 90, 180)] + [Shot("mean, from below", pitch=-30)]
    for k in range(6):
        betas = rng.normal(size=head.identity_count)
        people += [Shot(f"random {k}", betas=betas, yaw=yaw) for yaw in (0, 50)]
    modes = []
    for mode in range(min(10, head.identity_count)):
        for sign in (-2, 2):
            betas = np.zeros(head.identity_count)
            betas[mode] = sign
            modes += [Shot(f"component {mode}, {sign:+d} sd", betas=betas, yaw=yaw) for yaw in (0, 50)]
    shots = []
    for name in ARKIT_NAMES:
        both = name.removesuffix("Left") + "Right" in ARKIT_NAMES and name not in ("jawLeft", "mouthLeft")
        if name.endswith("Right") and name not in ("jawRight", "mouthRight"):
            continue  # shown together with its left half
        key = name.removesuffix("Left") if both else name
        shots.append(Shot(key, {"jawOpen": 1.0, key: 1.0} if key == "mouthClose" else {key: 1.0}, yaw=15))
    pairs = [Shot(label, channels, yaw=yaw) for label, channels in PAIRS for yaw in (0, 50)]
    near = (0.0, -0.01, 0.03)
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in (
        ("identities", sheet(head, people, columns=6)),
        ("components", sheet(head, modes, columns=8, size=180)),
        ("expressions", sheet(head, shots, columns=8, size=190, distance=0.55, target=(0.0, -0.005, 0.03))),
        ("pairs", sheet(head, pairs, columns=8, size=190, distance=0.5, target=near)),
    ):
        image.save(folder / f"head-{name}.jpg", quality=85, subsampling=0, optimize=True)
