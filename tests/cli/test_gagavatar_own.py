"""A network of one's own from the command line: footage, training, import, a photo, frames; on the default head."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from tiny_footage import tiny_config, write_people  # pyright: ignore[reportMissingImports]

from gshead_backend.avatar import load_avatar
from gshead_backend.avatar.framing import portrait_camera
from gshead_backend.head import HeadPose, default_head
from gshead_backend.methods.gagavatar.network import Network
from gshead_backend.methods.gagavatar.painter import Painter
from gshead_backend.methods.gagavatar.parts import read_parts
from gshead_backend.portrait.assets import missing_assets

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "samples" / "synthetic_portrait.png"


def gshead(*arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GSHEAD_DATA_DIR": str(home)}
    command = [sys.executable, "-m", "gshead_backend.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=environment)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(bool(missing_assets()), reason="the portrait networks are not installed (gshead assets fetch)")
def test_footage_becomes_a_network_that_draws_a_photo(tmp_path: Path) -> None:
    """No FLAME head is needed, and the frame is what the trained parts draw."""
    head = default_head()
    write_people(tmp_path / "footage", head, range(2), frames=2)
    config = tmp_path / "mine.json"
    config.write_bytes(msgspec.json.encode(tiny_config(steps=2, validation_samples=2)))
    out = tmp_path / "out"
    train = ("train", "gagavatar", "--data", tmp_path / "footage", "--config", config, "--out", out, "--device", "cpu")
    done = gshead(*train, "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["finished"], told["step"], told["weights"]) == (True, 2, str(out / "parts"))
    assert "4 frames of footage, driven by the head 'gshead-default'" in (out / "gagavatar.md").read_text()

    done = gshead("weights", "import", "gagavatar", out / "parts", home=tmp_path)
    assert done.returncode == 0, done.stderr
    avatar = tmp_path / "a.gshead"
    done = gshead("reconstruct", PHOTO, "-o", avatar, "--method", "gagavatar", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["drawn_by_network"] is True
    frames = tmp_path / "frames"
    done = gshead("render", avatar, "-o", frames, "--size", "60x80", "--device", "cpu", home=tmp_path)
    assert done.returncode == 0, done.stderr

    weights, _, sizes = read_parts(out / "parts")
    person, painter = load_avatar(avatar), Painter(Network.with_weights(weights, sizes))
    assert person.head.sha256 == head.sha256
    neutral = HeadPose.neutral(head.expression_count)
    with torch.no_grad():
        drawn = painter.draw(painter.subject(person), portrait_camera(person, (60, 80)), np.eye(4), neutral)
    stored = np.asarray(Image.open(next(frames.glob("*.png"))), np.float64) / 255
    alpha = drawn.alpha.numpy()
    assert np.abs(stored[..., 3] - alpha).max() < 1.5 / 255
    solid = alpha > 0.5
    assert solid.mean() > 0.05
    color = np.minimum(drawn.color.numpy(), alpha[..., None])  # a PNG's straight colour ends at white
    assert np.abs(stored[..., :3] * stored[..., 3:] - color)[solid].max() < 2 / 255
