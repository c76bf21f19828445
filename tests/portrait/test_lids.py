"""Shut eyes, seen in their pixels: what the network is shown, whose word counts, and that it tells open from shut."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gshead_backend.errors import FileFormatError
from gshead_backend.portrait.image import decode_photo
from gshead_backend.portrait.locate import locate_face
from gshead_backend.portrait.nets.face_inputs import WINDOW, face_window
from gshead_backend.portrait.nets.lids import BELIEVED, BLINKS, eye_pictures, grey, with_lids
from gshead_backend.portrait.nets.lids_net import HEIGHT, VERSION, WIDTH, LidsNet, blink_of, shut_share, standardised
from gshead_backend.portrait.nets.mirror import mirror_landmarks
from gshead_backend.portrait.nets.regressor import FaceReading, read_face
from gshead_backend.portrait.nets.weights import Header, save_weights, weights_folder
from gshead_backend.training.crops import crop_sample
from gshead_backend.training.synthetic.sample import FIRST_PERSON, SHOTS, Drawing, draw

SHAPE = {"width": 8, "features": 16, "hidden": 16}
SHIPPED = weights_folder()


@pytest.fixture(scope="module")
def face(astronaut_bytes: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Picture and landmarks (478, 3)."""
    found = locate_face(decode_photo(astronaut_bytes))
    return found.photo.image, found.landmarks.solid


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shipped regressor alone."""
    shutil.copy(SHIPPED / "regressor.safetensors", tmp_path)
    monkeypatch.setenv("GSHEAD_WEIGHTS", str(tmp_path))
    return tmp_path


def save(folder: Path, says: float) -> None:
    """A network that says the same of every eye."""
    torch.manual_seed(0)
    net = LidsNet(**SHAPE)
    torch.nn.init.zeros_(net.both[-1].weight)
    torch.nn.init.constant_(net.both[-1].bias, says)
    arrays = {k: v.float().numpy() for k, v in net.state_dict().items()}
    save_weights(folder / "lids.safetensors", Header("lids", VERSION, SHAPE, []), arrays)


def blinks(reading: FaceReading) -> np.ndarray:
    return reading.arkit[list(BLINKS)]


def test_pixels_say_most_about_blinks_and_nothing_about_the_rest(
    weights: Path, face: tuple[np.ndarray, np.ndarray]
) -> None:
    alone = read_face(*face)
    others = np.delete(np.arange(52), BLINKS)
    for says, expected in ((9.0, 1.0), (-9.0, 0.0)):
        save(weights, says)
        both = read_face(*face)
        wanted = BELIEVED * expected + (1 - BELIEVED) * blinks(alone)
        np.testing.assert_allclose(blinks(both), wanted, atol=1e-3)
        np.testing.assert_array_equal(both.arkit[others], alone.arkit[others])
        np.testing.assert_array_equal(both.gaze, alone.gaze)


def test_a_damaged_file_is_told(weights: Path, face: tuple[np.ndarray, np.ndarray]) -> None:
    (weights / "lids.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(FileFormatError, match="not a weight file"):
        read_face(*face)


def test_a_mirrored_face_shows_the_same_eyes_the_other_way_round(face: tuple[np.ndarray, np.ndarray]) -> None:
    window, marks, _ = face_window(*face)
    seen = eye_pictures(window, marks)
    assert seen.shape == (2, HEIGHT, WIDTH, 3)
    mirrored = eye_pictures(np.ascontiguousarray(window[:, ::-1]), mirror_landmarks(marks, WINDOW))
    difference = np.abs(mirrored[::-1].astype(int) - seen.astype(int))
    assert difference.mean() < 2  # of 255: a pixel's edge is not a pixel's middle


def test_neither_exposure_nor_contrast_says_that_an_eye_is_shut(face: tuple[np.ndarray, np.ndarray]) -> None:
    window, marks, _ = face_window(*face)
    eyes = torch.from_numpy(grey(eye_pictures(window, marks)))
    torch.testing.assert_close(standardised(0.6 * eyes + 0.2), standardised(eyes), atol=0.25, rtol=0.1)
    assert standardised(torch.full((2, HEIGHT, WIDTH), 0.4)).abs().max() < 1e-4


def test_what_is_learned_comes_back_as_eyeblink() -> None:
    blink = torch.tensor([0.0, 0.3, 0.5, 0.7, 1.0])
    back = blink_of(shut_share(blink).logit())
    torch.testing.assert_close(back, torch.tensor([0.0, 0.2, 0.5, 0.8, 1.0]), atol=0.02, rtol=0)


def test_the_shipped_network_tells_shut_eyes_from_open_ones() -> None:
    """On synthetic people of the test split, whom it has never seen."""
    told: dict[bool, list[float]] = {True: [], False: []}
    for person in (0, 2, 3, 4, 5, 6):  # the glasses of person 1 mirror a window
        for kind, shut in (("blink", True), ("smile", False)):
            sample = draw(SHOTS * (FIRST_PERSON["test"] + person), Drawing(maps=False, kind=kind))
            if (face := crop_sample(sample)) is not None:
                read = with_lids(np.full(52, 0.5, np.float32), face["window"], face["window_marks"])[list(BLINKS)]
                told[shut] += list(read[(face["arkit"][list(BLINKS)] > 0.7) == shut])
    for shut, values in told.items():
        assert len(values) >= 8
        assert np.mean((np.array(values) > 0.5) == shut) > 0.85
