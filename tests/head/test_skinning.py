"""Skinning: fast numpy against a slow twin, torch against numpy, and smplx as a third opinion."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
import torch

from gshead_backend.errors import ArgumentError
from gshead_backend.head import (
    ARKIT_INDEX,
    ARKIT_NAMES,
    HeadModel,
    HeadPose,
    PersonalHead,
    default_head,
    joint_transforms,
    pose_from_arkit,
)
from gshead_backend.head.rotation import axis_angle_to_matrix
from gshead_backend.head.skinning_torch import TorchHead


def random_pose(head: HeadModel, rng: np.random.Generator) -> HeadPose:
    r = lambda n, s: rng.normal(0, s, n)  # noqa: E731
    return HeadPose(rng.uniform(0, 1, head.expression_count), r(3, 0.4), r(3, 0.3), r(3, 0.2), r(6, 0.2), r(3, 0.1))


def with_correctives(head: HeadModel) -> HeadModel:
    """The head with FLAME-like pose correctives."""
    rng = np.random.default_rng(9)
    return dataclasses.replace(
        head, pose_correctives=rng.normal(0, 1e-3, (head.vertex_count, 3, 36)).astype(np.float32)
    )


def slow_vertices(person: PersonalHead, pose: HeadPose) -> np.ndarray:
    """The definition, one step after the other, in float64."""
    head = person.model
    control = head.expression_dirs.astype(np.float64) @ (pose.expression * person.gain)
    shaped = person.rest + (control if head.subdivision is None else head.subdivision @ control)
    if head.pose_correctives is not None:
        feature = (axis_angle_to_matrix(pose.rotations[1:]) - np.eye(3)).reshape(-1)
        shaped = shaped + head.pose_correctives @ feature
    A = joint_transforms(axis_angle_to_matrix(pose.rotations), person.joints)
    blended = np.einsum("vj,jab->vab", head.skin_weights.astype(np.float64), A)
    return np.einsum("vab,vb->va", blended[:, :, :3], shaped) + blended[:, :, 3] + pose.translation


@pytest.fixture(params=["tiny", "tiny with correctives", "default"])
def head(request: pytest.FixtureRequest, tiny_head: HeadModel) -> HeadModel:
    if request.param == "default":
        return default_head()
    return tiny_head if request.param == "tiny" else with_correctives(tiny_head)


def test_fast_equals_slow_and_torch(head: HeadModel):
    rng = np.random.default_rng(3)
    twin = TorchHead(head, dtype=torch.float64)
    for k in range(6):
        betas = rng.normal(size=head.identity_count)
        offsets = rng.normal(0, 1e-3, (head.vertex_count, 3)).astype(np.float32)
        person = PersonalHead.create(head, betas, offsets)
        pose = random_pose(head, rng) if k else HeadPose.neutral(head.expression_count)
        fast = person.vertices(pose)
        assert fast.dtype == np.float32
        np.testing.assert_allclose(fast, slow_vertices(person, pose), atol=2e-6)
        tensors = (torch.from_numpy(np.asarray(a, np.float64)) for a in (betas, pose.expression, pose.rotations))
        twin_vertices = twin.vertices(
            *tensors,
            torch.from_numpy(pose.translation.astype(np.float64)),
            torch.from_numpy(offsets.astype(np.float64)),
        )
        np.testing.assert_allclose(fast, twin_vertices.numpy(), atol=2e-6)


def test_torch_takes_batches(tiny_head: HeadModel):
    rng = np.random.default_rng(4)
    twin = TorchHead(tiny_head)
    poses = [random_pose(tiny_head, rng) for _ in range(3)]
    betas = torch.from_numpy(rng.normal(size=(3, tiny_head.identity_count)).astype(np.float32))
    stack = lambda key: torch.from_numpy(np.stack([getattr(p, key) for p in poses]))  # noqa: E731
    together = twin.vertices(betas, stack("expression"), stack("rotations"), stack("translation"))
    for k, pose in enumerate(poses):
        np.testing.assert_allclose(together[k], twin.pose(betas[k], pose), atol=1e-6)


def test_torch_gradients_are_right_also_at_rest(tiny_head: HeadModel):
    twin = TorchHead(with_correctives(tiny_head), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    pick = torch.randperm(tiny_head.vertex_count, generator=generator)[:5]
    for scale in (0.0, 0.3):
        args = [
            (scale * torch.randn(n, generator=generator, dtype=torch.float64)).requires_grad_()
            for n in (tiny_head.identity_count, 52, 15)
        ]
        assert torch.autograd.gradcheck(lambda b, e, r: twin.vertices(b, e, r.reshape(5, 3))[pick], args)


@pytest.mark.filterwarnings("ignore")  # smplx's own
def test_smplx_agrees(tiny_head: HeadModel):
    from smplx.lbs import lbs

    head = with_correctives(tiny_head)
    rng = np.random.default_rng(5)
    betas, pose = rng.normal(size=head.identity_count), random_pose(head, rng)
    person = PersonalHead.create(head, betas)
    dense = lambda dirs: np.stack([head.subdivision @ dirs[:, :, k] for k in range(dirs.shape[2])], -1)  # noqa: E731
    template = head.subdivision @ head.template
    shapes = np.concatenate([dense(head.identity_dirs), dense(head.expression_dirs) * person.gain], 2)
    # smplx regresses joints from shaped vertices; hand it a regressor that returns ours whatever the vertices are.
    vertices = (template + shapes[:, :, : head.identity_count] @ betas).astype(np.float64)
    regressor = np.linalg.lstsq(
        np.c_[vertices, np.ones(len(vertices))].T, np.c_[person.joints, np.ones(5)].T, rcond=None
    )[0].T
    t = lambda a: torch.as_tensor(np.asarray(a, np.float64))  # noqa: E731
    coefficients = np.concatenate([betas, np.zeros(head.expression_count)])
    rest = t(template + shapes @ np.concatenate([np.zeros_like(betas), pose.expression]))
    ours = person.vertices(pose)
    verts, joints = lbs(
        t(coefficients)[None], t(pose.rotations.reshape(1, 15)), rest[None], t(shapes),
        t(head.pose_correctives.reshape(-1, 36).T), t(regressor), torch.tensor([-1, 0, 1, 1, 1]), t(head.skin_weights),
    )  # fmt: skip
    del joints
    # The regressor saw the expression too; undo its effect by comparing with a person whose joints are smplx's.
    seen = regressor @ (vertices + shapes[:, :, head.identity_count :] @ pose.expression)
    theirs = dataclasses.replace(person, joints=seen.astype(np.float32))
    np.testing.assert_allclose(theirs.vertices(pose), verts[0].numpy() + pose.translation, atol=3e-6)
    assert np.abs(ours - theirs.vertices(pose)).max() < 0.05


def test_arkit_channels_turn_joints():
    head = default_head()
    person = PersonalHead.create(head, np.zeros(head.identity_count))
    channels = np.zeros(52)
    channels[ARKIT_INDEX["jawOpen"]] = 1
    opened = person.vertices(pose_from_arkit(head, channels))
    lower, upper = head.region_mask("teeth_lower"), head.region_mask("teeth_upper")
    assert (opened - person.rest)[lower, 1].mean() < -0.02
    assert np.abs((opened - person.rest)[upper]).max() < 1e-6
    for name, eye, axis, sign in (
        ("eyeLookUpLeft", "eye_left", 1, 1), ("eyeLookDownRight", "eye_right", 1, -1),
        ("eyeLookInLeft", "eye_left", 0, -1), ("eyeLookOutLeft", "eye_left", 0, 1),
        ("eyeLookInRight", "eye_right", 0, 1), ("eyeLookOutRight", "eye_right", 0, -1),
    ):  # fmt: skip
        channels = np.zeros(52)
        channels[ARKIT_INDEX[name]] = 1
        moved = person.vertices(pose_from_arkit(head, channels))
        ball = head.region_mask(eye)
        front = np.flatnonzero(ball)[person.rest[ball, 2].argmax()]
        assert sign * (moved - person.rest)[front, axis] > 0.003, name


def test_user_eye_rotation_comes_on_top_of_the_channels(tiny_head: HeadModel):
    channels = np.zeros(52)
    channels[ARKIT_INDEX["eyeLookUpLeft"]] = 1
    extra = np.array([[0, 0.3, 0], [0, 0, 0]])
    pose = pose_from_arkit(tiny_head, channels, eye_rotation=extra)
    driven = pose_from_arkit(tiny_head, channels)
    expected = axis_angle_to_matrix(driven.eye_pose[:3]) @ axis_angle_to_matrix(extra[0])
    np.testing.assert_allclose(axis_angle_to_matrix(pose.eye_pose[:3]), expected, atol=1e-6)


def test_wrong_sizes_are_named(tiny_head: HeadModel):
    person = PersonalHead.create(tiny_head, np.zeros(tiny_head.identity_count))
    with pytest.raises(ArgumentError, match="52 expression values, got 7"):
        person.vertices(HeadPose.neutral(7))
    with pytest.raises(ArgumentError, match="betas"):
        PersonalHead.create(tiny_head, np.zeros(3))
    with pytest.raises(ArgumentError, match="channels"):
        pose_from_arkit(tiny_head, np.zeros(51))


@pytest.mark.alone
def test_posing_costs_little():
    """Far above the 1.5 ms it takes, so that a busy machine passes and an accidental slow path does not."""
    head = default_head()
    person = PersonalHead.create(head, np.zeros(head.identity_count))
    pose = pose_from_arkit(head, np.full(len(ARKIT_NAMES), 0.3))
    person.vertices(pose)
    times = []
    for _ in range(30):
        start = time.perf_counter()
        person.vertices(pose)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.008
