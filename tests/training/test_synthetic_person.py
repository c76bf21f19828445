"""The bare synthetic person: varied, repeatable, labelled where things are, the same as splats and as a texture."""

from __future__ import annotations

import numpy as np
import pytest

from gshead_backend.head import ARKIT_INDEX, HeadModel, PersonalHead, default_head
from gshead_backend.portrait.labels import LABEL_INDEX
from gshead_backend.training.synthetic.expression import KINDS, draw_expression, pose_of, with_gaze
from gshead_backend.training.synthetic.face_spec import (
    BEARDS,
    FaceSpec,
    draw_face,
    individual_typology_angle,
    skin_albedo,
)
from gshead_backend.training.synthetic.skin import albedo_map, bare_albedo, face_surfels
from gshead_backend.training.synthetic.surface import canvas, uv_canvas
from gshead_backend.training.synthetic.surfels import Surfels

SPLATS = 20_000


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return default_head()


def make(head: HeadModel, seed: int, **changed: object) -> tuple[FaceSpec, Surfels]:
    from dataclasses import replace

    face = replace(draw_face(np.random.default_rng(seed)), **changed)  # type: ignore[arg-type]
    person = PersonalHead.create(head, face.betas)
    return face, face_surfels(head, person, face, np.random.default_rng(seed), splats=SPLATS)


def test_the_same_seed_gives_the_same_person(head: HeadModel) -> None:
    (_, a), (_, b), (_, c) = make(head, 3), make(head, 3), make(head, 4)
    assert np.array_equal(a.means, b.means)
    assert np.array_equal(a.albedo, b.albedo)
    assert len(a) != len(c) or not np.allclose(a.albedo, c.albedo)


def test_every_number_is_in_its_range(head: HeadModel) -> None:
    for seed in range(4):
        _, s = make(head, seed)
        for values in (s.means, s.quats, s.scales, s.albedo, s.normals):
            assert np.isfinite(values).all()
        assert s.scales.min() > 0
        assert 0 <= s.albedo.min() <= s.albedo.max() <= 1
        np.testing.assert_allclose(np.linalg.norm(s.quats, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(s.normals, axis=1), 1, atol=1e-5)


def test_labels_lie_where_the_landmarks_say(head: HeadModel) -> None:
    _, s = make(head, 5, beard="full")
    person = PersonalHead.create(head, draw_face(np.random.default_rng(5)).betas)
    corners = person.rest[head.faces[head.landmark_triangles]]
    marks = np.einsum("lk,lkc->lc", head.landmark_bary, corners)

    def middle(label: str) -> np.ndarray:
        return s.means[s.labels == LABEL_INDEX[label]].mean(0)

    np.testing.assert_allclose(middle("lips")[:2], marks[[0, 17]].mean(0)[:2], atol=0.008)
    np.testing.assert_allclose(middle("brows")[:2], marks[[105, 334]].mean(0)[:2], atol=0.012)
    np.testing.assert_allclose(middle("eyes")[:2], marks[[159, 386, 145, 374]].mean(0)[:2], atol=0.008)
    assert middle("facial_hair")[1] < marks[13, 1]
    beard = s.means[s.labels == LABEL_INDEX["facial_hair"]]
    assert (beard[:, 1] < marks[2, 1] + 0.004).mean() > 0.98


@pytest.mark.parametrize("beard", BEARDS)
def test_only_grown_beards_are_facial_hair(head: HeadModel, beard: str) -> None:
    _, s = make(head, 6, beard=beard)
    count = (s.labels == LABEL_INDEX["facial_hair"]).sum()
    assert (count > 2000) == (beard not in ("none", "stubble"))


def test_skin_gets_darker_with_melanin_and_redder_with_blood() -> None:
    tones = [individual_typology_angle(skin_albedo(m, 0.4)) for m in np.linspace(0, 1, 9)]
    assert (np.diff(tones) < 0).all()
    assert tones[0] > 50
    assert tones[-1] < -45
    pale, flushed = skin_albedo(0.1, 0.1), skin_albedo(0.1, 0.9)
    assert flushed[0] / flushed[1] > pale[0] / pale[1]


def test_every_skin_tone_is_drawn_about_as_often() -> None:
    tones = [draw_face(np.random.default_rng(k)).melanin for k in range(400)]
    share = np.histogram(tones, 5, (0, 1))[0] / 400
    assert share.min() > 0.13


def test_the_texture_is_the_skin_of_the_splats(head: HeadModel) -> None:
    face = draw_face(np.random.default_rng(8))
    texture, covered = albedo_map(head, face, 256)
    assert covered.mean() > 0.5
    c, where = uv_canvas(head, 256)
    assert np.array_equal(where, covered)
    skin = canvas(head, SPLATS)
    color, _ = bare_albedo(skin, face)
    cheek = np.linalg.norm(skin.rest - skin.surface.landmarks[50], axis=1) < 0.01
    same = np.linalg.norm(c.rest - skin.surface.landmarks[50], axis=1) < 0.01
    np.testing.assert_allclose(texture[covered][same].mean(0), color[cheek].mean(0), rtol=0.06)


def test_another_head_can_be_drawn(tiny_head: HeadModel) -> None:
    face = draw_face(np.random.default_rng(2), tiny_head)
    assert face.betas.shape == (tiny_head.identity_count,)
    s = face_surfels(tiny_head, PersonalHead.create(tiny_head, face.betas), face, np.random.default_rng(2), splats=3000)
    assert len(s) > 2000


def test_expressions_are_varied_and_possible(head: HeadModel) -> None:
    drawn = [draw_expression(np.random.default_rng(k)) for k in range(300)]
    assert {e.name for e in drawn} == set(KINDS)
    weights = np.stack([e.arkit for e in drawn])
    assert 0 <= weights.min() <= weights.max() <= 1
    i = ARKIT_INDEX
    assert (weights[:, i["mouthClose"]] <= weights[:, i["jawOpen"]] + 1e-6).all()
    assert (np.minimum(weights[:, i["jawLeft"]], weights[:, i["jawRight"]]) == 0).all()
    assert (weights[:, i["eyeBlinkLeft"]] > 0.8).mean() > 0.04
    assert np.degrees(np.abs([e.gaze for e in drawn])).max() < 40


def test_eyeballs_turn_as_the_gaze_says(head: HeadModel) -> None:
    from gshead_backend.head.rotation import axis_angle_to_matrix

    e = draw_expression(np.random.default_rng(11))
    pose = pose_of(head, e)
    for row in range(2):
        forward = axis_angle_to_matrix(pose.eye_pose.reshape(2, 3)[row].astype(np.float64))[:, 2]
        np.testing.assert_allclose(np.arctan2(forward[0], forward[2]), e.gaze[row, 0], atol=1e-5)
        np.testing.assert_allclose(np.arcsin(forward[1]), e.gaze[row, 1], atol=1e-5)
    told = with_gaze(head, e).arkit
    left = ("eyeLookOutLeft", "eyeLookInLeft")[int(e.gaze[0, 0] < 0)]
    assert told[ARKIT_INDEX[left]] > 0
