"""Heads in another light: the mathematics, the three twins, and what an avatar is told of its photo."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gshead_backend.avatar.drive import binding_of, drive
from gshead_backend.avatar.drive_torch import TorchAvatar
from gshead_backend.avatar.facing import splat_normals
from gshead_backend.avatar.file import avatar_from_bytes, avatar_to_bytes
from gshead_backend.avatar.light import (
    LUMA,
    checked_light,
    even_light,
    fit_shading,
    irradiance,
    lamp,
    polynomials,
    project,
    shading_light,
)
from gshead_backend.avatar.shading import (
    BRIGHTEST,
    Shading,
    harmonics,
    lit,
    photo_light,
    received,
    relit,
    shading_of,
    splat_shadow,
    with_light,
)
from gshead_backend.avatar.shading_fast import lit_fast
from gshead_backend.avatar.shading_torch import lit_torch
from gshead_backend.avatar.types import Avatar, Splats
from gshead_backend.errors import ArgumentError
from gshead_backend.head import HeadModel, HeadPose
from gshead_backend.srgb import linear_to_srgb, srgb_to_linear

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_avatar import make_tiny_avatar


def sphere(count: int = 4000) -> np.ndarray:
    """(count, 3) directions spread evenly."""
    i = np.arange(count) + 0.5
    z, a = 1 - 2 * i / count, i * np.pi * (3 - np.sqrt(5))
    return np.stack([np.sqrt(1 - z * z) * np.cos(a), np.sqrt(1 - z * z) * np.sin(a), z], 1)


@pytest.fixture
def skin(tiny_head: HeadModel) -> Avatar:
    """A head all of skin and of one colour, whose splats cover it."""
    avatar = make_tiny_avatar(tiny_head, 3000)
    n = len(avatar)
    return replace(
        avatar, region=np.zeros(n, np.uint8), color=np.full((n, 3), [0.7, 0.5, 0.4], np.float32),
        offset=np.zeros((n, 3), np.float32), opacity_logit=np.full(n, 4, np.float32),
    )  # fmt: skip


@pytest.fixture
def splats(skin: Avatar) -> Splats:
    rng = np.random.default_rng(0)
    pose = replace(HeadPose.neutral(skin.head.expression_count), neck_pose=np.array([0.1, 0.5, 0], np.float32))
    driven = drive(skin, pose)
    return replace(driven, colors=rng.uniform(-0.02, 1.1, driven.colors.shape).astype(np.float32))


def test_even_light_of_radiance_one_shows_colors_as_they_are() -> None:
    np.testing.assert_allclose(irradiance(even_light(), sphere()), np.pi, rtol=1e-5)
    np.testing.assert_allclose(received(even_light((1, 0.5, 2)), sphere()), np.tile([1, 0.5, 2], (4000, 1)), rtol=1e-5)


def test_a_lamp_gives_what_a_cosine_does() -> None:
    normals = sphere()
    toward = np.array([[0.6, 0.0, 0.8]])
    got = received(project(toward, np.full((1, 3), np.pi)), normals)[:, 0]
    want = np.maximum(normals @ toward[0], 0)
    assert np.sqrt(np.mean((got - want) ** 2)) < 0.05
    assert np.abs(got - want).max() < 0.13
    assert got[want > 0.999].mean() == pytest.approx(1, abs=0.04), "what faces it is as bright as it should be"
    assert got.min() >= 0
    np.testing.assert_allclose(lamp(90, 0, soft=0)[[1, 2]], 0, atol=1e-9)  # yaw 90 is the person's left, +X


@pytest.mark.parametrize("light", [[0.0] * 26, [float("nan")] * 27, [1e7] * 27])
def test_what_is_no_light_is_refused(light: list[float]) -> None:
    with pytest.raises(ArgumentError, match="27 finite numbers"):
        checked_light(light)


@pytest.mark.parametrize("lamp_", [{"soft": 1.5}, {"power": -1.0}, {"power": float("inf")}, {"color": (1, -1, 1)}])
def test_impossible_lamps_are_refused(lamp_: dict) -> None:
    with pytest.raises(ArgumentError):
        lamp(0, 0, **lamp_)


def test_the_fit_finds_a_shading_that_skin_shows() -> None:
    normals = sphere()
    true = np.array([1.0, 0.3, 0.2, 0.1, 0.05, 0.0, -0.1, 0.1, 0.05])
    shown = polynomials(normals) @ true
    found = fit_shading(normals, 0.3 * shown, np.ones(len(normals)))
    again = polynomials(normals) @ found
    np.testing.assert_allclose(again / again.mean(), shown / shown.mean(), atol=0.06)
    np.testing.assert_allclose(irradiance(shading_light(true), normals)[:, 1], np.pi * shown, rtol=1e-4)
    assert fit_shading(normals[:100], shown[:100], np.ones(100)).tolist() == [1] + 8 * [0], "too little says nothing"


@pytest.mark.parametrize("strength", [0.0, 0.6, 1.0])
def test_the_twins_agree(skin: Avatar, splats: Splats, strength: float) -> None:
    shading, light = shading_of(skin), lamp(50, 20, soft=0.1, power=3, color=(1, 0.8, 0.5))
    want = lit(splats, shading, light, strength)
    fast = lit_fast(splats, shading, light, strength)
    np.testing.assert_allclose(fast.colors, want.colors, atol=5e-5)
    t = torch.from_numpy
    driven = Splats(*(t(np.ascontiguousarray(getattr(splats, n))) for n in Splats.__dataclass_fields__))
    tables = t(shading.axis), t(shading.gain)
    one = lit_torch(driven, *tables, t(harmonics(light)), torch.tensor(strength))
    np.testing.assert_allclose(one.colors.numpy(), want.colors, atol=1e-5)
    both = Splats(*(torch.stack([getattr(driven, n)] * 2) for n in Splats.__dataclass_fields__))
    lights = torch.stack([t(harmonics(light)), t(harmonics(even_light()))])
    batch = lit_torch(both, *tables, lights, torch.tensor([strength, 1.0]))
    np.testing.assert_allclose(batch.colors[0], one.colors, atol=1e-6)
    again = lit_fast(splats, shading, light, strength)
    assert again.colors.tobytes() == fast.colors.tobytes()


def test_the_twins_agree_in_shadows(skin: Avatar, splats: Splats) -> None:
    shading, light, t = shading_of(skin), lamp(50, 20), torch.from_numpy
    fallen = splat_shadow(skin, np.random.default_rng(1).uniform(0, 1, (skin.head.vertex_count, 3)))
    want = lit(splats, shading, light, 0.7, fallen)
    np.testing.assert_allclose(lit_fast(splats, shading, light, 0.7, fallen).colors, want.colors, atol=5e-5)
    driven = Splats(*(t(np.ascontiguousarray(getattr(splats, n))) for n in Splats.__dataclass_fields__))
    tables = t(shading.axis), t(shading.gain), t(harmonics(light)), torch.tensor(0.7)
    np.testing.assert_allclose(lit_torch(driven, *tables, t(fallen)).colors.numpy(), want.colors, atol=1e-5)
    # on the photo's colours: their linear values times what is left
    for got in (lit(splats, shading, None, 1.0, fallen), lit_fast(splats, shading, None, 1.0, fallen)):
        wanted = srgb_to_linear(np.clip(splats.colors, 0, 2)) * fallen
        np.testing.assert_allclose(srgb_to_linear(got.colors), wanted, atol=2e-4)


def test_a_shadow_lies_where_its_vertices_are(skin: Avatar) -> None:
    rest = drive(skin, HeadPose.neutral(skin.head.expression_count))
    middle = binding_of(skin).neutral[:, 0]
    fallen = splat_shadow(skin, np.repeat((middle > 0)[:, None], 3, 1))
    away = np.abs(rest.means[:, 0]) > 0.03
    np.testing.assert_allclose(fallen[away], np.repeat((rest.means[away, :1] > 0), 3, 1), atol=1e-5)
    on_device = TorchAvatar(skin).splat_shadow(np.repeat((middle > 0)[:, None], 3, 1))
    np.testing.assert_allclose(on_device.numpy(), fallen, atol=1e-6)


def test_nothing_but_colors_changes_and_they_stay_in_range(skin: Avatar, splats: Splats) -> None:
    flash = lit_fast(splats, shading_of(skin), lamp(0, 0, power=5000))
    assert flash.means is splats.means
    assert flash.opacities is splats.opacities
    assert 1 < flash.colors.max() <= linear_to_srgb(np.array(BRIGHTEST)) + 1e-4
    dark = lit_fast(splats, shading_of(skin), np.zeros((9, 3)))
    assert np.abs(dark.colors).max() < 1e-6


def test_strength_zero_and_the_photos_own_light_leave_colors_alone(skin: Avatar) -> None:
    rest = drive(skin, HeadPose.neutral(skin.head.expression_count))
    shading = shading_of(skin)
    np.testing.assert_allclose(lit(rest, shading, lamp(60, 0), 0.0).colors, skin.color, atol=1e-5)
    own = photo_light(skin, splat_normals(skin, rest))
    np.testing.assert_allclose(lit(rest, shading, own).colors, skin.color, atol=0.02)


def test_a_lamp_stays_where_it_is_when_the_neck_turns(skin: Avatar) -> None:
    shading, neutral = shading_of(skin), HeadPose.neutral(skin.head.expression_count)
    light = lamp(70, 0, soft=0)
    for angle in (-0.9, 0.0, 0.9):
        driven = drive(skin, replace(neutral, neck_pose=np.array([0, angle, 0], np.float32)))
        seen = lit(driven, shading, light)
        middle = driven.means.mean(0)
        left = driven.means[:, 0] > middle[0] + 0.03
        right = driven.means[:, 0] < middle[0] - 0.03
        assert seen.colors[left].mean() > 1.8 * seen.colors[right].mean(), angle


def test_the_photos_light_is_read_from_the_skin_and_kept(skin: Avatar) -> None:
    rest = drive(skin, HeadPose.neutral(skin.head.expression_count))
    normals = splat_normals(skin, rest)
    shade = irradiance(lamp(60, 20, soft=0.5), normals) / np.pi
    shot = replace(skin, color=linear_to_srgb(0.4 * shade).astype(np.float32))
    told = with_light(shot)
    light = np.array(told.provenance["light"])
    assert light.shape == (9, 3)
    assert with_light(told) is told
    front = normals[:, 2] > 0.3
    found = irradiance(light, normals[front]) @ LUMA
    true = shade[front] @ LUMA
    assert np.corrcoef(found, true)[0, 1] > 0.95
    assert irradiance(light, normals[front]).mean() == pytest.approx(np.pi, rel=0.03), "well exposed"
    # a file of before tells nothing: it is read when it is needed, to the same colours
    before = {k: v for k, v in told.provenance.items() if k != "light"}
    old = avatar_from_bytes(avatar_to_bytes(replace(told, provenance=before)))
    np.testing.assert_allclose(shading_of(old).gain, shading_of(told).gain, rtol=0.02)
    # in even light the shading that the photo showed is gone
    even = srgb_to_linear(lit(drive(told, HeadPose.neutral(told.head.expression_count)), shading_of(told),
                              even_light()).colors)[front]  # fmt: skip
    assert even.std() / even.mean() < 0.5 * shot_contrast(shot, front)


def shot_contrast(avatar: Avatar, which: np.ndarray) -> float:
    linear = srgb_to_linear(avatar.color)[which]
    return float(linear.std() / linear.mean())


def test_damaged_light_in_a_file_counts_as_none(skin: Avatar) -> None:
    want = shading_of(skin).gain
    for light in ("bright", [1, 2, 3], [[1e300] * 3] * 9, None):
        got = shading_of(replace(skin, provenance={**skin.provenance, "light": light})).gain
        np.testing.assert_array_equal(got, want)


def test_an_avatar_lit_twice_is_as_bright_as_lit_once(skin: Avatar) -> None:
    dim = relit(skin, lamp(0, 0, soft=0.6, power=0.5))
    assert np.median(srgb_to_linear(dim.color) / srgb_to_linear(skin.color)) < 0.75
    back = relit(dim, lamp(0, 0, soft=0.6, power=1.0))
    once = relit(skin, lamp(0, 0, soft=0.6, power=1.0))
    assert np.median(np.abs(back.color - once.color)) < 0.05
    assert back.color.max() <= 1


def test_every_splat_faces_somewhere(tiny_head: HeadModel) -> None:
    avatar = make_tiny_avatar(tiny_head, 2000)  # all regions, off the surface, turned at random
    rest = drive(avatar, HeadPose.neutral(tiny_head.expression_count))
    normals = splat_normals(avatar, rest)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    outward = ((rest.means - rest.means.mean(0)) * normals).sum(1) > 0
    assert outward.mean() > 0.9
    assert isinstance(shading_of(avatar), Shading)
    assert shading_of(avatar) is shading_of(avatar)
