"""The landmark embedding of an imported head, from renders of a few of its people with closed and open mouths."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..bake.landmarks import Detector, bake_landmarks
from ..bake.paint import paint
from ..model import HeadModel
from ..pose import HeadPose
from ..skinning import PersonalHead

JAWS = (0.0, 0.12, 0.25)  # radians


def with_landmarks(
    head: HeadModel, detector: Detector, *, expressions: np.ndarray | None = None, allowed: np.ndarray | None = None
) -> HeadModel:
    """The head with its landmarks found.

    Args:
        expressions: (k, E) coefficients whose mouths are open by various amounts; the jaw joint opens when absent.
        allowed: (V,) bool, vertices a landmark may lie on; all but the eyes when absent.
    Raises:
        HeadError: the detector recognised fewer than half of the renders.
    """
    rng = np.random.default_rng(5)
    neutral = HeadPose.neutral(head.expression_count)
    if expressions is None:
        poses = [dataclasses.replace(neutral, jaw_pose=np.array([jaw, 0, 0], np.float32)) for jaw in JAWS]
    else:
        poses = [dataclasses.replace(neutral, expression=e.astype(np.float32)) for e in expressions]
    meshes, colors = [], []
    for varied in (False, True):
        for pose in poses:
            betas = np.zeros(head.identity_count, np.float32)
            betas[:10] = rng.normal(0, 0.7, betas[:10].size) * varied
            person = PersonalHead.create(head, betas)
            meshes.append(person.vertices(pose).astype(np.float64))
            colors.append(paint(head, person.rest, person.joints)[0])
    outer = ~head.region_mask("eye_left", "eye_right") if allowed is None else allowed
    front = outer & (head.template[:, 2] > head.joints[3, 2] - 0.10)
    triangles, bary, sigma = bake_landmarks(
        meshes, head.faces, colors, front[head.faces].all(1), detector, face_height=0.14, views=30, mirror=head.mirror,
        centre=head.joints[3:].mean(0).astype(np.float64) - np.array([0, 0.035, 0]),
    )  # fmt: skip
    return dataclasses.replace(head, landmark_triangles=triangles, landmark_bary=bary, landmark_sigma=sigma)
