"""Frames: what a compositor or a viewer reads back is what was rendered."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
from PIL import Image

from gshead_backend.camera import orbit_camera
from gshead_backend.errors import ArgumentError, ExportError
from gshead_backend.export.frames import camera_metadata, write_exr, write_png


@pytest.fixture
def frame() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Premultiplied colour, alpha, depth; 7x5 with rows and columns that all differ."""
    rng = np.random.default_rng(1)
    alpha = rng.uniform(0.3, 1, (5, 7)).astype(np.float32)
    alpha[0], alpha[4] = 0, 1
    straight = rng.uniform(0, 1, (5, 7, 3)).astype(np.float32)
    straight[4, :, 0] = 0.5
    depth = np.where(alpha > 0, rng.uniform(0.5, 2, (5, 7)), np.inf).astype(np.float32)
    return straight * alpha[..., None], alpha, depth


@pytest.mark.parametrize("bits", [8, 16])
def test_png_is_straight_and_the_right_way_up(
    frame: tuple[np.ndarray, np.ndarray, np.ndarray], tmp_path: Path, bits: int
) -> None:
    color, alpha, _ = frame
    write_png(tmp_path / "a.png", color, alpha, bits=bits)  # type: ignore[arg-type]
    got = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3]]
    assert got.dtype == (np.uint8 if bits == 8 else np.uint16)
    top = 2**bits - 1
    seen = alpha > 0
    want = np.where(seen[..., None], color / np.maximum(alpha, 1e-9)[..., None], 0)
    assert np.abs(got[..., 3] / top - alpha).max() <= 0.51 / top
    assert np.abs(got[..., :3] / top - want).max() <= 0.52 / top
    assert (got[~seen] == 0).all()


def test_png_without_alpha_opens_in_another_reader(
    frame: tuple[np.ndarray, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    write_png(tmp_path / "a.png", frame[0])
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert (image.mode, image.size) == ("RGB", (7, 5))
        assert np.abs(np.asarray(image) / 255 - frame[0]).max() < 0.51 / 255


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 1e-3), ("float32", 1e-6)])
def test_exr_is_linear_premultiplied_with_depth(
    frame: tuple[np.ndarray, np.ndarray, np.ndarray], tmp_path: Path, dtype: str, tolerance: float
) -> None:
    color, alpha, depth = frame
    write_exr(tmp_path / "a.exr", color, alpha, depth, dtype=dtype)  # type: ignore[arg-type]
    with OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        channels = {name: channel.pixels for name, channel in file.channels().items()}
        assert tuple(file.header()["chromaticities"])[:2] == pytest.approx((0.64, 0.33))
    assert set(channels) == set("RGBAZ")
    assert channels["R"].dtype == dtype
    assert channels["Z"].dtype == np.float32
    assert np.array_equal(channels["Z"], depth)
    assert np.allclose(channels["A"], alpha, atol=tolerance)
    # sRGB 0.5 is 0.21404 linear; row 4 is opaque, so there premultiplying changes nothing
    assert np.allclose(channels["R"][4], 0.21404, atol=max(tolerance, 1e-5))
    straight = np.where(alpha > 0, color[..., 1] / np.maximum(alpha, 1e-9), 0)
    linear = np.where(straight <= 0.04045, straight / 12.92, ((straight + 0.055) / 1.055) ** 2.4)
    assert np.allclose(channels["G"], linear * alpha, atol=max(tolerance, 2e-6))


def test_exr_carries_metadata(frame: tuple[np.ndarray, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    color, alpha, _ = frame
    camera = orbit_camera(20, size=(7, 5))
    notes = {"avatar": "Ada", "frame": 12, **camera_metadata(camera)}
    write_exr(tmp_path / "a.exr", color, alpha, metadata=notes)
    with OpenEXR.File(str(tmp_path / "a.exr")) as file:
        header = dict(file.header())
    assert (header["gshead:avatar"], header["gshead:frame"]) == ("Ada", 12)
    assert np.allclose(header["gshead:K"], camera.K)
    assert np.allclose(header["gshead:worldToCamera"], camera.viewmat, atol=1e-6)
    for wrong in (np.nan, np.zeros(3), None):
        with pytest.raises(ArgumentError, match="'pose'"):
            write_exr(tmp_path / "b.exr", color, alpha, metadata={"pose": wrong})  # type: ignore[dict-item]
    assert not (tmp_path / "b.exr").exists()


def test_wrong_shapes_and_places_are_named(frame: tuple[np.ndarray, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    color, alpha, depth = frame
    for message, call in (
        ("alpha has shape", lambda p: write_png(p, color, alpha.T)),
        ("16 bits", lambda p: write_png(p, color, alpha, bits=12)),  # type: ignore[arg-type]
        ("colour must have shape", lambda p: write_exr(p, color[..., :2], alpha)),
        ("depth has shape", lambda p: write_exr(p, color, alpha, depth.T)),
        ("float16 or float32", lambda p: write_exr(p, color, alpha, dtype="float64")),  # type: ignore[arg-type]
    ):
        with pytest.raises(ArgumentError, match=message):
            call(tmp_path / "a")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    for call in (lambda p: write_png(p, color), lambda p: write_exr(p, color, alpha)):
        with pytest.raises(ExportError, match="cannot be written"):
            call(tmp_path / "file" / "a.exr")


def test_a_png_tells_what_made_it(tmp_path: Path) -> None:
    told = {"Software": "gshead 1.0", "Comment": "computed, not filmed; Übung"}
    write_png(tmp_path / "a.png", np.full((4, 5, 3), 0.5), np.ones((4, 5)), text=told)
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert {k: str(v) for k, v in image.info.items() if k in told} == told
        assert image.size == (5, 4)
    write_png(tmp_path / "b.png", np.full((4, 5, 3), 0.5), np.ones((4, 5)))
    assert b"iTXt" not in (tmp_path / "b.png").read_bytes()
