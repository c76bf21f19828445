"""The head that ships: sealed, symmetric, unfolded, with everything inside that belongs inside."""

from __future__ import annotations

import numpy as np
import pytest

from gshead_backend.camera import Camera, orbit_camera
from gshead_backend.head import ARKIT_INDEX, ARKIT_NAMES, PersonalHead, default_head, pose_from_arkit
from gshead_backend.head.bake.atlas import flipped
from gshead_backend.head.bake.render import cast
from gshead_backend.head.catalog import _DEFAULT_FILE

HEAD = default_head()
MOUTH = HEAD.region_mask("mouth_cavity", "teeth_upper", "teeth_lower", "tongue", "gums")
EYES = HEAD.region_mask("eye_left", "eye_right")
FRONT = orbit_camera(0, size=(320, 320), distance=0.5, focal_mm=100)
CLOSED = (
    "cheekPuff", "mouthSmile", "mouthFrown", "mouthPucker", "mouthPress", "mouthStretch", "mouthDimple", "noseSneer",
    "mouthRollLower", "mouthRollUpper", "mouthShrugUpper", "mouthShrugLower", "jawForward",
)  # fmt: skip


def people(count: int) -> list[PersonalHead]:
    rng = np.random.default_rng(21)
    return [PersonalHead.create(HEAD, rng.normal(size=HEAD.identity_count) * (k > 0)) for k in range(count)]


def channels(**values: float) -> np.ndarray:
    """A name without side sets both sides."""
    out = np.zeros(52)
    for name, value in values.items():
        for key in [name] if name in ARKIT_INDEX else [name + "Left", name + "Right"]:
            out[ARKIT_INDEX[key]] = value
    return out


def visible(person: PersonalHead, mask: np.ndarray, camera: Camera = FRONT, **values: float) -> float:
    """Square millimetres (about) of a region that show."""
    vertices = person.vertices(pose_from_arkit(HEAD, channels(**values))).astype(np.float64)
    hits = cast(vertices, HEAD.faces, camera).triangle
    millimetre = camera.K[0, 0] / 0.42 / 1000  # pixels, at the face's distance
    return float(mask[HEAD.faces].all(1)[hits[hits >= 0]].sum()) / millimetre**2


def test_file_is_small():
    assert _DEFAULT_FILE.stat().st_size <= 5_000_000
    assert HEAD.license == "CC0-1.0"
    assert HEAD.expression_names == ARKIT_NAMES


def test_adult_proportions():
    """Rough ranges of adult anthropometry, metres."""
    rest = PersonalHead.create(HEAD, np.zeros(HEAD.identity_count)).rest
    outer = HEAD.region_mask("skin", "scalp")
    skull = rest[outer]
    pupils = HEAD.joints[3, 0] - HEAD.joints[4, 0]
    assert 0.056 < pupils < 0.068
    cranium = skull[(skull[:, 1] > 0.06) & (skull[:, 1] < 0.12)]
    assert 0.138 < np.ptp(cranium[:, 0]) < 0.165
    assert 0.18 < np.ptp(skull[skull[:, 1] > 0.05][:, 2]) < 0.21
    chin = skull[(np.abs(skull[:, 0]) < 0.01) & (skull[:, 2] > 0.05)][:, 1].min()
    assert 0.20 < skull[:, 1].max() - chin < 0.25


def test_lips_stay_shut():
    for k, person in enumerate(people(8)):
        assert visible(person, MOUTH) < 3, k
    person = people(1)[0]
    for name in CLOSED:
        assert visible(person, MOUTH, **{name: 1.0}) < 3, name


def test_jaw_open_with_mouth_close_stays_shut():
    shown = [visible(p, MOUTH, jawOpen=v, mouthClose=v) for p in people(10) for v in (0.5, 1.0)]
    assert np.median(shown) < 1
    assert np.mean(np.array(shown) > 10) <= 0.1


def test_blinks_close():
    shown = [visible(p, EYES, eyeBlink=1.0) for p in people(12)]
    assert shown[0] == 0
    assert np.median(shown) < 1
    assert np.mean(np.array(shown) > 10) <= 0.1


def test_lids_never_cut_the_eyeball():
    """On its way over the mean eye, half-way too, a lid stays outside the ball."""
    person = people(1)[0]
    lids = HEAD.region_mask("lids", "skin")
    for joint, side in ((3, "Left"), (4, "Right")):
        centre = person.joints[joint]
        radius = np.percentile(
            np.linalg.norm(person.rest[HEAD.region_mask("eye_" + side.lower())] - centre, axis=1), 20
        )
        near = lids & (np.linalg.norm(person.rest - centre, axis=1) < 1.4 * radius)
        near &= np.linalg.norm(person.rest - centre, axis=1) > 1.02 * radius
        near &= person.rest[:, 2] > centre[2]
        for value in (0.25, 0.5, 0.75, 1.0):
            moved = person.vertices(pose_from_arkit(HEAD, channels(eyeBlink=value)))
            assert np.linalg.norm(moved[near] - centre, axis=1).min() > 0.985 * radius, (side, value)


