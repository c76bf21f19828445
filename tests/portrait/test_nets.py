"""The portrait networks in use: inputs, weights that are absent, foreign or hostile, and what comes out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from rendered_subjects import render_subject

from gshead_backend.errors import ArgumentError, FileFormatError, MissingWeightsError
from gshead_backend.head import HeadModel
from gshead_backend.head.arkit import ARKIT_INDEX
from gshead_backend.portrait.angles import angles_as_seen, head_angles, rotation_of, toward_ray
from gshead_backend.portrait.labels import LABEL_INDEX, LABELS
from gshead_backend.portrait.matte import FACE_OVAL
from gshead_backend.portrait.nets import inputs
from gshead_backend.portrait.nets.mirror import ARKIT_MIRROR, LANDMARK_MIRROR, mirror_landmarks
from gshead_backend.portrait.nets.parser import _holes_filled, load_parser, parse, run_parser
from gshead_backend.portrait.nets.parser_net import VERSION, ParserNet, packed, unpacked
from gshead_backend.portrait.nets.regressor import load_regressor, read_face
from gshead_backend.portrait.nets.regressor_net import VERSION as REGRESSOR_VERSION
from gshead_backend.portrait.nets.regressor_net import RegressorNet
from gshead_backend.portrait.nets.weights import Header, load_weights, save_weights

PARSER_SHAPE = {"w0": 8, "w1": 8, "w2": 8, "w3": 8, "w4": 8}
REGRESSOR_SHAPE = {"face": 8, "eye": 8, "hidden": 32, "region": 8}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with small untrained networks, taken instead of the one that comes with the package."""
    monkeypatch.setenv("GSHEAD_WEIGHTS", str(tmp_path))
    return tmp_path


def save_parser(folder: Path, **changes: object) -> ParserNet:
    torch.manual_seed(1)
    net = ParserNet(**PARSER_SHAPE)
    values = {"network": "parser", "version": VERSION, "shape": PARSER_SHAPE, "labels": list(LABELS), **changes}
    save_weights(folder / "parser.safetensors", Header(**values), _arrays(net))
    return net.eval()


def save_regressor(folder: Path) -> RegressorNet:
    torch.manual_seed(2)
    net = RegressorNet(**REGRESSOR_SHAPE)
    net.light_unit.fill_(2.0)
    header = Header("regressor", REGRESSOR_VERSION, REGRESSOR_SHAPE, [])
    save_weights(folder / "regressor.safetensors", header, _arrays(net))
    return net.eval()


def _arrays(net: torch.nn.Module) -> dict[str, np.ndarray]:
    return {k: v.numpy() for k, v in net.state_dict().items()}


