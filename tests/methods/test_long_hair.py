"""``uvfit`` with long hair: it lies on cheeks and neck, hangs beside them and closes behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import synthetic_portrait
from synthetic_portrait import HAIR, SKIN, Portrait, arkit_pose, make_portrait, parsed

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.types import REGIONS, Avatar
from gshead_backend.head import HeadModel, default_head
from gshead_backend.methods import ReconstructOptions
from gshead_backend.methods.uvfit import reconstruct
from gshead_backend.methods.uvfit.classes import classify
from gshead_backend.methods.uvfit.hanging import find_hanging
from gshead_backend.methods.uvfit.photo import View
from gshead_backend.methods.uvfit.surface import CHIN, FOREHEAD, NOSE_TIP, head_surface
from gshead_backend.methods.uvfit.votes import vote
from gshead_backend.portrait.labels import LABEL_INDEX
from gshead_backend.portrait.types import PortraitFit, no_progress
from gshead_backend.raster import rasterize

DRAFT = ReconstructOptions(quality="draft")
EYE_CORNER = 33
OUTSIDE, INSIDE = 150, 75  # columns from the nose between which hair falls


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return default_head()


@pytest.fixture(scope="module")
def portrait(head: HeadModel) -> Portrait:
    return make_portrait(head, arkit_pose(head))


def with_curtains(portrait: Portrait, sides: tuple[int, ...]) -> tuple[PortraitFit, np.ndarray]:
    """The portrait with hair that falls over cheeks and beside them to below the chin, and where (H, W) it does."""
    fit = portrait.fit
    y, x = np.mgrid[: fit.matte.shape[0], : fit.matte.shape[1]]
    low, high = fit.landmarks[NOSE_TIP, 1] - 60, fit.landmarks[CHIN, 1] + 30
    across = x - fit.landmarks[NOSE_TIP, 0]
    falls = np.zeros(fit.matte.shape, bool)
    for side in sides:
        falls |= (y > low) & (y < high) & (side * across > INSIDE) & (side * across < OUTSIDE)
    image = np.where(falls[..., None], np.uint8(255 * HAIR), fit.image)
    parsing = parsed(portrait) * ~falls
    parsing[LABEL_INDEX["hair"]] += falls
    return replace(fit, image=image, matte=np.maximum(fit.matte, falls).astype(np.float32), parsing=parsing), falls


@pytest.fixture(scope="module")
def long_haired(portrait: Portrait, head: HeadModel) -> Avatar:
    return reconstruct(with_curtains(portrait, (-1, 1))[0], head, DRAFT, no_progress)


def seen(avatar: Avatar, portrait: Portrait, yaw: float | None) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) premultiplied and (H, W) alpha; from the photo's camera without ``yaw``."""
    pose = portrait.fit.pose
    camera = portrait.fit.camera
    if yaw is not None:
        camera = synthetic_portrait.camera_at(avatar.head, avatar.personal.vertices(pose), yaw=yaw)
    picture = rasterize(drive(avatar, pose), camera)
    return np.asarray(picture.color), np.asarray(picture.alpha)


def hair_like(color: np.ndarray) -> np.ndarray:
    return np.linalg.norm(color - HAIR, axis=-1) < np.linalg.norm(color - SKIN, axis=-1)


def test_from_the_front_it_covers_what_the_photo_shows_it_cover(long_haired: Avatar, portrait: Portrait) -> None:
    """Over the jaw too, where the head's own skin lies below, and without a gap under the ears."""
    falls = with_curtains(portrait, (-1, 1))[1]
    color, alpha = seen(long_haired, portrait, None)
    y, x = np.nonzero(falls)
    across = np.abs(x - portrait.fit.landmarks[NOSE_TIP, 0])
    inner = (across > INSIDE + 8) & (across < OUTSIDE - 12) & (y > y.min() + 8) & (y < y.max() - 12)
    y, x = y[inner], x[inner]
    assert (alpha[y, x] > 0.85).mean() > 0.98
    assert hair_like(color[y, x]).mean() > 0.97


@pytest.mark.parametrize("yaw", [150.0, 180.0, 210.0])
def test_from_behind_it_falls_over_the_nape_in_one_piece(long_haired: Avatar, portrait: Portrait, yaw: float) -> None:
    fit = portrait.fit
    color, alpha = seen(long_haired, portrait, yaw)
    top, bottom = round(float(fit.landmarks[NOSE_TIP, 1])), round(float(fit.landmarks[CHIN, 1])) + 10
    middle = slice(226, 286)
    assert alpha[top:bottom, middle].min() > 0.9
    assert hair_like(color[top:bottom, middle]).mean() > 0.98


