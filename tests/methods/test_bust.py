"""The bust of ``uvfit``: closed below, no wider than the person, and with clothes as thick as it is."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from synthetic_portrait import CLOTHES, Portrait, arkit_pose, camera_at, make_portrait, parsed

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.types import REGIONS, Avatar
from gshead_backend.camera import Camera, orbit_camera
from gshead_backend.head import HeadModel, default_head
from gshead_backend.methods import ReconstructOptions
from gshead_backend.methods.uvfit import reconstruct
from gshead_backend.methods.uvfit.classes import PixelClasses
from gshead_backend.methods.uvfit.layer import inflate
from gshead_backend.methods.uvfit.leftovers import _clothes
from gshead_backend.methods.uvfit.photo import View
from gshead_backend.methods.uvfit.surface import CHIN, head_surface
from gshead_backend.methods.uvfit.zbuffer import depth_map, far_depth_map
from gshead_backend.portrait.types import no_progress
from gshead_backend.raster import rasterize

DRAFT = ReconstructOptions(quality="draft")


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return default_head()


@pytest.fixture(scope="module")
def portrait(head: HeadModel) -> Portrait:
    made = make_portrait(head, arkit_pose(head))
    return replace(made, fit=replace(made.fit, parsing=parsed(made)))


@pytest.fixture(scope="module")
def avatar(portrait: Portrait, head: HeadModel) -> Avatar:
    return reconstruct(portrait.fit, head, DRAFT, no_progress)


def test_from_below_one_sees_a_floor_and_not_the_inside_of_the_head(avatar: Avatar, portrait: Portrait) -> None:
    splats = drive(avatar, portrait.fit.pose)
    worn = np.isin(avatar.region, [REGIONS.index(n) for n in ("clothes", "neck")])
    worn &= splats.opacities > 0.5  # it dissolves below the photo
    bottom = splats.means[worn][:, 1].min()
    middle = np.median(splats.means[worn][splats.means[worn][:, 1] < bottom + 0.02], axis=0)
    camera = orbit_camera(0, -89, size=(256, 256), focal_mm=100, distance=1.0, target=(middle[0], bottom, middle[2]))
    picture = rasterize(splats, camera)
    core = np.asarray(picture.alpha)[108:148, 98:158]
    assert core.min() > 0.9
    depth = np.asarray(picture.depth)[108:148, 98:158]
    assert np.abs(depth - 1.0).max() < 0.04


def test_a_cut_out_bust_is_closed_where_it_ends(portrait: Portrait, head: HeadModel) -> None:
    """The photo shows where the person ends: nothing hangs down from there, and one does not look inside."""
    fit = portrait.fit
    y, x = np.mgrid[: fit.matte.shape[0], : fit.matte.shape[1]]
    middle, chin = fit.landmarks[CHIN]
    round_end = ((x - middle) / 170) ** 2 + ((y - chin) / 75) ** 2 > 1
    gone = (y > chin) & round_end
    camera = fit.camera
    cut = replace(fit, matte=(fit.matte * ~gone).astype(np.float32), parsing=fit.parsing * ~gone)
    avatar = reconstruct(cut, head, DRAFT, no_progress)
    splats = drive(avatar, fit.pose)
    alpha = np.asarray(rasterize(splats, camera).alpha)
    assert alpha[y > chin + 75 + 25].mean() < 0.01
    below = orbit_camera(0, -70, size=(256, 256), focal_mm=80, distance=1.2, target=(0.0, -0.14, -0.02))
    picture = rasterize(splats, below)
    core = np.asarray(picture.alpha)[110:140, 100:156]
    assert core.min() > 0.9


def test_shoulders_are_as_wide_as_the_persons_and_still_closed(portrait: Portrait, head: HeadModel) -> None:
    """A person who is narrower than the head's own bust: what stands out is moved in, not cut off."""
    fit = portrait.fit
    chin, middle = fit.landmarks[CHIN, 1], fit.landmarks[CHIN, 0]
    y, x = np.mgrid[: fit.matte.shape[0], : fit.matte.shape[1]]
    beyond = (y > chin + 20) & (np.abs(x - middle) > 110)
    parsing = fit.parsing * ~beyond
    narrow = replace(fit, matte=(fit.matte * ~beyond).astype(np.float32), parsing=parsing)
    avatar = reconstruct(narrow, head, DRAFT, no_progress)
    alpha = np.asarray(rasterize(drive(avatar, fit.pose), fit.camera).alpha)
    outside = cv2.dilate((narrow.matte > 0.1).astype(np.uint8), np.ones((41, 41), np.uint8)) == 0
    assert alpha[outside & (y > chin + 40)].mean() < 0.02
    side = orbit_camera(75, 0, size=(256, 256), focal_mm=60, distance=1.2, target=(0.0, -0.12, -0.02))
    seen = np.asarray(rasterize(drive(avatar, fit.pose), side).alpha)
    rows = np.flatnonzero((seen > 0.5).sum(1) > 20)
    body = seen[rows[-1] - 25 : rows[-1] - 5]
    for row in body:  # from one outline to the other without a hole
        inside = np.flatnonzero(row > 0.5)
        assert row[inside[0] : inside[-1] + 1].min() > 0.5