def test_teeth_and_gums_stay_inside():
    """From outside nothing of the mouth shows through the skin; from far below a slit between the lips may."""
    for person in people(6):
        for yaw, pitch in ((45, 0), (90, 0), (0, -40), (180, 0)):
            assert visible(person, MOUTH, orbit_camera(yaw, pitch, size=(256, 256), distance=0.5, focal_mm=70)) < 15


def test_mouth_opens_and_shows_teeth():
    person = people(1)[0]
    assert visible(person, MOUTH, jawOpen=1.0) > 300
    assert visible(person, HEAD.region_mask("teeth_lower", "teeth_upper"), mouthUpperUp=1.0, mouthLowerDown=1.0) > 60


def test_mirror_map_and_symmetry():
    assert (HEAD.mirror[HEAD.mirror] == np.arange(HEAD.vertex_count)).all()
    rest = PersonalHead.create(HEAD, np.zeros(HEAD.identity_count)).rest
    np.testing.assert_allclose(rest[HEAD.mirror] * [-1, 1, 1], rest, atol=2e-4)
    for name in ARKIT_NAMES:
        if not name.endswith("Left") or name in ("jawLeft", "mouthLeft"):
            continue
        left, right = (
            PersonalHead.create(HEAD, np.zeros(HEAD.identity_count)).shape_key(ARKIT_INDEX[n])
            for n in (name, name[:-4] + "Right")
        )
        np.testing.assert_allclose(left[HEAD.mirror] * [-1, 1, 1], right, atol=1e-3, err_msg=name)


def test_identity_modes_are_symmetric_or_antisymmetric():
    zero = np.zeros(HEAD.identity_count)
    rest = PersonalHead.create(HEAD, zero).rest
    for b in range(12):
        one = zero.copy()
        one[b] = 1
        delta = PersonalHead.create(HEAD, one).rest - rest
        flip = delta[HEAD.mirror] * [-1, 1, 1]
        assert min(np.abs(flip - delta).max(), np.abs(flip + delta).max()) < 6e-4, b


def test_uv_has_no_flips_and_no_overlap_of_parts():
    area = flipped(HEAD.uv.astype(np.float64), HEAD.uv_faces)
    skin = HEAD.region_mask("skin", "scalp", "lips", "lids", "ear")[HEAD.faces].all(1)
    assert (area[skin] > 0).mean() > 0.999 or (area[skin] < 0).mean() > 0.999
    assert HEAD.uv.min() >= 0
    assert HEAD.uv.max() <= 1
    face = HEAD.region_mask("skin", "lips", "lids")[HEAD.faces].all(1)
    assert np.abs(area[face]).sum() / 2 > 0.15  # the face gets a fair share of the texture


def test_landmarks_lie_where_they_should():
    person = people(1)[0]
    marks = (person.rest[HEAD.faces[HEAD.landmark_triangles]] * HEAD.landmark_bary[:, :, None]).sum(1)
    np.testing.assert_allclose(HEAD.landmark_bary.sum(1), 1, atol=1e-5)
    assert np.median(HEAD.landmark_sigma) < 0.004
    nose, chin, forehead = marks[1], marks[152], marks[10]
    assert abs(nose[0]) < 0.002
    assert chin[1] < nose[1] < forehead[1]
    assert nose[2] > marks[:, 2].max() - 0.006
    for inner, outer, joint in ((362, 263, 3), (133, 33, 4)):  # corners of the person's left and right eye
        eye = person.joints[joint]
        assert abs(marks[inner][0]) < abs(eye[0]) < abs(marks[outer][0])
        assert 0.022 < np.linalg.norm(marks[inner] - marks[outer]) < 0.036
    opened = person.vertices(pose_from_arkit(HEAD, channels(jawOpen=1.0)))
    moved = (opened[HEAD.faces[HEAD.landmark_triangles]] * HEAD.landmark_bary[:, :, None]).sum(1)
    assert moved[13, 1] - moved[14, 1] > 0.02  # upper and lower inner lip part with the jaw
    assert abs(marks[13, 1] - marks[14, 1]) < 0.005


@pytest.mark.parametrize("name", ARKIT_NAMES)
def test_every_channel_does_something_local(name: str):
    person = people(1)[0]
    moved = person.vertices(pose_from_arkit(HEAD, channels(**{name: 1.0}))) - person.rest
    size = np.linalg.norm(moved, axis=1)
    assert 0.0008 < size.max() < 0.09
    assert size[HEAD.region_mask("torso")].max() < 0.002
    if name.endswith("Left") and name not in ("jawLeft", "mouthLeft"):
        side = (size**2 * person.rest[:, 0]).sum()
        assert side > 0
