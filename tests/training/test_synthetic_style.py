"""What synthetic people wear, where they stand, how they are photographed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import KDTree

from gshead_backend.head import HeadModel, HeadPose, PersonalHead, default_head
from gshead_backend.portrait.angles import head_angles
from gshead_backend.portrait.labels import LABEL_INDEX
from gshead_backend.training.synthetic.backdrop import draw_backdrop
from gshead_backend.training.synthetic.camera_noise import develop
from gshead_backend.training.synthetic.clothes import clothes_surfels
from gshead_backend.training.synthetic.face_spec import draw_face
from gshead_backend.training.synthetic.framing import FOCAL_MM, draw_framing
from gshead_backend.training.synthetic.glasses import glasses_surfels, landmark_points
from gshead_backend.training.synthetic.hair import hair_surfels
from gshead_backend.training.synthetic.headwear import headwear_surfels
from gshead_backend.training.synthetic.style_spec import (
    CLOTHES,
    GLASSES,
    HAIRSTYLES,
    HATS,
    StyleSpec,
    draw_style,
)
from gshead_backend.training.synthetic.surfels import ANCHORS, Surfels


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return default_head()


@pytest.fixture(scope="module")
def person(head: HeadModel) -> PersonalHead:
    return PersonalHead.create(head, np.zeros(head.identity_count, np.float32))


def style(**changed: object) -> StyleSpec:
    rng = np.random.default_rng(1)
    plain = replace(draw_style(rng, draw_face(rng)), hat="none", glasses="none")
    return replace(plain, **changed)  # type: ignore[arg-type]


def sound(s: Surfels, label: str) -> None:
    assert np.isfinite(s.means).all()
    assert s.scales.min() > 0
    assert set(s.labels) == {LABEL_INDEX[label]}


@pytest.mark.parametrize("name", HAIRSTYLES[1:])
def test_hair_covers_the_head_and_leaves_the_face_free(head: HeadModel, person: PersonalHead, name: str) -> None:
    made, cap = hair_surfels(head, person, style(hair=name, length=0.2 if name in ("long", "bob") else 0.04),
                             np.random.default_rng(3), splats=12_000)  # fmt: skip
    sound(made, "hair")
    marks = landmark_points(head, person)
    low = marks[[105, 334], 1].mean() - 0.008
    x, y, z = made.means.T
    over = (np.abs(x) < 0.03) & (y < low) & (y > marks[152, 1]) & (z > marks[33, 2])
    assert over.mean() < 0.01
    assert 0 <= cap.min() <= cap.max() <= 1
    assert cap[head.region_mask("lips", "lids")].max() == 0
    assert made.means[:, 1].max() > marks[10, 1] + (0.0 if name == "balding" else 0.04)


def test_bald_people_have_no_hair(head: HeadModel, person: PersonalHead) -> None:
    made, cap = hair_surfels(head, person, style(hair="bald"), np.random.default_rng(0))
    assert len(made) == 0
    assert cap.max() == 0


@pytest.mark.parametrize("name", GLASSES[1:])
def test_glasses_sit_before_the_eyes(head: HeadModel, person: PersonalHead, name: str) -> None:
    made = glasses_surfels(head, person, style(glasses=name), np.random.default_rng(0))
    frame = made.labels == LABEL_INDEX["glasses"]
    sound(made.keep(frame), "glasses")
    assert frame.all() == (name == "sunglasses")  # clear lenses have no label of their own
    marks = landmark_points(head, person)
    for corners in ((33, 133), (263, 362)):
        centre = marks[list(corners)].mean(0)
        near = np.abs(made.means[:, :2] - centre[:2]).max(1) < 0.02
        assert near.sum() > 50
        assert made.means[near, 2].min() > centre[2]
    assert made.means[:, 2].min() < marks[[234, 454], 2].mean() + 0.01  # the temples reach the ears
    lens = frame[np.abs(made.means[:, :2] - marks[[33, 133]].mean(0)[:2]).max(1) < 0.008]
    assert lens.any() == (name == "sunglasses")


@pytest.mark.parametrize("name", HATS[1:])
def test_hats_are_hats(head: HeadModel, person: PersonalHead, name: str) -> None:
    made = headwear_surfels(head, person, style(hat=name), np.random.default_rng(0))
    sound(made, "hat")
    marks = landmark_points(head, person)
    face = (np.abs(made.means[:, 0]) < 0.04) & (made.means[:, 1] < marks[9, 1]) & (made.means[:, 1] > marks[152, 1])
    assert (face & (made.means[:, 2] > marks[234, 2])).mean() < 0.02


def dressed(head: HeadModel, person: PersonalHead, **worn: object) -> tuple[Surfels, Surfels]:
    """Cloth, and the skin that goes on below the bust where there is no cloth."""
    made = clothes_surfels(
        head, person, np.array([0.4, 0.3, 0.2]), style(earrings=False, **worn), np.random.default_rng(0)
    )
    assert set(made.anchor) == {ANCHORS.index("torso")}
    cloth = made.labels == LABEL_INDEX["clothes"]
    return made.keep(cloth), made.keep(~cloth)


@pytest.mark.parametrize("name", CLOTHES)
def test_clothes_hang_on_the_shoulders(head: HeadModel, person: PersonalHead, name: str) -> None:
    cloth, skin = dressed(head, person, clothes=name)
    sound(cloth, "clothes")
    chin = landmark_points(head, person)[152, 1]
    assert np.percentile(cloth.means[:, 1], 95) < chin + 0.01
    if name in ("scoop", "tank", "bare"):
        sound(skin, "skin")
        assert skin.means[:, 1].min() < chin - 0.12


def test_wide_necklines_leave_chest_and_shoulders_bare(head: HeadModel, person: PersonalHead) -> None:
    chin = landmark_points(head, person)[152]

    def near(s: Surfels, x: float, low: float, high: float) -> bool:
        at = s.means
        return bool(
            (
                (np.abs(np.abs(at[:, 0]) - x) < 0.012)
                & (at[:, 1] > low)
                & (at[:, 1] < high)
                & (at[:, 2] > chin[2] - 0.08)
            ).any()
        )

    for seed in range(4):
        parts = {n: dressed(head, person, clothes=n, seed=seed)[0] for n in ("t-shirt", "scoop", "tank", "bare")}
        chest = {n: near(s, 0.0, chin[1] - 0.115, chin[1] - 0.1) for n, s in parts.items()}
        assert chest == {"t-shirt": True, "scoop": False, "tank": False, "bare": False}
        shoulder = {
            n: any(near(s, x, chin[1] - 0.11, chin[1]) for x in np.arange(0.05, 0.14, 0.01)) for n, s in parts.items()
        }
        assert shoulder == {"t-shirt": True, "scoop": True, "tank": True, "bare": False}


def test_styles_are_balanced_and_repeatable() -> None:
    drawn = [draw_style(np.random.default_rng(k), draw_face(np.random.default_rng([k, 1]))) for k in range(500)]
    assert {s.hair for s in drawn} == set(HAIRSTYLES)
    assert {s.hat for s in drawn} == set(HATS)
    assert {s.glasses for s in drawn} == set(GLASSES)
    assert {s.clothes for s in drawn} == set(CLOTHES)
    assert 0.2 < np.mean([s.glasses != "none" for s in drawn]) < 0.35
    again = draw_style(np.random.default_rng(7), draw_face(np.random.default_rng([7, 1])))
    assert again.seed == drawn[7].seed


def test_the_face_stays_in_the_picture(head: HeadModel, person: PersonalHead) -> None:
    vertices = person.vertices(HeadPose.neutral(head.expression_count))
    points = vertices[head.region_mask("skin", "lips", "lids")].astype(np.float64)
    marks = landmark_points(head, person)
    focal, yaw = [], []
    for seed in range(150):
        camera = draw_framing(np.random.default_rng(seed), points, 256)
        uv = camera.project(marks)[:, :2]
        assert uv.min() > 0
        assert uv.max() < 256
        focal.append(camera.K[0, 0] / 256 * np.hypot(36, 24) / np.sqrt(2))
        yaw.append(np.degrees(head_angles(camera.viewmat[:3, :3])[0]))
    assert min(focal) > FOCAL_MM[0] * 0.99
    assert max(focal) < FOCAL_MM[1] * 1.01
    assert min(focal) < 30
    assert max(focal) > 110
    assert (np.abs(yaw) < 40).mean() > 0.8
    assert np.abs(yaw).max() > 40


def test_backdrops_differ_and_are_light(head: HeadModel) -> None:
    made = [draw_backdrop(np.random.default_rng(k), 64) for k in range(20)]
    assert all(b.shape == (64, 64, 3) and b.dtype == np.float32 and b.min() > 0 for b in made)
    levels = [float(b.mean()) for b in made]
    assert max(levels) > 5 * min(levels)


def test_developing_is_repeatable_and_keeps_the_order_of_light() -> None:
    ramp = np.tile(np.linspace(0.02, 0.9, 128)[None, :, None], (128, 1, 3))
    a, b = develop(ramp, np.random.default_rng(5), 1.0), develop(ramp, np.random.default_rng(5), 1.0)
    assert np.array_equal(a, b)
    assert a.dtype == np.uint8
    assert not np.array_equal(a, develop(ramp, np.random.default_rng(6), 1.0))
    for seed in range(8):
        columns = develop(ramp, np.random.default_rng(seed), 1.0)[..., 1].mean(0)
        assert (np.diff(columns[::16]) > -2).all()
    plain = develop(np.full((8, 8, 3), 0.2140), np.random.default_rng(0), 0.0)
    assert abs(int(plain[0, 0, 0]) - 127) <= 1


def test_thin_hair_lets_more_of_the_forehead_through(head: HeadModel, person: PersonalHead) -> None:
    made = [hair_surfels(head, person, style(hair="short", length=0.03, hairline=0.2, density=d, seed=7),
                         np.random.default_rng(3), splats=12_000) for d in (1.0, 0.0)]  # fmt: skip
    (thick, thick_cap), (thin, thin_cap) = made
    assert len(thin) < 0.7 * len(thick)
    marks = landmark_points(head, person)
    brow = head.region_mask("scalp", "skin") & (np.abs(person.rest[:, 1] - marks[10, 1] - 0.02) < 0.01)
    ahead = brow & (person.rest[:, 2] > marks[10, 2] - 0.05)
    assert thin_cap[ahead].mean() < 0.6 * thick_cap[ahead].mean()


def test_scarves_are_shaded_smoothly(head: HeadModel, person: PersonalHead) -> None:
    """Neighbouring pieces of one cloth face nearly the same way; a pebbled scarf looks like hair to a network."""
    for seed in range(4):
        made = headwear_surfels(
            head, person, style(hat="headscarf", pattern="plain", seed=seed), np.random.default_rng(seed)
        )
        sound(made, "hat")
        near = np.asarray(KDTree(made.means).query(made.means, 5)[1])[:, 1:]
        turn = np.degrees(np.arccos(np.clip((made.normals[:, None] * made.normals[near]).sum(-1), -1, 1)))
        assert np.median(turn) < 8, (seed, np.median(turn))


def test_some_dark_lenses_mirror_the_room(head: HeadModel, person: PersonalHead) -> None:
    brightest = []
    for seed in range(12):
        made = glasses_surfels(head, person, style(glasses="sunglasses", seed=seed), np.random.default_rng(0))
        lens = np.isclose(made.opacities, 0.9)
        brightest.append(made.albedo[lens].max())
    assert min(brightest) < 0.02  # and some nothing
    assert max(brightest) > 0.2
