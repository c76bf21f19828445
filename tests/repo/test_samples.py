"""The sample pictures are what their page says, and the fit finds what is known about the synthetic one."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gshead_backend.camera import Camera
from gshead_backend.head import HeadPose, default_head
from gshead_backend.head.skinning import PersonalHead
from gshead_backend.portrait import PortraitFit, fit_portrait


@pytest.fixture(scope="module")
def truth(root: Path) -> dict:
    return json.loads((root / "samples" / "synthetic_portrait.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def fit(root: Path) -> PortraitFit:
    return fit_portrait((root / "samples" / "synthetic_portrait.png").read_bytes(), default_head())


def test_the_photograph_is_the_file_that_its_page_describes(root: Path) -> None:
    digest = hashlib.sha256((root / "samples" / "astronaut.png").read_bytes()).hexdigest()
    assert digest in re.findall(r"[0-9a-f]{64}", (root / "samples" / "README.md").read_text(encoding="utf-8"))


def test_the_synthetic_portrait_belongs_to_the_default_head(truth: dict) -> None:
    """When it fails the head was baked anew: run ``python samples/synthetic_portrait.py``."""
    head = default_head()
    camera = Camera(
        truth["camera"]["width"], truth["camera"]["height"], truth["camera"]["K"], truth["camera"]["viewmat"]
    )
    personal = PersonalHead.create(head, np.array(truth["betas"], np.float32))
    vertices = personal.vertices(HeadPose.from_vector(np.array(truth["pose"])))
    marks = np.einsum("nk,nkc->nc", head.landmark_bary, vertices[head.faces[head.landmark_triangles]])
    np.testing.assert_allclose(camera.project(marks)[:, :2], truth["landmarks"], atol=0.05)


def test_landmarks_are_found_where_they_are(fit: PortraitFit, truth: dict) -> None:
    known, found = np.array(truth["landmarks"]), fit.landmarks[:468]
    # The fit works on a crop: a scale and a shift away from the picture.
    centred, wanted = known - known.mean(0), found - found.mean(0)
    scale = (centred * wanted).sum() / (centred * centred).sum()
    error = np.linalg.norm(scale * centred - wanted, axis=1)
    assert error.mean() < 0.03 * np.linalg.norm(wanted[33] - wanted[263])


def test_the_head_is_turned_as_it_is_known_to_be(fit: PortraitFit, truth: dict) -> None:
    pose = HeadPose.from_vector(np.array(truth["pose"]))
    angle = np.linalg.norm(pose.global_orient + pose.neck_pose)
    axis = (pose.global_orient + pose.neck_pose) / angle
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turned = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    wanted = np.array(truth["camera"]["viewmat"])[:3, :3] @ turned
    between = wanted.T @ fit.camera.viewmat[:3, :3]
    assert np.degrees(np.arccos((np.trace(between) - 1) / 2)) < 4


def test_the_matte_covers_the_person(root: Path, fit: PortraitFit) -> None:
    known = np.asarray(Image.open(root / "samples" / "synthetic_portrait_matte.png")) > 127
    assert 0.2 < known.mean() < 0.8
    assert 0.2 < (fit.matte > 0.5).mean() < 0.8
