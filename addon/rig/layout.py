"""What a rig consists of, derived from a head model alone. No bpy here.

The builder makes it, the reader reads it back; both derive the names and coefficients from the avatar's own head,
so a .blend file stores nothing that could disagree with the avatar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gshead_backend.head import ARKIT_NAMES, HeadModel, PersonalHead

# Bone names in FLAME's joint order, and the bone each one hangs on.
JOINT_BONES = ("root", "neck", "jaw", "eye.L", "eye.R")
MECHANISM_BONES = {"jaw": "MCH-jaw", "eye.L": "MCH-eye.L", "eye.R": "MCH-eye.R"}
BONE_PARENTS = {
    "root": None, "neck": "root", "MCH-jaw": "neck", "jaw": "MCH-jaw",
    "MCH-eye.L": "neck", "eye.L": "MCH-eye.L", "MCH-eye.R": "neck", "eye.R": "MCH-eye.R",
}  # fmt: skip
# Bones that stand beside a control and copy it, so that its rotation against the neck can be read by drivers.
COPY_PREFIX = "COP-"
# Pose correctives: the bone whose local rotation R drives nine shape keys by the elements of R - I.
CORRECTIVE_BONES = ("neck", "COP-jaw", "COP-eye.L", "COP-eye.R")
CORRECTIVE_PREFIX = "pose_"
# Elements of R - I, row by row, of the unit quaternion w, x, y, z.
ROTATION_ELEMENTS = (
    "-2*(y*y+z*z)", "2*(x*y-w*z)", "2*(x*z+w*y)", "2*(x*y+w*z)", "-2*(x*x+z*z)", "2*(y*z-w*x)", "2*(x*z-w*y)",
    "2*(y*z+w*x)", "-2*(x*x+y*y)",
)  # fmt: skip
BONE_LENGTH = {"root": 0.06, "neck": 0.09, "jaw": 0.035, "eye.L": 0.025, "eye.R": 0.025}
RAW_PREFIX = "raw_"
RAW_RANGE = 5.0

REGIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Eyes", ("eyeBlink", "eyeSquint", "eyeWide")),
    ("Gaze", ("eyeLook",)),
    ("Brows", ("brow",)),
    ("Cheeks and Nose", ("cheek", "nose")),
    ("Jaw and Tongue", ("jaw", "tongue")),
    ("Mouth", ("mouth",)),
)


@dataclass(frozen=True)
class ShapeKey:
    """One shape key of the head mesh.

    Attributes:
        name: shape key name.
        channel: the armature object's custom property that drives it.
        expression: (E,) what the key at 1 means in the head model's expression coefficients.
        low, high: slider limits.
    """

    name: str
    channel: str
    expression: np.ndarray
    low: float = 0.0
    high: float = 1.0

    def delta(self, person: PersonalHead) -> np.ndarray:
        """(V, 3) float32 head-space offsets at 1, the person's gains included."""
        total = np.zeros_like(person.rest)
        for e in np.flatnonzero(self.expression):
            total += np.float32(self.expression[e]) * person.shape_key(int(e))
        return total


def shape_keys(head: HeadModel) -> list[ShapeKey]:
    """The keys of a rig: the 52 ARKit names first, then the raw coefficients of a head with a basis of its own."""
    keys = [ShapeKey(name, name, head.arkit_expression[i].copy()) for i, name in enumerate(ARKIT_NAMES)]
    if not speaks_arkit(head):
        for e, name in enumerate(head.expression_names):
            row = np.zeros(head.expression_count, np.float32)
            row[e] = 1
            keys.append(ShapeKey(RAW_PREFIX + name, RAW_PREFIX + name, row, -RAW_RANGE, RAW_RANGE))
    return keys


def speaks_arkit(head: HeadModel) -> bool:
    """Whether the head's expressions are the ARKit channels themselves (the default head's are)."""
    same = head.expression_names == ARKIT_NAMES
    return same and np.array_equal(head.arkit_expression, np.eye(len(ARKIT_NAMES), dtype=np.float32))


