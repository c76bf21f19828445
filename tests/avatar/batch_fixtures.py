"""Poses and comparisons shared by the tests of batched driving, on the CPU, in Triton's interpreter and on CUDA."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from splat_fixtures import random_avatar

from gshead_backend.avatar.drive import drive, drive_vertices
from gshead_backend.avatar.types import Avatar, Splats
from gshead_backend.head import HeadModel, HeadPose

NAMES = ("means", "quats", "scales", "opacities", "colors")


def poses_of(head: HeadModel) -> list[HeadPose]:
    """At rest, three in which everything moves, and one with a jaw opened further than any mouth goes."""
    out = [HeadPose.neutral(head.expression_count)]
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        expression = rng.uniform(0, 0.6, head.expression_count) * (rng.random(head.expression_count) < 0.2)
        out.append(
            HeadPose(
                expression, rng.normal(0, 0.3, 3), rng.normal(0, 0.2, 3), np.array([0.25, 0, 0]),
                rng.normal(0, 0.2, 6), rng.normal(0, 0.05, 3),
            )
        )  # fmt: skip
    return [*out, replace(out[-1], jaw_pose=np.array([1.4, 0.2, -0.1]))]


def dense_with_correctives(head: HeadModel) -> HeadModel:
    """The head as FLAME's are: no subdivision, and pose correctives."""
    assert head.subdivision is not None
    rest = head.subdivision @ head.template
    return replace(
        head, template=rest, subdivision=None, expression_dirs=head.subdivision @ head.expression_dirs,
        identity_dirs=head.subdivision @ head.identity_dirs,
        pose_correctives=(np.random.default_rng(0).standard_normal((*rest.shape, 36)) * 1e-3).astype(np.float32),
    )  # fmt: skip


def avatars_of(head: HeadModel, count: int = 700) -> dict[str, Avatar]:
    """Still, with a residual (one of whose splats has a rotation of length zero), and on a head like FLAME's."""
    moving = random_avatar(head, count, dynamic=True)
    assert moving.dynamic is not None
    zero = moving.rotation.copy()
    still = np.setdiff1d(np.arange(count), moving.dynamic.index)[0]
    zero[still] = 0
    return {
        "still": random_avatar(head, count),
        "dynamic": replace(moving, rotation=zero),
        "correctives": random_avatar(dense_with_correctives(head), count),
    }


def collapsed_meshes(avatar: Avatar) -> list[np.ndarray]:
    """Meshes with triangles that have no area: a point, a plane, a line, and all corners of every tenth face in one."""
    v = avatar.personal.vertices(HeadPose.neutral(avatar.head.expression_count))
    pinched = v.copy()
    pinched[avatar.head.faces[::10, 1]] = pinched[avatar.head.faces[::10, 0]]
    return [(m * s).astype(np.float32) for m, s in ((v, 0), (v, [0, 1, 1]), (v, [0, 0, 1]), (pinched, 1))]


def worst(got: Splats, avatar: Avatar, poses: list[HeadPose]) -> dict[str, float]:
    """Largest differences of B frames from numpy's ``drive``; for quaternions 1 - |cosine|."""
    return _worst(got, [drive(avatar, pose) for pose in poses])


def worst_on_meshes(got: Splats, avatar: Avatar, meshes: list[np.ndarray], pose: HeadPose) -> dict[str, float]:
    """The same for ``drive_vertices``; only where the triangle's frame is not made of rounding errors.

    Elsewhere numbers are only asked to be finite. Where a triangle has no area at all, the frame is a fixed one.
    """
    firm = []
    for mesh in meshes:
        corners = mesh.astype(np.float64)[avatar.head.faces[avatar.triangle]]
        a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        area, edge, other = (np.linalg.norm(x, axis=1) for x in (np.cross(a, b), a, b))
        products = a[:, :, None] * b[:, None, :] * ~np.eye(3, dtype=bool)  # what the normal is made of
        firm.append(~products.any((1, 2)) | (area > 5e-3 * edge * other))
        assert firm[-1].mean() > 0.5
    return _worst(got, [drive_vertices(avatar, mesh, pose) for mesh in meshes], firm)


def _worst(got: Splats, wanted: list[Splats], firm: list[np.ndarray] | None = None) -> dict[str, float]:
    out = dict.fromkeys(NAMES, 0.0)
    for i, want in enumerate(wanted):
        rows = np.ones(len(want), bool) if firm is None else firm[i]
        for name in NAMES:
            a, b = np.asarray(getattr(got, name)[i].cpu()), getattr(want, name)
            if not np.isfinite(a).all():
                out[name] = float("inf")
            elif name == "quats":
                out[name] = max(out[name], float((1 - np.abs((a * b).sum(1)))[rows].max()))
            else:
                out[name] = max(out[name], float(np.abs(a - b)[rows].max()))
    return out