@pytest.fixture(scope="module")
def portrait(head: HeadModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture, landmarks (478, 3) from the head's own points and K."""
    subject = render_subject(head, yaw=15, size=(384, 384))
    vertices = subject.personal.vertices(subject.pose)
    at = (vertices[head.faces[head.landmark_triangles]] * head.landmark_bary[:, :, None]).sum(1)
    face = subject.camera.project(at)[:, :2]
    irises = [np.tile(face[list(ring)].mean(0), (5, 1)) for ring in inputs.EYE_RINGS]
    flat = np.concatenate([face, *irises])
    depth = -at[:, 2] * np.ptp(face[:, 1]) / np.ptp(at[:, 1])
    eyes = [depth[list(ring)].mean().repeat(5) for ring in inputs.EYE_RINGS]
    return subject.image, np.column_stack([flat, np.concatenate([depth, *eyes])]), subject.camera.K


def test_without_weights_the_caller_is_told_to_fall_back(weights: Path, portrait: tuple) -> None:
    image, landmarks, _ = portrait
    with pytest.raises(MissingWeightsError, match="not installed"):
        parse(image, landmarks[:, :2])
    with pytest.raises(MissingWeightsError) as caught:
        read_face(image, landmarks)
    assert "gshead train regressor" in caught.value.remedy


def test_a_parsing_adds_up(weights: Path, portrait: tuple) -> None:
    save_parser(weights)
    image, landmarks, _ = portrait
    found = parse(image, landmarks[:, :2])
    assert found.probabilities.shape == (12, 384, 384)
    assert found.probabilities.dtype == np.float16
    assert found.matte.shape == (384, 384)
    total = found.probabilities.astype(np.float32)
    np.testing.assert_allclose(total.sum(0), 1, atol=0.01)
    np.testing.assert_allclose(1 - total[0], found.matte, atol=0.02)
    assert 0 <= found.matte.min() <= found.matte.max() <= 1


def test_the_saved_parser_says_what_the_trained_one_said(weights: Path) -> None:
    net = save_parser(weights)
    rng = np.random.default_rng(0)
    sizes = (64, 32, 16, 8, 4)
    channels = (inputs.PARSER_CHANNELS, *inputs.PERSON_CHANNELS)
    made = [rng.standard_normal((c, s, s), np.float32) for c, s in zip(channels, sizes, strict=True)]
    with torch.inference_mode():
        logits = net(*(torch.from_numpy(a)[None] for a in made))[0].numpy()
    classes, matte = run_parser(load_parser(), inputs.ParserInput(*made))
    expected = np.exp(logits[:12]) / np.exp(logits[:12]).sum(0)
    np.testing.assert_allclose(classes, expected, atol=3e-3)  # fp16 weights
    np.testing.assert_allclose(matte, 1 / (1 + np.exp(-logits[12])), atol=3e-3)


def test_cells_keep_the_place_of_pixels() -> None:
    image = torch.arange(2 * 8 * 8).reshape(2, 8, 8)
    assert torch.equal(unpacked(packed(image)[..., None])[:, 0], image)


def test_new_weights_are_seen_without_a_restart(weights: Path) -> None:
    save_parser(weights)
    first = load_parser()
    assert load_parser() is first
    save_parser(weights, step=7)
    assert load_parser() is not first


def test_a_reading_has_its_units(weights: Path, portrait: tuple) -> None:
    save_regressor(weights)
    image, landmarks, K = portrait
    seen = read_face(image, landmarks)
    assert seen.arkit.shape == seen.arkit_sd.shape == (52,)
    assert (seen.arkit >= 0).all()
    assert (seen.arkit <= 1).all()
    assert seen.gaze.shape == seen.gaze_sd.shape == (2, 2)
    assert seen.head.shape == seen.head_sd.shape == (3,)
    assert seen.light.shape == (9, 3)
    assert (seen.arkit_sd > 0).all()
    off_axis = K.copy()
    off_axis[0, 2] += 200  # the camera looks past the face, to its left in the picture
    assert abs(read_face(image, landmarks, off_axis).head[0] - read_face(image, landmarks, K).head[0]) > 0.05


def test_roll_of_the_picture_is_roll_of_the_head(weights: Path, portrait: tuple) -> None:
    save_regressor(weights)
    image, landmarks, _ = portrait
    turned = np.ascontiguousarray(np.rot90(image, -1))  # clockwise
    points = np.stack([image.shape[0] - landmarks[:, 1], landmarks[:, 0], landmarks[:, 2]], 1)
    difference = read_face(turned, points).head - read_face(image, landmarks).head
    np.testing.assert_allclose(difference, [0, 0, np.pi / 2], atol=0.05)


@pytest.mark.parametrize("bad", ["float", "wide", "landmarks"])
def test_wrong_inputs_are_errors(weights: Path, portrait: tuple, bad: str) -> None:
    image, landmarks, _ = portrait
    image = {"float": image.astype(np.float32), "wide": image[:100], "landmarks": image}[bad]
    landmarks = landmarks[:100] if bad == "landmarks" else landmarks
    with pytest.raises(ArgumentError):
        parse(image, landmarks[:, :2])
    if bad != "wide":
        with pytest.raises(ArgumentError):
            read_face(image, landmarks)


def test_weights_of_another_version_count_as_absent(weights: Path) -> None:
    save_parser(weights, version=VERSION + 1)
    with pytest.raises(MissingWeightsError, match="version"):
        load_parser()


def test_foreign_and_hostile_files_are_refused(weights: Path) -> None:
    path = weights / "parser.safetensors"
    net = ParserNet(**PARSER_SHAPE)
    arrays = {k: v.astype(np.float16) for k, v in _arrays(net).items()}
    good = {"network": "parser", "version": VERSION, "shape": PARSER_SHAPE, "labels": list(LABELS)}

    def written(header: object, **changed: np.ndarray) -> Path:
        text = header if isinstance(header, str) else json.dumps(header)
        path.write_bytes(safetensors.numpy.save({**arrays, **changed}, {"gshead": text}))
        return path

    hostile = [
        b"", b"\xff" * 100, b"PK\x03\x04" + bytes(64), (2**62).to_bytes(8, "little") + b"{}",
        safetensors.numpy.save(arrays), b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    ]  # fmt: skip
    for data in hostile:
        path.write_bytes(data)
        with pytest.raises(FileFormatError):
            load_weights("parser", VERSION)
    for header in ("{", "[]", {**good, "extra": 1}, {**good, "format": "other"}, {"network": "parser"}):
        with pytest.raises(FileFormatError):
            load_weights("parser", VERSION, written(header))
    huge = {**good, "shape": {**PARSER_SHAPE, "w4": 10**6}}
    wrong = {**good, "shape": {**PARSER_SHAPE, "w1": 16}}
    strange = {**good, "shape": {"depth": 16}}
    for header in (huge, wrong, strange, {**good, "labels": ["cat", "dog"]}):
        with pytest.raises(FileFormatError):
            load_parser(written(header))
    broken = np.full_like(arrays["stem.norm.weight"], np.nan)
    with pytest.raises(FileFormatError, match="finite"):
        load_parser(written(good, **{"stem.norm.weight": broken}))
    path.write_bytes(bytes(17 * 1024 * 1024))
    with pytest.raises(FileFormatError, match="bytes"):
        load_regressor(path)


def test_mirroring_twice_changes_nothing() -> None:
    points = np.random.default_rng(0).uniform(0, 256, (478, 2))
    np.testing.assert_allclose(mirror_landmarks(mirror_landmarks(points, 256), 256), points)
    assert LANDMARK_MIRROR[33] == 263
    assert LANDMARK_MIRROR[468] == 473
    assert ARKIT_MIRROR[ARKIT_INDEX["eyeBlinkLeft"]] == ARKIT_INDEX["eyeBlinkRight"]
    assert ARKIT_MIRROR[ARKIT_INDEX["jawLeft"]] == ARKIT_INDEX["jawRight"]
    assert ARKIT_MIRROR[ARKIT_INDEX["browInnerUp"]] == ARKIT_INDEX["browInnerUp"]
    assert set(LANDMARK_MIRROR[list(FACE_OVAL)]) == set(FACE_OVAL)


def test_angles_and_rotations_are_inverse() -> None:
    rng = np.random.default_rng(1)
    for angles in rng.uniform(-0.9, 0.9, (20, 3)):
        R = rotation_of(angles)
        np.testing.assert_allclose(head_angles(R), angles, atol=1e-9)
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
    ray = np.array([0.3, -0.2, 1.0])
    np.testing.assert_allclose(toward_ray(ray) @ ray, [0, 0, np.linalg.norm(ray)], atol=1e-9)


def test_a_head_beside_the_axis_looks_turned() -> None:
    viewmat = np.eye(4)
    viewmat[:3, :3] = rotation_of(np.zeros(3))
    viewmat[:3, 3] = [0.3, 0, 1.0]  # right in the picture, parallel to the camera's axis
    seen = angles_as_seen(viewmat, np.zeros(3))
    assert np.degrees(seen[0]) == pytest.approx(np.degrees(np.arctan(0.3)), abs=0.1)
    assert abs(seen[1]) < 1e-6


def test_parser_maps_say_where_the_face_is(portrait: tuple) -> None:
    image, landmarks, _ = portrait
    x = inputs.drawn_input(image, np.zeros(image.shape[:2], np.uint8), landmarks[:, :2])
    assert x.shape == (9, 384, 384)
    assert x.dtype == np.float32
    nose = np.round(landmarks[1]).astype(int)
    assert x[4, nose[1], nose[0]] == 1
    assert x[4, 5, 5] == 0
    middle = (landmarks[10] + landmarks[152]) / 2
    at = x[7:, int(middle[1]), int(middle[0])]
    assert np.abs(at).max() < 0.02
    assert x[8, 5, 200] > x[8, 350, 200]  # up is positive


def test_holes_in_plain_clothes_are_filled() -> None:
    """Background that the person encloses (or that lies at the picture's lower border) is the person, if it may be."""
    size = 128
    landmarks = np.zeros((478, 2))
    landmarks[152] = [64, 60]
    y, x = np.mgrid[:size, :size]
    body = (np.abs(x - 64) < 50) & (y > 70)
    hole = (np.abs(x - 50) < 8) & (np.abs(y - 95) < 8)
    low = (np.abs(x - 90) < 8) & (y > 112)
    beside = (x < 10) & (y > 90)
    matte = (body & ~hole & ~low).astype(np.float32)
    classes = np.zeros((len(LABELS), size, size), np.float32)
    classes[LABEL_INDEX["clothes"]] = matte
    classes[0] = 1 - matte
    person = (body | beside).astype(np.float32)
    filled, whole = _holes_filled(classes, matte, person, landmarks)
    clothes = filled[LABEL_INDEX["clothes"]]
    assert clothes[hole].min() > 0.9
    assert clothes[low].min() > 0.9
    assert whole[hole | low].min() > 0.9
    assert whole[beside].max() == 0  # somebody else
    assert np.allclose(filled.sum(0), 1, atol=1e-5)
    same, _ = _holes_filled(classes, matte, 0 * person, landmarks)  # nobody there: a gap between arm and body
    assert same[LABEL_INDEX["clothes"]][hole].max() == 0
