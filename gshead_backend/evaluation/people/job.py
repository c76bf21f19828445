"""What one run of the scene script is given: a body as arrays, and what the script needs to know about the person."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from .bodies import Body
from .cast import Role

_TONES = np.array(
    [[0.64, 0.43, 0.34], [0.50, 0.31, 0.22], [0.33, 0.185, 0.115], [0.17, 0.085, 0.05], [0.065, 0.032, 0.021]]
)
"""Linear skin albedo for melanin 0, .25, .5, .75, 1."""


def store_body(body: Body, path: Path) -> None:
    """Meshes, strands and eyes of a body as one ``.npz``."""
    arrays: dict[str, Any] = {
        "mesh_names": np.array(json.dumps([m.material for m in body.meshes])),
        "strand_names": np.array(json.dumps([s.material for s in body.strands])), "eyes": body.eyes,
    }  # fmt: skip
    for i, mesh in enumerate(body.meshes):
        arrays |= {f"m{i}_v": mesh.vertices, f"m{i}_f": mesh.faces, f"m{i}_l": mesh.labels}
        if mesh.paint is not None:
            arrays[f"m{i}_p"] = mesh.paint
    for j, s in enumerate(body.strands):
        arrays |= {f"s{j}_p": s.points.astype(np.float32), f"s{j}_r": s.radius, f"s{j}_l": s.label}
    np.savez(path, **arrays)


def facts_of(role: Role, body: Body | None) -> dict[str, Any]:
    """What the scene script needs to know, with colours worked out."""
    at = role.melanin * (len(_TONES) - 1)
    i = min(int(at), len(_TONES) - 2)
    skin = _TONES[i] ** (i + 1 - at) * _TONES[i + 1] ** (at - i)
    natural = skin * [0.85, 0.48, 0.50]
    painted = np.array([0.42, 0.03, 0.05])
    radius = 0.0155
    if body is not None:
        ball = next((m for m in body.meshes if m.material == "eye_left"), None)
        if ball is not None:
            near = ball.vertices[np.unique(ball.faces)]
            radius = float(np.median(np.linalg.norm(near - body.eyes[0, 0], axis=1)))
    rng = np.random.default_rng([role.seed, 3])
    return dataclasses.asdict(role) | {
        "skin": skin.tolist(), "lip": (natural + role.lips * (painted - natural)).tolist(),
        "lip_cover": 0.65 + 0.35 * role.lips, "shadow": {"": 0.0, "stubble": 0.55}.get(role.beard, 0.4),
        "hat_color": rng.uniform(0.03, 0.5, 3).tolist(),
        "collar_color": [0.72, 0.72, 0.71] if role.clothes == (0.012, 0.012, 0.013) else list(role.clothes),
        "iris_angle": float(np.arcsin(np.clip(0.0059 / radius, 0.2, 0.6))),
    }  # fmt: skip
