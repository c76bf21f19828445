"""``import_head`` on a file with ICT-FaceKit's tables (a fabricated one, made from the default head)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gshead_backend.errors import FileFormatError
from gshead_backend.head import (
    ARKIT_INDEX,
    ARKIT_NAMES,
    HeadModel,
    PersonalHead,
    default_head,
    load_head,
    pose_from_arkit,
)
from gshead_backend.head.importing import import_head
from gshead_backend.head.importing.lids import FURTHEST, RIMS, SHUT, opening, shown
from gshead_backend.head.skinning import dense_expressions

KINDS = {"skin": 0, "gums": 1, "tongue": 1, "teeth_upper": 2, "teeth_lower": 2, "eye_left": 3, "eye_right": 4}


def ict_tables() -> dict[str, np.ndarray]:
    head = default_head()
    person = PersonalHead.create(head, np.zeros(head.identity_count))
    dense = dense_expressions(head).reshape(52, -1, 3)
    names, shapes = [], []
    for name in ("eyeBlinkLeft", "eyeBlinkRight", "mouthPucker", "mouthSmileLeft", "mouthSmileRight"):
        names.append(name.replace("Left", "_L").replace("Right", "_R"))
        shapes.append(dense[ARKIT_INDEX[name]])
    opened = np.zeros(52)
    opened[ARKIT_INDEX["jawOpen"]] = 1
    names.append("jawOpen")
    shapes.append(person.vertices(pose_from_arkit(head, opened)) - person.rest)
    half = dense[ARKIT_INDEX["browInnerUp"]] / 2
    names += ["browInnerUp_L", "browInnerUp_R"]
    shapes += [half, half]
    identity = [head.subdivision @ np.ascontiguousarray(head.identity_dirs[:, :, b]) for b in range(6)]
    tile = np.array([[1.0, 0.0]]) * (head.region[head.faces[:, 0]] == 1)[:, None]  # the scalp lies in a tile of its own
    corner = head.uv[head.uv_faces] * 0.9 + 0.05 + tile[:, None]
    return {
        "v_template": person.rest, "identity_dirs": np.stack(identity, -1).astype(np.float16),
        "expression_dirs": np.stack(shapes, -1).astype(np.float16), "expression_names": np.array(names),
        "faces": head.faces.astype(np.uint16), "uv": corner.reshape(-1, 2).astype(np.float32),
        "uv_faces": np.arange(3 * len(head.faces)).reshape(-1, 3), "skin_weights": head.skin_weights,
        "joints": head.joints, "region": np.array([KINDS.get(head.region_names[r], 0) for r in head.region], np.uint8),
    }  # fmt: skip


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> HeadModel:
    folder = tmp_path_factory.mktemp("ict")
    np.savez(folder / "ict.npz", **ict_tables())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSHEAD_DATA_DIR", str(folder / "data"))
        return load_head(import_head(folder / "ict.npz", "ict"))


def test_channels_drive_the_shapes_of_their_names(imported: HeadModel) -> None:
    person = PersonalHead.create(imported, np.zeros(imported.identity_count))
    for name, shape in (("eyeBlinkLeft", "eyeBlink_L"), ("jawOpen", "jawOpen"), ("mouthPucker", "mouthPucker")):
        values = np.zeros(52)
        values[ARKIT_INDEX[name]] = 1
        moved = person.vertices(pose_from_arkit(imported, values)) - person.rest
        index = imported.expression_names.index(shape)
        driven = imported.arkit_expression[ARKIT_INDEX[name], index]
        assert 1 <= driven < FURTHEST if name.startswith("eyeBlink") else driven == 1
        np.testing.assert_allclose(moved, driven * imported.expression_dirs[..., index], atol=1e-5)
    both = imported.arkit_expression[ARKIT_INDEX["browInnerUp"]]
    assert [n for n, w in zip(imported.expression_names, both, strict=True) if w] == ["browInnerUp_L", "browInnerUp_R"]
    silent = {n for n in ARKIT_NAMES if not imported.arkit_expression[ARKIT_INDEX[n]].any()}
    assert "tongueOut" in silent
    assert not silent & {"jawOpen", "eyeBlinkRight", "mouthSmileLeft"}


def test_landmarks_and_regions_are_found_again(imported: HeadModel) -> None:
    source = default_head()

    def marks(head: HeadModel) -> np.ndarray:
        rest = PersonalHead.create(head, np.zeros(head.identity_count)).rest
        return (rest[head.faces[head.landmark_triangles]] * head.landmark_bary[:, :, None]).sum(1)

    gap = np.linalg.norm(marks(imported) - marks(source), axis=1)
    assert np.median(gap) < 0.004
    for name in ("lips", "scalp", "ear", "eye_left", "teeth_lower"):
        mine, theirs = imported.region_mask(name), source.region_mask(name)
        assert (mine & theirs).sum() > 0.6 * theirs.sum(), name
    assert imported.license == "MIT"


def test_blinks_close_wide_and_narrow_eyes_alike(imported: HeadModel) -> None:
    shut = np.zeros(52)
    shut[[ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]] = 1
    rng = np.random.default_rng(0)
    people = [1.5 * rng.standard_normal(imported.identity_count) for _ in range(20)]

    def openings(head: HeadModel, values: np.ndarray) -> np.ndarray:
        heads = [PersonalHead.create(head, betas).vertices(pose_from_arkit(head, values)) for betas in people]
        return np.array([[opening(head, v, side)[1:4].mean() for side in RIMS] for v in heads])

    mean = PersonalHead.create(imported, np.zeros(imported.identity_count))
    for side in RIMS:
        assert shown(imported, mean, 1.0, side) <= SHUT * shown(imported, mean, 0.0, side)
    assert openings(imported, np.zeros(52)).std() > 0.0004
    unhelped = openings(dataclasses.replace(imported, expression_gain=None), shut)
    closed = openings(imported, shut)
    assert closed.std() < 0.4 * unhelped.std()
    assert closed.max() < unhelped.max()


def test_every_triangle_stays_in_its_tile(imported: HeadModel) -> None:
    uv = imported.uv[imported.uv_faces]
    assert uv.min() >= 0
    assert uv.max() <= 1
    assert (np.ptp(np.floor(uv * 2 - 1e-6), axis=1) == 0).all()


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("faces", np.full((4, 3), 60000, np.uint16), "points outside"),
        ("joints", np.zeros((4, 3)), "expected"),
        ("region", np.zeros(7, np.uint8), "7 rows"),
        ("v_template", np.full((21239, 3), np.nan, np.float32), "NaN"),
        ("expression_names", np.array(["jawOpen"]), "does not name"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, key: str, value: np.ndarray, what: str) -> None:
    np.savez(tmp_path / "ict.npz", **(ict_tables() | {key: value}))
    with pytest.raises(FileFormatError, match=what):
        import_head(tmp_path / "ict.npz", "broken")
