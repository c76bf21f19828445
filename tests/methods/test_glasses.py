"""``uvfit`` with glasses: they stand before the face, reach the ears, and hide clean skin."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import synthetic_portrait
from synthetic_portrait import SKIN, Portrait, arkit_pose, make_portrait, parsed

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.types import REGIONS, Avatar
from gshead_backend.head import HeadModel, default_head
from gshead_backend.methods import ReconstructOptions
from gshead_backend.methods.uvfit import reconstruct
from gshead_backend.methods.uvfit.glasses import find_glasses
from gshead_backend.methods.uvfit.surface import EYE_LEFT, EYE_RIGHT, head_surface
from gshead_backend.portrait.labels import LABEL_INDEX
from gshead_backend.portrait.types import PortraitFit, no_progress
from gshead_backend.raster import rasterize

DRAFT = ReconstructOptions(quality="draft")
FRAME = np.array([0.05, 0.05, 0.06])


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return default_head()


@pytest.fixture(scope="module")
def portrait(head: HeadModel) -> Portrait:
    return make_portrait(head, arkit_pose(head))


def with_glasses(portrait: Portrait, *, sides: tuple[int, ...] = (0, 1)) -> tuple[PortraitFit, np.ndarray]:
    """The portrait with round frames around its eyes and a bridge between them; where (H, W) they are."""
    fit = portrait.fit
    rims = np.zeros(fit.matte.shape, np.uint8)
    centres = [fit.landmarks[list(eye)].mean(0) for eye in (EYE_RIGHT, EYE_LEFT)]
    radius = round(0.42 * float(np.linalg.norm(centres[0] - centres[1])))
    for side in sides:
        cv2.circle(rims, tuple(int(c) for c in centres[side]), radius, 1, 5)
    if len(sides) == 2:
        ends = [centres[0] + [radius, -4], centres[1] - [radius, 4]]
        cv2.line(rims, *(tuple(int(c) for c in end) for end in ends), 1, 5)
    worn = rims > 0
    image = np.where(worn[..., None], np.uint8(255 * FRAME), fit.image)
    parsing = parsed(portrait) * ~worn
    parsing[LABEL_INDEX["glasses"]] += worn
    return replace(fit, image=image, parsing=parsing), worn


@pytest.fixture(scope="module")
def avatar(portrait: Portrait, head: HeadModel) -> Avatar:
    return reconstruct(with_glasses(portrait)[0], head, DRAFT, no_progress)


def of_glasses(avatar: Avatar, portrait: Portrait) -> np.ndarray:
    """(N,) bool: what is worn above the mouth."""
    at = drive(avatar, portrait.fit.pose).means
    mouth = head_surface(avatar.head).landmarks[0, 1]
    return (avatar.region == REGIONS.index("clothes")) & (at[:, 1] > mouth)


def test_the_source_view_shows_the_frames(avatar: Avatar, portrait: Portrait) -> None:
    fit, worn = with_glasses(portrait)
    seen = rasterize(drive(avatar, fit.pose), fit.camera)
    inside = cv2.erode(worn.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert np.abs(np.asarray(seen.color)[inside] - FRAME).mean() < 0.12


def test_frames_stand_before_the_eyes_and_arms_reach_the_ears(avatar: Avatar, portrait: Portrait) -> None:
    at = drive(avatar, portrait.fit.pose).means[of_glasses(avatar, portrait)]
    vertices = portrait.truth.personal.vertices(portrait.fit.pose)
    surface = head_surface(avatar.head)
    eyes = vertices[np.isin(surface.vertex_part, (1, 2))]
    rims = at[np.abs(at[:, 0]) < 0.05]
    assert np.median(rims[:, 2]) > eyes[:, 2].max() + 0.004
    ear = vertices[surface.ear]
    for side in (-1, 1):
        arm = at[(side * at[:, 0] > 0.05) & (at[:, 2] < eyes[:, 2].max() - 0.03)]
        assert len(arm) > 40
        assert arm[:, 2].min() < ear[:, 2].max()
        assert np.diff(np.sort(arm[:, 2])).max() < 0.003  # in one piece


def test_they_move_with_the_head_and_not_with_the_face(avatar: Avatar, portrait: Portrait, head: HeadModel) -> None:
    worn = of_glasses(avatar, portrait)
    rest = drive(avatar, arkit_pose(head)).means[worn]
    for channels in (
        {"eyeBlink": 1.0},
        {"browInnerUp": 1.0},
        {"mouthSmile": 1.0, "cheekSquint": 1.0},
        {"jawOpen": 1.0},
    ):
        moved = drive(avatar, arkit_pose(head, **channels)).means[worn]
        assert np.abs(moved - rest).max() < 7e-4, channels


def test_the_skin_behind_them_is_clean(avatar: Avatar, portrait: Portrait) -> None:
    fit, worn = with_glasses(portrait)
    off = ~of_glasses(avatar, portrait)
    splats = drive(avatar, fit.pose)
    bare = replace(splats, **{k: getattr(splats, k)[off] for k in ("means", "quats", "scales", "opacities", "colors")})
    seen = np.asarray(rasterize(bare, fit.camera).color)[worn & (portrait.fit.matte > 0.9)]
    usual = np.asarray(portrait.fit.image)[worn].astype(float) / 255
    assert np.linalg.norm(seen - SKIN, axis=1).mean() < np.linalg.norm(usual - SKIN, axis=1).mean() + 0.06
    assert (np.linalg.norm(seen - FRAME, axis=1) < 0.3).mean() < 0.12


@pytest.mark.parametrize("sides", [(), (0,)], ids=["none", "one eye"])
def test_what_is_not_before_both_eyes_is_no_pair_of_glasses(
    portrait: Portrait, head: HeadModel, sides: tuple[int, ...]
) -> None:
    fit, _ = with_glasses(portrait, sides=sides)
    posed = portrait.truth.personal.vertices(fit.pose).astype(np.float64)
    assert find_glasses(fit, head_surface(head), posed) is None


def test_an_orthographic_camera_puts_them_in_the_same_place(portrait: Portrait, head: HeadModel) -> None:
    fit, worn = with_glasses(portrait)
    posed = portrait.truth.personal.vertices(fit.pose).astype(np.float64)
    found = find_glasses(fit, head_surface(head), posed)
    depth = float(np.median(fit.camera.project(posed)[:, 2]))
    flat = replace(fit.camera, K=fit.camera.K * np.array([[1 / depth, 1, 1], [1, 1 / depth, 1], [1, 1, 1]]),
                   orthographic=True)  # fmt: skip
    same = find_glasses(replace(fit, camera=flat), head_surface(head), posed)
    assert found is not None
    assert same is not None
    assert np.abs(found.depth - same.depth)[worn].mean() < 0.004
    assert found.alpha.shape[0] == synthetic_portrait.SIZE
