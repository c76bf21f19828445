"""GAGAvatar in Blender: a checkpoint and a photo become a timeline, whose pixels are the network's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import ROOT, VERSIONS, Blender, blender_python
from pictures import read_passes, read_rgba

sys.path.insert(0, str(Path(__file__).parents[1] / "head"))
from released_home import install_released

from gshead_backend.avatar import load_avatar
from gshead_backend.camera import Camera
from gshead_backend.head import HeadPose
from gshead_backend.methods.gagavatar.lifting import opencv_camera
from gshead_backend.methods.gagavatar.painter import Painter
from gshead_backend.methods.gagavatar.person import UNITS, local_points
from gshead_backend.methods.gagavatar.window import covered
from gshead_backend.methods.needs import GAGAVATAR, require
from gshead_backend.protocol.transfer import pack_frame
from gshead_backend.raster import Rendered

PHOTO = ROOT / "samples" / "synthetic_portrait.png"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_timeline_is_what_the_network_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the newest Blender that is here; what the add-on does is the same in all of them."""
    there = [version for version in VERSIONS if blender_python(version).exists()]
    if not there:
        pytest.skip("SKIPPED: no Blender is set up here (python3 bootstrap.py setup)")
    home, out, runtime = tmp_path / "data", tmp_path / "out", Path(tempfile.mkdtemp(prefix="gsh-"))
    home.mkdir()
    out.mkdir()

    def gshead(*arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "GSHEAD_DATA_DIR": str(home)}
        command = [sys.executable, "-m", "gshead_backend.cli", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)

    install_released(home, gshead)
    blender = Blender(there[-1], tmp_path / "blender", runtime, {"GSHEAD_DATA_DIR": str(home)})
    blender.resources.mkdir()
    told = blender.run("painted_head", timeout=900, out=str(out), portrait=str(PHOTO), size=512)
    shutil.rmtree(runtime, ignore_errors=True)
    assert "no method 'no-such'" in told["missing"]
    assert told["method"] == "gagavatar"
    for text in told["refused"]:
        assert "drawn by a network" in text
    assert not {"a.ply", "a.usd"} & set(told["files"])
    assert told["light"] is None, "nor is it lit by the scene, whatever its setting says"

    monkeypatch.setenv("GSHEAD_DATA_DIR", str(home))
    person = load_avatar(out / "ada.gshead")
    painter = Painter.from_file(require(GAGAVATAR))
    subject = painter.subject(person)
    photo, frames = opencv_camera(person.portrait.camera, 512), []
    for number, vector in enumerate(told["poses"], 1):
        pose = HeadPose.from_vector(np.array(vector, np.float32))
        motion, points = local_points(subject.head, pose)
        if number < 3:  # the parity path: the network's own frame from the photo's camera
            np.testing.assert_allclose(motion, np.eye(4), atol=1e-6)
            points = torch.from_numpy((points * UNITS).astype(np.float32))
            network = painter.network.frame(subject.identity, points, photo)
            rgb, alpha = covered(network.rgb, network.alpha)
            drawn = Rendered(rgb.permute(1, 2, 0), alpha, network.depth / UNITS)
        else:  # a turned head: the network looks straight at it, and its picture is laid into the frame
            assert np.abs(motion - np.eye(4)).max() > 0.1
            view = photo.viewmat.copy()
            view[:3, 3] /= UNITS
            drawn = painter.draw(subject, Camera(512, 512, photo.K, view), np.eye(4), pose)
        got, solid = read_rgba(out / f"{number}.exr"), drawn.alpha.numpy() > 0.5
        wanted = pack_frame(drawn.color.numpy(), drawn.alpha.numpy(), "float32")
        assert solid.mean() > 0.05
        np.testing.assert_allclose(got, wanted, atol=6e-3)  # one step of 255 more or less is cut
        depth = read_passes(out / f"{number}.exr")["Depth.Z"]
        np.testing.assert_allclose(depth[solid], drawn.depth.numpy()[solid], atol=2e-3)
        frames.append(got)
    assert np.abs(frames[0] - frames[1]).max() > 0.02
    assert np.abs(frames[1] - frames[2]).max() > 0.2
