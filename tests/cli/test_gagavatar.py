"""GAGAvatar from the command line: what is missing is said; with everything there, a photo and a take become frames."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gshead_backend.avatar import load_avatar, load_take
from gshead_backend.avatar.framing import portrait_camera
from gshead_backend.methods.gagavatar.config import RELEASED
from gshead_backend.methods.gagavatar.layout import used_shapes
from gshead_backend.methods.gagavatar.network import Network
from gshead_backend.methods.gagavatar.painter import Painter
from gshead_backend.methods.gagavatar.stages import Weights

sys.path.insert(0, str(Path(__file__).parents[1] / "head"))
from released_home import install_released

ROOT = Path(__file__).parents[2]
PHOTO, TAKE = ROOT / "samples" / "synthetic_portrait.png", ROOT / "samples" / "take_demo.json"


def gshead(*arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GSHEAD_DATA_DIR": str(home)}
    command = [sys.executable, "-m", "gshead_backend.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)


def test_what_is_missing_is_said_in_turn(tmp_path: Path) -> None:
    arguments = ("reconstruct", PHOTO, "-o", tmp_path / "a.gshead", "--method", "gagavatar")
    done = gshead(*arguments, home=tmp_path)
    assert done.returncode == 4, done.stderr
    for text in ("GSH-E104", "GAGAvatar.pt", "github.com/xg-chu/GAGAvatar", "MIT", "gshead weights import gagavatar"):
        assert text in done.stderr
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "gagavatar.safetensors").write_bytes(b"here")
    done = gshead(*arguments, home=tmp_path)
    assert done.returncode == 4, done.stderr
    for text in ("GSH-E104", "FLAME head", "flame.is.tue.mpg.de", "licence", "gshead head import"):
        assert text in done.stderr


@pytest.mark.timeout(900)
def test_a_checkpoint_a_flame_file_and_a_photo_become_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe's weights in the released layout; the frames' pixels are those of the network that parity checks."""
    install_released(tmp_path, lambda *arguments: gshead(*arguments, home=tmp_path))
    avatar = tmp_path / "a.gshead"
    done = gshead("reconstruct", PHOTO, "-o", avatar, "--method", "gagavatar", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["drawn_by_network"] is True
    out, again = tmp_path / "frames", tmp_path / "again"
    usual = ("--take", TAKE, "--size", "300x400", "--device", "cpu")
    done = gshead("render", avatar, "-o", out, *usual, "--frames", "1,20", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] == [str(out / "0001.png"), str(out / "0020.png")]
    done = gshead("render", avatar, "-o", again, *usual, "--frames", "20", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (again / "0020.png").read_bytes() == (out / "0020.png").read_bytes()

    monkeypatch.setenv("GSHEAD_DATA_DIR", str(tmp_path))
    person = load_avatar(avatar)
    network = Network.with_weights(Weights(used_shapes(), 1, RELEASED).used)
    painter, camera = Painter(network), portrait_camera(person, (300, 400))
    drawn = painter.draw(painter.subject(person), camera, np.eye(4), load_take(TAKE).pose(person.head, 20))
    stored = np.asarray(Image.open(out / "0020.png"), np.float64) / 255
    alpha = drawn.alpha.numpy()
    assert np.abs(stored[..., 3] - alpha).max() < 1 / 255
    solid = alpha > 0.9
    assert solid.mean() > 0.05
    assert np.abs(stored[..., :3] * stored[..., 3:] - drawn.color.numpy())[solid].max() < 2.5 / 255

    for name in ("a.usdc", "a.ply"):
        done = gshead("export", avatar, "-o", tmp_path / name, home=tmp_path)
        assert done.returncode != 0
        assert "drawn by a network" in done.stderr
        assert "gshead render" in done.stderr
        assert not (tmp_path / name).exists()
