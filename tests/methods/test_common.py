"""What learned heads share: the UV lattice, corrections of splats in numpy and in torch, and the common fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from synthetic_portrait import Portrait, arkit_pose, make_portrait

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.file import avatar_from_bytes, avatar_to_bytes
from gshead_backend.head import HeadModel, default_head
from gshead_backend.methods import ReconstructOptions
from gshead_backend.methods.common.edits import STATIC, EditedAvatar, Edits, dynamic_of, edit_cloud
from gshead_backend.methods.common.lattice import Lattice, lattice_of
from gshead_backend.methods.common.learned import reconstruct_with
from gshead_backend.methods.common.observe import CHANNELS, Observation, base_avatar, observe_portrait
from gshead_backend.methods.uvfit import reconstruct
from gshead_backend.methods.uvfit.cloud import bind
from gshead_backend.portrait.types import no_progress

SMALL = 48


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return default_head()


@pytest.fixture(scope="module")
def portrait(head: HeadModel) -> Portrait:
    return make_portrait(head, arkit_pose(head, mouthSmile=0.6, jawOpen=0.22))


@pytest.fixture(scope="module")
def seen(portrait: Portrait, head: HeadModel) -> Observation:
    return observe_portrait(portrait.fit, head, SMALL)


@pytest.fixture(scope="module")
def lattice(head: HeadModel) -> Lattice:
    return lattice_of(head, SMALL)


def test_a_texel_reads_itself(lattice: Lattice) -> None:
    found = lattice.lookup(lattice.triangle, lattice.bary)
    best = found.index[np.arange(len(lattice)), found.weight.argmax(1)]
    assert (best == np.arange(len(lattice))).mean() > 0.75  # a border texel lies partly beside the surface
    away = np.linalg.norm(found.take(lattice.mean) - lattice.mean, axis=1)
    assert away.mean() < 0.003  # half a texel: small triangles seldom lie under a texel's middle


def test_maps_are_read_between_texels_and_not_across_parts(lattice: Lattice) -> None:
    surface = lattice.surface
    rng = np.random.default_rng(0)
    triangle = rng.integers(0, len(surface.faces), 4000)
    bary = rng.dirichlet(np.ones(3), 4000).astype(np.float32)
    found = lattice.lookup(triangle, bary)
    np.testing.assert_allclose(found.weight.sum(1), 1, atol=1e-5)
    place = np.einsum("nk,nkc->nc", bary, surface.vertices[surface.faces[triangle]])
    error = np.linalg.norm(found.take(lattice.mean) - place, axis=1)
    assert np.median(error) < 0.002
    assert np.quantile(error, 0.95) < 0.012  # at borders of parts
    used = found.weight > 0
    parts = lattice.part[found.index]
    assert (parts == surface.part[triangle][:, None])[used].all()


def test_mirrored_texels_lie_on_the_other_side(lattice: Lattice) -> None:
    away = np.linalg.norm(lattice.mean[lattice.mirror] - lattice.mean * [-1, 1, 1], axis=1)
    assert np.median(away) < 0.004
    assert (lattice.mirror[lattice.mirror] == np.arange(len(lattice))).mean() > 0.6


def test_the_observation_tells_seen_from_hidden(seen: Observation, lattice: Lattice) -> None:
    assert seen.channels.shape == (len(lattice), len(CHANNELS))
    assert np.isfinite(seen.channels).all()
    confidence = seen.channels[:, CHANNELS.index("confidence")]
    front = (lattice.part == 0) & (lattice.mean[:, 2] > np.quantile(lattice.mean[:, 2], 0.9))
    back = (lattice.part == 0) & (lattice.mean[:, 2] < np.quantile(lattice.mean[:, 2], 0.2))
    assert confidence[front].mean() > 0.3
    assert confidence[back].max() < 0.05
    assert seen.built.on_mesh == len(lattice)


def some_edits(count: int, rank: int | None = None) -> Edits:
    rng = np.random.default_rng(1)
    static = rng.normal(0, [0.004] * 3 + [0.1] * 3 + [0.1] * 3 + [0.5], (count, STATIC)).astype(np.float32)
    if rank is None:
        return Edits(static)
    basis = rng.normal(0, 0.002, (count, 6, rank)).astype(np.float32)
    return Edits(static, basis, rng.normal(0, 0.5, (rank, 55)).astype(np.float32), np.zeros(rank, np.float32))


def test_numpy_and_torch_correct_alike(seen: Observation, head: HeadModel) -> None:
    count = len(seen.lattice)
    edits, built = some_edits(count, 4), seen.built
    base = base_avatar(seen)
    cloud = edit_cloud(built.cloud, Edits(edits.static))
    fit = built.scene.fit
    mine = bind(cloud, built.scene.surface, built.scene.rest, betas=fit.betas, vertex_offsets=fit.vertex_offsets,
                name="x", provenance={})  # fmt: skip
    mine = replace(mine, opacity_logit=base.opacity_logit.copy())
    mine.opacity_logit[:count] += np.clip(edits.static[:, 9], -8, 8)
    mine = replace(mine, dynamic=dynamic_of(mine, edits))
    pose = arkit_pose(head, jawOpen=0.5, mouthSmile=0.4)
    expected = drive(mine, pose)
    edited = EditedAvatar(base, count)
    assert edits.basis is not None
    assert edits.gain is not None
    codes = torch.from_numpy(edits.gain) @ torch.from_numpy(np.concatenate([pose.expression, pose.jaw_pose]))
    got = edited.drive(pose, edited.overrides(torch.from_numpy(edits.static), torch.from_numpy(edits.basis) @ codes))
    np.testing.assert_allclose(got.means.numpy(), expected.means, atol=2e-5)
    np.testing.assert_allclose(got.scales.numpy(), expected.scales, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(got.opacities.numpy(), expected.opacities, atol=1e-4)
    inside = (got.colors.numpy() > 0.02) & (got.colors.numpy() < 0.98)  # limits are met before and after the change
    assert np.abs(got.colors.numpy() - expected.colors)[inside].max() < 0.05


def test_saying_nothing_gives_the_avatar_of_uvfit(portrait: Portrait, head: HeadModel) -> None:
    def nothing(seen: Observation) -> tuple[Edits, dict[str, Any]]:
        return Edits(np.zeros((len(seen.lattice), STATIC), np.float32)), {"prior": "nothing"}

    options = ReconstructOptions(quality="draft", splats=4000)
    mine = reconstruct_with(nothing, "test", portrait.fit, head, options, no_progress)
    theirs = reconstruct(portrait.fit, head, options, no_progress)
    for name in ("triangle", "offset", "rotation", "log_scale", "opacity_logit", "color"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
    assert mine.method == "test"
    assert mine.provenance["prior"] == "nothing"


def test_corrections_survive_the_fit_and_the_file(portrait: Portrait, head: HeadModel) -> None:
    def hairier(seen: Observation) -> tuple[Edits, dict[str, Any]]:
        edits = some_edits(len(seen.lattice), 3)
        static = np.zeros_like(edits.static)
        static[seen.lattice.mean[:, 2] < -0.05, 2] = -0.03
        return replace(edits, static=static), {}

    options = ReconstructOptions(quality="draft", splats=4000, fit_steps=3)
    previews: list[Any] = []
    made = reconstruct_with(hairier, "test", portrait.fit, head, replace(options, preview=previews.append), no_progress)
    plain = reconstruct(portrait.fit, head, options, no_progress)
    again = avatar_from_bytes(avatar_to_bytes(made))
    assert previews[0].dynamic is not None
    assert again.dynamic is not None
    assert again.dynamic.bias.shape == (3,)
    rest = portrait.truth.head
    deep = drive(again, arkit_pose(rest)).means[:, 2].min() - drive(plain, arkit_pose(rest)).means[:, 2].min()
    assert deep < -0.02


def test_one_portrait_leaves_the_lattice_as_it_was_for_the_next(portrait: Portrait, head: HeadModel) -> None:
    lattice = lattice_of(head, SMALL)
    before = lattice.triangle.copy()
    first, second = (observe_portrait(portrait.fit, head, SMALL) for _ in range(2))
    np.testing.assert_array_equal(lattice.triangle, before)
    np.testing.assert_array_equal(first.built.samples.triangle, before)
    np.testing.assert_array_equal(first.channels, second.channels)