def test_the_back_of_a_coat_is_a_coat(avatar: Avatar, portrait: Portrait) -> None:
    camera = orbit_camera(180, 0, size=(256, 256), focal_mm=60, distance=1.2, target=(0.0, -0.1, -0.02))
    picture = rasterize(drive(avatar, portrait.fit.pose), camera)
    rows = np.flatnonzero((np.asarray(picture.alpha) > 0.5).sum(1) > 20)
    band = slice(rows[-1] - 22, rows[-1] - 6)
    color, alpha = np.asarray(picture.color)[band, 108:148], np.asarray(picture.alpha)[band, 108:148]
    assert alpha.min() > 0.9
    assert np.abs(np.median(color, (0, 1)) - CLOTHES).max() < 0.12


def test_a_layer_begins_as_thick_as_what_it_hangs_on() -> None:
    mask = np.zeros((80, 160), bool)
    mask[20:60, 40:120] = True
    start = np.full(mask.shape, np.nan)
    start[20:60, :40] = 0.05
    start[:20] = start[60:] = start[20:60, 120:] = 0.0
    height = inflate(mask, start, metres=0.001, flat=0.5)
    assert np.abs(height[32:48, 41] - 0.05).max() < 0.012
    free = np.where(start > 0, 0.0, start)
    assert (height[22:58, 42:60] > inflate(mask, free, metres=0.001, flat=0.5)[22:58, 42:60]).all()
    assert height[40, 118] < 0.012
    assert (height[~mask] < 0.05).all()


def test_the_far_side_of_a_mesh_is_as_far_as_a_ray_through_it_says() -> None:
    """Against a box, whose far side is known for every pixel."""
    corners = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (-0.1, 0.15)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int32)
    camera = Camera(
        viewmat=np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 1.0], [0, 0, 0, 1]]),
        K=np.array([[400.0, 0, 64], [0, 400, 64], [0, 0, 1]]), width=128, height=128,
    )  # fmt: skip
    far, triangle = far_depth_map(corners, faces, camera)
    near, _ = depth_map(corners, faces, camera)
    inside = np.isfinite(near)
    assert inside.sum() > 5000
    assert np.array_equal(inside, triangle >= 0)
    assert np.isneginf(far[~inside]).all()
    assert near[64, 64] == pytest.approx(0.85, abs=1e-5)
    assert far[64, 64] == pytest.approx(1.1, abs=1e-5)
    x, y = np.meshgrid(np.arange(128) + 0.5 - 64, np.arange(128) + 0.5 - 64)
    slope = np.maximum(np.abs(x), np.abs(y)) / 400
    back = np.minimum(1.1, 0.1 / np.maximum(slope, 1e-9))  # the far wall, or where the ray leaves through a side
    safe = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert np.abs(far - back)[safe].max() < 2e-3


def test_a_turned_persons_far_shoulder_begins_at_the_nape_and_not_at_the_near_shoulder(head: HeadModel) -> None:
    """Clothes behind the neck are as far away as its back is; the near shoulder's edge is closer to the camera."""
    made = make_portrait(head, arkit_pose(head))
    surface, posed = head_surface(head), made.truth.personal.vertices(made.fit.pose)
    camera = camera_at(head, posed, yaw=60.0)
    view = View.of(posed, head.faces, camera)
    covered = np.isfinite(view.depth)
    landmarks = camera.project(np.einsum("lk,lkc->lc", head.landmark_bary, posed[head.faces[head.landmark_triangles]]))
    chin = round(landmarks[CHIN, 1])
    row = chin + 15
    nape = int(np.flatnonzero(covered[row]).max())  # seen from the person's left, the back of the neck is on the right
    far = float(view.depth[row, nape - 3])
    y, x = np.mgrid[: covered.shape[0], : covered.shape[1]]
    shoulder = ~covered & (np.abs(y - row) < 25) & (x > nape - 40) & (x < nape + 40)
    matte = (covered | shoulder).astype(np.float32)
    clothes = (shoulder | (covered & (y > chin + 60))).astype(np.float32)
    fit = replace(made.fit, camera=camera, matte=matte, landmarks=landmarks[:, :2].astype(np.float32))
    nothing = np.zeros_like(matte)
    classes = PixelClasses(matte - clothes, nothing, clothes, nothing)
    behind, _ = far_depth_map(posed, head.faces, camera)
    layer = _clothes(fit, surface, classes, view, behind)
    assert layer is not None
    at = layer.mask & shoulder & (np.abs(y - row) < 8)
    assert at.sum() > 100
    assert np.abs(layer.middle[at] - far).max() < 0.02
