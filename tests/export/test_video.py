"""Videos: what another decoder reads back is what was rendered, and a failed one leaves nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import peers
import pytest

from gshead_backend.errors import ArgumentError, MissingEncoderError
from gshead_backend.export.video import find_encoder, video_writer

SIZE = (64, 48)


@pytest.fixture(scope="module")
def ffmpeg() -> str:
    folder = peers.python_package("imageio-ffmpeg")
    script = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"
    return peers.run([sys.executable, "-c", script], paths=(folder,)).strip()


@pytest.fixture
def encoder(ffmpeg: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GSHEAD_FFMPEG", ffmpeg)
    return ffmpeg


def frames(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Premultiplied colour and alpha: a flat colour that changes, covering the left half."""
    alpha = np.zeros((SIZE[1], SIZE[0]), np.float32)
    alpha[:, :32] = 1
    colors = np.array([[0.8, 0.3, 0.1], [0.2, 0.7, 0.4], [0.1, 0.2, 0.9]], np.float32)
    return [(alpha[..., None] * colors[i % 3], alpha) for i in range(count)]


def decode(ffmpeg: str, path: Path, *options: str) -> np.ndarray:
    command = [ffmpeg, "-v", "error", *options, "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, SIZE[1], SIZE[0], 4) / 255


def write_many(path: Path) -> None:
    """More than a pipe holds."""
    with video_writer(path, SIZE, 24) as write:
        for color, _ in frames(400):
            write(color)


@pytest.mark.parametrize(("ending", "options"), [("mp4", ()), ("mov", ()), ("webm", ("-c:v", "libvpx-vp9"))])
def test_frames_come_back(encoder: str, tmp_path: Path, ending: str, options: tuple[str, ...]) -> None:
    path = tmp_path / f"a.{ending}"
    transparent = ending != "mp4"
    with video_writer(path, SIZE, 12.5, transparent=transparent) as write:
        for color, alpha in frames(6):
            write(color, alpha) if transparent else write(color)
        assert not path.exists()
    got = decode(encoder, path, *options)
    assert len(got) == 6
    for picture, (color, _) in zip(got, frames(6), strict=True):
        inside = picture[8:-8, 8:24]
        assert np.abs(inside[..., :3] - color[8:-8, 8:24]).max() < 0.04
        if transparent:
            assert np.abs(inside[..., 3] - 1).max() < 0.02
            assert picture[8:-8, 40:-8, 3].max() < 0.02
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ["mp4", "mov", "webm"])
def test_a_video_says_what_it_is_under_any_name(encoder: str, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"take:1 100% ä.{ending}"
    with video_writer(path, SIZE, 24000 / 1001, comment='computed; "quoted" = Übung') as write:
        for color, _ in frames(24):
            write(color)
    told = subprocess.run([encoder, "-i", f"file:{path}", "-f", "ffmetadata", "-"], capture_output=True, check=True)
    text = told.stdout.decode().lower().replace("\\", "")
    assert 'comment=computed; "quoted" = übung' in text
    assert b" 23.98 fps" in told.stderr


def test_a_stopped_or_broken_video_leaves_nothing(encoder: str, tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(b"old")
    with contextlib.suppress(KeyboardInterrupt), video_writer(tmp_path / "old.mp4", SIZE, 24) as write:
        write(frames(1)[0][0])
        raise KeyboardInterrupt
    with pytest.raises(ArgumentError, match="does not fit"), video_writer(tmp_path / "b.mp4", SIZE, 24) as write:
        write(np.zeros((4, 4, 3)))
    with pytest.raises(ArgumentError, match="not one frame"), video_writer(tmp_path / "c.mp4", SIZE, 24):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["old.mp4"]
    assert (tmp_path / "old.mp4").read_bytes() == b"old"


def test_what_cannot_be_is_refused_before_anything_starts(encoder: str, tmp_path: Path) -> None:
    for path, size, more, message in (
        ("a.avi", SIZE, {}, "must end in"), ("a.mp4", SIZE, {"transparent": True}, "cannot be transparent"),
        ("a.mp4", (63, 48), {}, "even"), ("a.mov", SIZE, {"fps": 0}, "fps"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=message), video_writer(tmp_path / path, size, **({"fps": 24} | more)):
            raise AssertionError("not reached")
    assert not list(tmp_path.iterdir())


def test_without_an_encoder_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GSHEAD_FFMPEG", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingEncoderError, match=r"gshead-backend\[video\]"):
        find_encoder()
    monkeypatch.setenv("GSHEAD_FFMPEG", str(tmp_path / "nothing"))
    with pytest.raises(MissingEncoderError, match="cannot be run"), video_writer(tmp_path / "a.mp4", SIZE, 24):
        raise AssertionError("not reached")
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\necho \"Unknown encoder 'libx264'\" >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("GSHEAD_FFMPEG", str(fake))
    if os.name != "nt":
        with pytest.raises(MissingEncoderError, match="libx264"):
            write_many(tmp_path / "a.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["ffmpeg"]