def bone_parents(head: HeadModel) -> dict[str, str | None]:
    """Every bone of the rig and its parent, parents first."""
    if head.pose_correctives is None:
        return dict(BONE_PARENTS)
    return {**BONE_PARENTS, **{bone: "neck" for bone in CORRECTIVE_BONES if bone.startswith(COPY_PREFIX)}}


def correctives(head: HeadModel) -> list[tuple[str, str, str, np.ndarray]]:
    """(shape key, bone, expression in w x y z, (V, 3) head-space delta) of each pose corrective of the head."""
    if head.pose_correctives is None:
        return []
    out = []
    for k in range(head.pose_correctives.shape[2]):
        bone, element = CORRECTIVE_BONES[k // 9], k % 9
        name = f"{CORRECTIVE_PREFIX}{bone.removeprefix(COPY_PREFIX)}_{element // 3}{element % 3}"
        out.append((name, bone, ROTATION_ELEMENTS[element], head.pose_correctives[:, :, k]))
    return out


def bone_drivers(head: HeadModel) -> dict[tuple[str, int], dict[str, float]]:
    """(mechanism bone, Euler axis) to the radians each ARKit channel adds per unit."""
    tables = {"MCH-jaw": head.arkit_jaw, "MCH-eye.L": head.arkit_eyes[:, 0], "MCH-eye.R": head.arkit_eyes[:, 1]}
    out: dict[tuple[str, int], dict[str, float]] = {}
    for bone, table in tables.items():
        for axis in range(3):
            terms = {ARKIT_NAMES[c]: float(table[c, axis]) for c in np.flatnonzero(table[:, axis])}
            if terms:
                out[bone, axis] = terms
    return out


def gaze_terms(head: HeadModel) -> dict[str, tuple[str, int, float]]:
    """eyeLook channel to (side "L" or "R", axis 0 pitch or 1 yaw, channel per radian): what turns the eye by as much.

    Channels that turn no eye of their own on this head are left out.
    """
    found = {}
    for side, letter in enumerate("LR"):
        for word in ("Up", "Down", "In", "Out"):
            channel = f"eyeLook{word}{('Left', 'Right')[side]}"
            axis = 0 if word in ("Up", "Down") else 1
            turn = float(head.arkit_eyes[ARKIT_NAMES.index(channel), side, axis])
            if abs(turn) > 1e-3:
                found[channel] = (letter, axis, 1 / turn)
    return found


def region_channels(channels: list[str]) -> list[tuple[str, list[str]]]:
    """ARKit channels grouped under region titles for the panel, raw coefficients last under "Advanced"."""
    groups = [(title, [c for c in channels if c.startswith(prefixes)]) for title, prefixes in REGIONS]
    groups.append(("Advanced", [c for c in channels if c.startswith(RAW_PREFIX)]))
    return [(title, names) for title, names in groups if names]


def vertex_colors(avatar_color: np.ndarray, opacity: np.ndarray, corners: np.ndarray, bary: np.ndarray,
                  count: int) -> np.ndarray:  # fmt: skip
    """(count, 3) sRGB colours of the mesh: each vertex averages the splats bound to its triangles.

    Args:
        avatar_color: (N, 3). opacity: (N,) 0..1. corners: (N, 3) vertex indices of each splat's triangle.
        bary: (N, 3).
    """
    weight = bary * opacity[:, None] + 1e-9
    total = np.zeros((count, 3))
    amount = np.zeros(count)
    for k in range(3):
        np.add.at(total, corners[:, k], avatar_color * weight[:, k : k + 1])
        np.add.at(amount, corners[:, k], weight[:, k])
    seen = amount > 1e-6
    fallback = np.median(avatar_color, axis=0) if len(avatar_color) else np.full(3, 0.6)
    return np.where(seen[:, None], total / np.maximum(amount, 1e-6)[:, None], fallback).astype(np.float32)
