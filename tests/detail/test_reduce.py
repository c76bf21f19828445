"""Levels of detail look like the whole avatar, move like it, and are the same every time."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.types import Avatar, Splats
from gshead_backend.camera import orbit_camera
from gshead_backend.detail import reduced
from gshead_backend.detail.importance import how_much_is_seen, telling_poses
from gshead_backend.detail.reduce import reduce_avatar
from gshead_backend.errors import ArgumentError
from gshead_backend.head import ARKIT_INDEX, HeadPose, default_head, pose_from_arkit
from gshead_backend.raster import rasterize
from gshead_backend.raster.cpu.contribution import contribution

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_avatar import make_tiny_avatar

WHOLE, FEW = 24_000, 6_000


@pytest.fixture(scope="module")
def covered() -> Avatar:
    """The default head covered with flat splats, painted by place."""
    head, rng = default_head(), np.random.default_rng(0)
    rest = head.template if head.subdivision is None else head.subdivision @ head.template
    corners = rest[head.faces]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    triangle = np.sort(rng.choice(len(area), WHOLE, p=area / area.sum())).astype(np.int32)
    bary = rng.dirichlet((1, 1, 1), WHOLE).astype(np.float32)
    points = np.einsum("nk,nkc->nc", bary, corners[triangle])
    sigma = 0.62 * np.sqrt(area.sum() / WHOLE)
    avatar = make_tiny_avatar(head, WHOLE)
    return replace(
        avatar, triangle=triangle, bary=bary, region=np.zeros(WHOLE, np.uint8), betas=0 * avatar.betas,
        vertex_offsets=0 * avatar.vertex_offsets, offset=0 * avatar.offset,
        rotation=np.tile(np.array([1, 0, 0, 0], np.float32), (WHOLE, 1)),
        log_scale=np.tile(np.log(sigma * np.array([1, 1, 0.25])), (WHOLE, 1)).astype(np.float32),
        opacity_logit=np.full(WHOLE, 3, np.float32), color=(0.5 + 0.3 * np.sin(40 * points)).astype(np.float32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def few(covered: Avatar) -> Avatar:
    return reduced(covered, FEW)


def _picture(avatar: Avatar, pose: HeadPose, yaw: float) -> tuple[np.ndarray, np.ndarray]:
    seen = rasterize(drive(avatar, pose), orbit_camera(yaw, size=(256, 256), distance=1.1))
    return np.asarray(seen.color), np.asarray(seen.alpha)


def _psnr(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    return float(-10 * np.log10(((a - b)[where] ** 2).mean()))


def _pose(avatar: Avatar, **channels: float) -> HeadPose:
    values = np.zeros(52, np.float32)
    for name, value in channels.items():
        values[ARKIT_INDEX[name]] = value
    return pose_from_arkit(avatar.head, values)


@pytest.mark.parametrize("yaw", [0, -50, 120])
def test_a_quarter_of_the_splats_looks_like_all_of_them(covered: Avatar, few: Avatar, yaw: float) -> None:
    assert len(few) == FEW
    pose = _pose(covered)
    (whole, alpha), (less, thin) = _picture(covered, pose, yaw), _picture(few, pose, yaw)
    assert _psnr(less, whole, alpha > 0.02) > 26
    assert np.quantile(thin[alpha > 0.97], 0.01) > 0.75, "no holes"


def test_choosing_at_random_looks_worse_by_far(covered: Avatar, few: Avatar) -> None:
    keep = np.sort(np.random.default_rng(1).choice(WHOLE, FEW, replace=False))
    names = ("triangle", "bary", "region", "offset", "rotation", "opacity_logit", "color")
    chosen = replace(
        covered, log_scale=covered.log_scale[keep] + np.float32(np.log(2)),
        **{name: getattr(covered, name)[keep] for name in names},
    )  # fmt: skip
    pose = _pose(covered)
    whole, alpha = _picture(covered, pose, 0)
    inside = alpha > 0.02
    assert _psnr(_picture(few, pose, 0)[0], whole, inside) > _psnr(_picture(chosen, pose, 0)[0], whole, inside) + 4


def test_open_mouths_and_closed_lids_stay_what_they_are(covered: Avatar, few: Avatar) -> None:
    for pose in (_pose(covered, jawOpen=0.8), _pose(covered, eyeBlinkLeft=1, eyeBlinkRight=1)):
        whole, alpha = _picture(covered, pose, 0)
        assert _psnr(_picture(few, pose, 0)[0], whole, alpha > 0.02) > 27


def test_the_same_splats_every_time(covered: Avatar, few: Avatar) -> None:
    again = reduced(covered, FEW)
    for name in ("triangle", "offset", "rotation", "log_scale", "opacity_logit", "color"):
        assert np.array_equal(getattr(again, name), getattr(few, name)), name


def test_splats_that_stay_alone_are_untouched_and_residuals_go_along(tiny_head) -> None:
    avatar = make_tiny_avatar(tiny_head, 600, dynamic=True)
    less = reduce_avatar(avatar, 560, np.ones(600), telling_poses(avatar))
    same = [
        i for i in range(len(less))
        if (np.isclose(avatar.color, less.color[i]).all(1) & (avatar.triangle == less.triangle[i])).any()
    ]  # fmt: skip
    assert len(same) >= 520
    assert less.dynamic is not None
    assert avatar.dynamic is not None
    assert (np.diff(less.dynamic.index) > 0).all()
    for row, i in enumerate(less.dynamic.index[:20]):  # the residual of the splat on whose triangle it hangs
        old = [k for k, j in enumerate(avatar.dynamic.index) if np.array_equal(avatar.bary[j], less.bary[i])]
        assert np.array_equal(less.dynamic.basis[row], avatar.dynamic.basis[old[0]])


def test_regions_are_not_mixed(tiny_head) -> None:
    avatar = make_tiny_avatar(tiny_head, 600)
    painted = replace(avatar, color=np.eye(7, 3, dtype=np.float32)[avatar.region])
    less = reduce_avatar(painted, 150, np.ones(600), telling_poses(painted))
    assert np.allclose(less.color, np.eye(7, 3)[less.region], atol=1e-5)


def test_what_is_small_enough_comes_back_and_nonsense_is_refused(tiny_head) -> None:
    avatar = make_tiny_avatar(tiny_head, 100)
    assert reduced(avatar, 100) is avatar
    with pytest.raises(ArgumentError, match="cannot be reduced to 0"):
        reduce_avatar(avatar, 0, np.ones(100), [])
    with pytest.raises(ArgumentError, match="shape"):
        reduce_avatar(avatar, 50, np.ones(99), [])


def test_contribution_is_the_weight_in_the_picture(tiny_head) -> None:
    """Against pictures in which one splat alone is white."""
    avatar = make_tiny_avatar(tiny_head, 300)
    splats = drive(avatar, HeadPose.neutral(tiny_head.expression_count))
    camera = orbit_camera(20, size=(64, 48), distance=1.0)
    got = contribution(splats, camera)
    for i in (0, 17, 160, 299):
        white = np.zeros((300, 3), np.float32)
        white[i] = 1
        one = Splats(splats.means, splats.quats, splats.scales, splats.opacities, white)
        assert got[i] == pytest.approx(float(np.asarray(rasterize(one, camera).color)[..., 0].sum()), abs=2e-3)
    assert (how_much_is_seen(avatar, telling_poses(avatar)) >= 0).all()
