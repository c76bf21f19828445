"""``gshead render`` and ``relight`` as a user meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
from run_cli import ROOT, TAKE, gshead

from gshead_backend.avatar import load_avatar


def test_render_writes_the_frames_it_names(avatar_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    done = gshead(
        "render", avatar_file, "-o", out, "--take", TAKE, "--frames", "6,25,34-36:2", "--size", "96x64", "--json"
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [Path(f).name for f in result["files"]] == ["0006.png", "0025.png", "0034.png", "0036.png"]
    assert sorted(p.name for p in out.glob("*.png")) == ["0006.png", "0025.png", "0034.png", "0036.png"]
    assert json.loads((out / "manifest.json").read_text())["missing"] == []
    images = [cv2.imread(f, cv2.IMREAD_UNCHANGED) for f in result["files"]]
    assert all(i.shape == (64, 96, 4) for i in images)
    assert images[0][..., 3].max() > 200, "the head is there"
    assert images[0][0, 0, 3] == 0, "the corner is transparent"
    assert np.abs(images[0].astype(int) - images[1]).max() > 30, "the head turns"
    assert "100%" in done.stderr


def test_render_exr_and_backgrounds(avatar_file: Path, tmp_path: Path) -> None:
    done = gshead("render", avatar_file, "-o", tmp_path, "--size", "64", "--format", "exr")
    assert done.returncode == 0, done.stderr
    with OpenEXR.File(str(tmp_path / "0001.exr"), separate_channels=True) as file:
        channels = {name: c.pixels for name, c in file.channels().items()}
    assert set(channels) == set("RGBAZ")
    seen = channels["A"] > 0.5
    assert np.isfinite(channels["Z"][seen]).all()
    assert np.isinf(channels["Z"][0, 0])
    done = gshead("render", avatar_file, "-o", tmp_path, "--size", "64", "--background", "#ff8000", "--yaw", "30")
    assert done.returncode == 0, done.stderr
    image = cv2.imread(str(tmp_path / "0001.png"), cv2.IMREAD_UNCHANGED)
    assert image.shape == (64, 64, 3)
    assert image[0, 0].tolist() == [0, 128, 255]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_at_once_and_leaves_only_whole_files(avatar_file: Path, tmp_path: Path) -> None:
    command = ["render", avatar_file, "-o", tmp_path, "--take", TAKE, "--size", "1024"]
    with subprocess.Popen(
        [sys.executable, "-m", "gshead_backend.cli", *map(str, command)], stderr=subprocess.PIPE, text=True, cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if "Frame" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(30) == 130, rest
    assert "GSH-E103" in rest
    assert "Traceback" not in rest
    written = sorted(p.name for p in tmp_path.glob("*.png"))
    assert 0 < len(written) < 48
    assert not list((tmp_path / ".gshead").glob("*.claim"))
    for name in written:
        assert cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED).shape == (1024, 1024, 4)


def test_render_writes_a_video_or_says_what_is_missing(avatar_file: Path, tmp_path: Path) -> None:
    arguments = ("render", avatar_file, "--take", TAKE, "--frames", "1-3", "--size", "64x64", "--device", "cpu")
    bare = {"PATH": str(tmp_path), "GSHEAD_FFMPEG": ""}
    done = gshead(*arguments, "-o", tmp_path / "a.mp4", "--background", "grey", **bare)
    if done.returncode != 0:  # the optional extra is not installed here
        assert (done.returncode, "GSH-E701" in done.stderr) == (1, True), done.stderr
    recorder = tmp_path / "recorder"
    recorder.write_text(f"#!{sys.executable}\nimport sys; open(sys.argv[-1], 'wb').write(sys.stdin.buffer.read())\n")
    recorder.chmod(0o755)
    out = tmp_path / "b.mp4"
    done = gshead(*arguments, "-o", out, "--background", "#808080", "--json", GSHEAD_FFMPEG=str(recorder))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] == [str(out)]
    pixels = np.frombuffer(out.read_bytes(), np.uint8).reshape(3, 64, 64, 3)
    assert (pixels[:, 0, 0] == 128).all()
    assert np.abs(pixels.astype(int) - 128).max() > 20
    done = gshead(*arguments, "-o", tmp_path / "c.mp4", GSHEAD_FFMPEG=str(recorder))
    assert (done.returncode, "cannot be transparent" in done.stderr) == (2, True)


def test_render_by_a_lamp_from_either_side(avatar_file: Path, tmp_path: Path) -> None:
    def shot(*how: str) -> np.ndarray:
        done = gshead("render", avatar_file, "-o", tmp_path, "--size", "64", "--device", "cpu", *how)
        assert done.returncode == 0, done.stderr
        pixels = cv2.imread(str(tmp_path / "0001.png"), cv2.IMREAD_UNCHANGED).astype(np.float64)
        return pixels[..., :3] * pixels[..., 3:] / 255

    left, right, photo = shot("--lamp", "80", "0"), shot("--lamp", "-80", "0"), shot()  # no frame stands for another
    assert left[:, 32:].mean() > 1.1 * right[:, 32:].mean()
    assert right[:, :32].mean() > 1.1 * left[:, :32].mean()
    assert np.abs(photo - left).max() > 20
    assert gshead("render", avatar_file, "-o", tmp_path, "--lamp", "0", "0", "--soft", "2").returncode == 2


def test_relight_writes_any_avatar_in_another_light(avatar_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "lit.gshead"
    done = gshead("relight", avatar_file, "-o", out, "--yaw", "60", "--soft", "0.1")
    assert done.returncode == 0, done.stderr
    before, after = load_avatar(avatar_file), load_avatar(out)
    assert np.abs(after.color - before.color).max() > 0.05
    assert np.shape(after.provenance["light"]) == (9, 3)