def test_the_nape_has_no_ledge(long_haired: Avatar) -> None:
    """Seen from the side the back of the hair falls or goes in, row by row; it never juts out below the head."""
    hair = long_haired.region == REGIONS.index("hair")
    at = drive(long_haired, arkit_pose(long_haired.head)).means[hair]
    at = at[np.abs(at[:, 0]) < 0.03]
    occiput = at[at[:, 2].argmin(), 1]
    rows = np.arange(occiput - 0.11, occiput - 0.02, 0.006)
    back = np.array([np.quantile(at[np.abs(at[:, 1] - row) < 0.004][:, 2], 0.02) for row in rows])
    assert np.diff(back).max() < 0.006  # upward: each row farther back than, or within 6 mm of, the one below


def test_it_hangs_as_wide_as_the_photo_shows(portrait: Portrait, head: HeadModel) -> None:
    surface = head_surface(head)
    posed = portrait.truth.personal.vertices(portrait.fit.pose).astype(np.float64)
    fit, _ = with_curtains(portrait, (-1, 1))
    hanging = find_hanging(fit, surface, classify(fit, surface, posed), posed)
    assert hanging is not None
    assert hanging.falls.all()
    outline = np.abs(hanging.reach[20:60] - OUTSIDE)
    assert outline.max() < 25  # the camera looks a little from the side, the columns are counted from the neck


def test_hair_over_one_shoulder_leaves_the_other_bare(portrait: Portrait, head: HeadModel) -> None:
    fit, _ = with_curtains(portrait, (1,))
    avatar = reconstruct(fit, head, DRAFT, no_progress)
    at = drive(avatar, fit.pose).means[avatar.region == REGIONS.index("hair")]
    chin = (
        avatar.head.landmark_bary[CHIN]
        @ avatar.personal.vertices(fit.pose)[avatar.head.faces[avatar.head.landmark_triangles[CHIN]]]
    )
    low = at[at[:, 1] < chin[1] + 0.02]
    assert (low[:, 0] > 0.03).sum() > 200
    assert (low[:, 0] < -0.03).mean() < 0.03


def test_short_hair_hangs_nowhere(portrait: Portrait, head: HeadModel) -> None:
    surface = head_surface(head)
    posed = portrait.truth.personal.vertices(portrait.fit.pose).astype(np.float64)
    fit, _ = with_curtains(portrait, ())
    assert find_hanging(fit, surface, classify(fit, surface, posed), posed) is None


@pytest.mark.parametrize(
    ("past_the_chin", "over_ears", "edge_is_hair"),
    [(-25, False, False), (-25, True, True), (40, True, True)],
    ids=["short, behind the ears", "short, over the ears", "long"],
)
def test_hair_beside_the_face_lies_on_its_edge_if_it_hides_the_ears(
    portrait: Portrait, head: HeadModel, past_the_chin: int, over_ears: bool, edge_is_hair: bool
) -> None:
    fit, surface = portrait.fit, head_surface(head)
    ears = parsed(portrait)[LABEL_INDEX["ears"]] > 0.3
    bare = (fit.matte > 0.5) & ~(ears & over_ears)
    y, x = np.mgrid[: fit.matte.shape[0], : fit.matte.shape[1]]
    rows = (y > fit.landmarks[FOREHEAD, 1]) & (y < fit.landmarks[CHIN, 1] + past_the_chin)
    beside = rows & ~bare & (np.abs(x - fit.landmarks[NOSE_TIP, 0]) < OUTSIDE)
    parsing = parsed(portrait) * ~beside
    parsing[LABEL_INDEX["hair"]] += beside
    image = np.where(beside[..., None], np.uint8(255 * HAIR), fit.image)
    fit = replace(fit, image=image, matte=np.maximum(fit.matte, beside).astype(np.float32), parsing=parsing)
    posed = portrait.truth.personal.vertices(fit.pose).astype(np.float64)
    classes = classify(fit, surface, posed)
    hanging = find_hanging(fit, surface, classes, posed)
    hair, _, _ = vote(fit, surface, classes, View.of(posed, surface.faces, fit.camera), posed, hanging)
    edge = surface.skin & ~surface.ear & (surface.scalp < 0.02) & (np.abs(posed[:, 0]) > 0.045)
    edge &= (posed[:, 2] > surface.ear_z + 0.012) & (posed[:, 1] > surface.landmarks[EYE_CORNER, 1])
    edge &= posed[:, 1] < surface.landmarks[FOREHEAD, 1]
    assert edge.sum() > 100
    share = (hair[edge] > 0.5).mean()
    assert share > 0.08 if edge_is_hair else share == 0
