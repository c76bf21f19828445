"""Complete ARKit morphs and the baked texture of the default head."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_avatar import make_tiny_avatar

from gshead_backend.export.morphs import complete_morphs
from gshead_backend.export.texture import bake_texture
from gshead_backend.head import ARKIT_INDEX, HeadModel, PersonalHead, default_head, pose_from_arkit


@pytest.fixture(scope="module")
def person() -> PersonalHead:
    head = default_head()
    rng = np.random.default_rng(7)
    return PersonalHead.create(head, rng.normal(size=head.identity_count).astype(np.float32) * 0.5)


@pytest.fixture(scope="module")
def morphs(person: PersonalHead) -> np.ndarray:
    return complete_morphs(person)


def test_jaw_open_alone_opens_the_jaw(person: PersonalHead, morphs: np.ndarray) -> None:
    delta = morphs[ARKIT_INDEX["jawOpen"]]
    lower, upper = (person.model.region_mask(name) for name in ("teeth_lower", "teeth_upper"))
    assert delta[lower, 1].mean() < -0.015, "the lower teeth go down by centimetres"
    assert np.abs(delta[upper]).max() < 1e-4
    residual = person.shape_key(ARKIT_INDEX["jawOpen"])
    assert np.abs(residual[lower]).max() < 2e-3, "the rig's own shape does not open it"


@pytest.mark.parametrize(
    ("name", "region", "axis", "sign"),
    [
        ("eyeLookUpLeft", "eye_left", 1, 1), ("eyeLookDownLeft", "eye_left", 1, -1),
        ("eyeLookOutLeft", "eye_left", 0, 1), ("eyeLookInLeft", "eye_left", 0, -1),
        ("eyeLookOutRight", "eye_right", 0, -1), ("eyeLookInRight", "eye_right", 0, 1),
    ],
)  # fmt: skip
def test_eye_look_turns_the_eyeball(
    person: PersonalHead, morphs: np.ndarray, name: str, region: str, axis: int, sign: int
) -> None:
    ball = person.model.region_mask(region)
    front = ball & (person.rest[:, 2] > np.quantile(person.rest[ball, 2], 0.9))
    moved = morphs[ARKIT_INDEX[name]]
    assert sign * moved[front, axis].mean() > 0.003
    center = person.joints[3 if region == "eye_left" else 4]
    before = np.linalg.norm(person.rest[ball] - center, axis=1)
    after = np.linalg.norm(person.rest[ball] + moved[ball] - center, axis=1)
    assert np.abs(before - after).max() < 2e-4, "a ball stays a ball"


def test_half_way_the_chord_stays_within_its_documented_distance(person: PersonalHead, morphs: np.ndarray) -> None:
    channels = np.zeros(52)
    channels[ARKIT_INDEX["jawOpen"]] = 0.5
    error = person.vertices(pose_from_arkit(person.model, channels)) - person.rest - morphs[ARKIT_INDEX["jawOpen"]] / 2
    assert np.linalg.norm(error, axis=1).max() < 2.6e-3


def test_the_texture_has_every_splats_colour_at_its_texel(tiny_head: HeadModel) -> None:
    avatar = make_tiny_avatar(tiny_head, 40)
    size = 256
    picture = bake_texture(avatar, size)
    assert (picture.shape, picture.dtype) == ((size, size, 3), np.uint8)
    uv = (tiny_head.uv[tiny_head.uv_faces[avatar.triangle]] * avatar.bary[:, :, None]).sum(1)
    at = np.clip(np.stack([(1 - uv[:, 1]) * size, uv[:, 0] * size], 1).astype(int), 0, size - 1)
    alone = [
        i for i in range(40) if np.abs(at - at[i]).max(1).argsort()[1] and (np.abs(at - at[i]).max(1) < 3).sum() == 1
    ]
    assert len(alone) > 10
    sure = [i for i in alone if avatar.opacity_logit[i] > 3 and abs(avatar.offset[i, 2]) < 1e-3]
    got = picture[at[sure, 0], at[sure, 1]] / 255
    assert np.abs(got - avatar.color[sure]).max() < 0.12
