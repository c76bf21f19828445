"""``uvfit`` beyond the face: bald heads, ears under hair, long hair, teeth and clothes as the photo shows them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import synthetic_portrait
from synthetic_portrait import Portrait, arkit_pose, make_portrait, parsed

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.types import REGIONS, Avatar
from gshead_backend.head import HeadModel, default_head
from gshead_backend.methods import ReconstructOptions
from gshead_backend.methods.uvfit import reconstruct
from gshead_backend.methods.uvfit.votes import _ear_cut
from gshead_backend.portrait.labels import LABEL_INDEX
from gshead_backend.portrait.types import no_progress
from gshead_backend.raster import rasterize

DRAFT = ReconstructOptions(quality="draft")


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return default_head()


@pytest.fixture(scope="module")
def neutral(head: HeadModel) -> Portrait:
    return make_portrait(head, arkit_pose(head))


def from_behind(avatar: Avatar, portrait: Portrait) -> np.ndarray:
    """(H, W, 3) premultiplied, and alpha as a fourth channel: the back of the head."""
    camera = synthetic_portrait.camera_at(avatar.head, avatar.personal.vertices(portrait.fit.pose), yaw=180)
    seen = rasterize(drive(avatar, portrait.fit.pose), camera)
    return np.dstack([seen.color, seen.alpha])


def test_a_bald_head_is_bald_behind(head: HeadModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic_portrait, "HAIR", synthetic_portrait.SKIN)
    monkeypatch.setattr(synthetic_portrait, "HAIR_THICKNESS", 0.0)
    portrait = make_portrait(head, arkit_pose(head))
    parsing = parsed(portrait)
    parsing[LABEL_INDEX["skin"]] += parsing[LABEL_INDEX["hair"]]
    parsing[LABEL_INDEX["hair"]] = 0
    avatar = reconstruct(replace(portrait.fit, parsing=parsing), head, DRAFT, no_progress)
    assert (avatar.region == REGIONS.index("hair")).mean() < 0.01
    behind = from_behind(avatar, portrait)[120:240, 200:312]
    assert behind[..., 3].min() > 0.9
    assert np.abs(np.median(behind[..., :3], (0, 1)) - synthetic_portrait.SKIN).max() < 0.15


def test_the_whole_matte_is_covered_down_to_the_photos_border(neutral: Portrait, head: HeadModel) -> None:
    """Shoulders and collars are part of the portrait: nothing fades out inside the picture."""
    fit = replace(neutral.fit, parsing=parsed(neutral))
    avatar = reconstruct(fit, head, DRAFT, no_progress)
    alpha = rasterize(drive(avatar, fit.pose), fit.camera).alpha
    inside = cv2.erode((fit.matte > 0.9).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert (np.asarray(alpha)[inside] > 0.8).mean() > 0.98
    assert (np.asarray(alpha)[-12:][inside[-12:]] > 0.8).mean() > 0.95


def test_teeth_keep_the_colour_that_a_smile_shows(head: HeadModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set of dark teeth must not be bleached, nor a bright one be stained."""
    shown = {}
    for name, color in (("dark", np.array([0.52, 0.47, 0.36])), ("bright", np.array([0.95, 0.94, 0.92]))):
        monkeypatch.setattr(synthetic_portrait, "TEETH", color)
        portrait = make_portrait(head, arkit_pose(head, mouthSmile=0.6, jawOpen=0.22, mouthUpperUp=0.4))
        avatar = reconstruct(portrait.fit, head, DRAFT, no_progress)
        teeth = avatar.region == REGIONS.index("teeth")
        middle = teeth & (np.abs(drive(avatar, portrait.fit.pose).means[:, 0]) < 0.008)
        front = drive(avatar, portrait.fit.pose).means[:, 2]
        middle &= front > np.quantile(front[middle], 0.6)
        shown[name] = float(np.quantile(avatar.color[middle].mean(1), 0.8))
        assert abs(shown[name] - color.mean()) < 0.16, shown
    assert shown["bright"] - shown["dark"] > 0.25


@pytest.mark.parametrize(
    ("hair_above", "cut"), [(0.0, 0.0), (0.4, 0.4), (0.95, 1.01), (1.1, 1.01)], ids=["all", "part", "tip", "none"]
)
def test_an_ear_is_covered_as_far_down_as_hair_is_seen(hair_above: float, cut: float) -> None:
    height = np.linspace(0.05, 0.11, 200)
    share = (height - height.min()) / np.ptp(height)
    rng = np.random.default_rng(1)
    seen = np.clip((share >= hair_above) + rng.normal(0, 0.2, 200), 0, 1)
    assert _ear_cut(height, rng.uniform(0.02, 0.3, 200), seen) == pytest.approx(cut, abs=0.06)
