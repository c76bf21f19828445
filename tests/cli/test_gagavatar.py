"""GAGAvatar from the command line: what is missing is said; with everything there, a photo and a take become frames."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial import KDTree

from gshead_backend.avatar import load_take
from gshead_backend.head import load_head
from gshead_backend.methods.gagavatar import recipe
from gshead_backend.methods.gagavatar.config import RELEASED
from gshead_backend.methods.gagavatar.drawer import Drawer
from gshead_backend.methods.gagavatar.layout import released_shapes, used_shapes
from gshead_backend.methods.gagavatar.network import Network
from gshead_backend.methods.gagavatar.person import make_person
from gshead_backend.methods.gagavatar.stages import Weights
from gshead_backend.portrait.fit import fit_portrait

ROOT = Path(__file__).parents[2]
PHOTO, TAKE = ROOT / "samples" / "synthetic_portrait.png", ROOT / "samples" / "take_demo.json"
sys.path.insert(0, str(ROOT / "tests" / "head"))


def gshead(*arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GSHEAD_DATA_DIR": str(home)}
    command = [sys.executable, "-m", "gshead_backend.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)


@pytest.mark.parametrize(
    "arguments",
    [("gagavatar", PHOTO, "-o", "{}/out"), ("reconstruct", PHOTO, "-o", "{}/a.gshead", "--method", "gagavatar")],
)
def test_what_is_missing_is_said_in_turn(tmp_path: Path, arguments: tuple) -> None:
    arguments = tuple(str(a).format(tmp_path) for a in arguments)
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


def _small_flame(path: Path) -> None:
    """A fabricated FLAME-shaped model with FLAME's 5023 vertices: the larger one, thinned out."""
    from flame_file import flame_tables, write_chumpy_pickle

    tables = flame_tables()
    points, count = np.asarray(tables["v_template"], np.float64), RELEASED.points
    chosen = np.sort(np.random.default_rng(0).permutation(len(points))[:count])
    owner = KDTree(points[chosen]).query(points)[1]
    faces = owner[tables["f"].astype(np.int64)]
    keep = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    tables["f"] = faces[keep].astype(np.uint32)
    for name in ("v_template", "shapedirs", "posedirs", "weights"):
        tables[name] = tables[name][chosen]
    regressor = np.asarray(tables["J_regressor"]) @ points  # the joints stay where they are
    design = np.c_[points[chosen], np.ones(count)]
    tables["J_regressor"] = np.linalg.lstsq(design.T, np.c_[regressor, np.ones(5)].T, rcond=None)[0].T
    write_chumpy_pickle(tables, path)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_checkpoint_a_flame_file_and_a_photo_become_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe's weights in the released layout; the frames' pixels are those of the network that parity checks."""
    model = {name: torch.from_numpy(recipe.weight(name, shape, 1)) for name, shape in released_shapes().items()}
    torch.save({"meta_cfg": {}, "model": model}, tmp_path / "GAGAvatar.pt")
    del model
    _small_flame(tmp_path / "flame.pkl")
    for arguments in (
        ("weights", "import", "gagavatar", tmp_path / "GAGAvatar.pt"),
        ("head", "import", tmp_path / "flame.pkl"),
    ):
        done = gshead(*arguments, home=tmp_path)
        assert done.returncode == 0, done.stderr
    (tmp_path / "GAGAvatar.pt").unlink()
    out = tmp_path / "frames"
    done = gshead(
        "gagavatar", PHOTO, "-o", out, "--take", TAKE, "--frames", "1,20", "--device", "cpu", "--json", home=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] == [str(out / "0001.png"), str(out / "0020.png")]
    again = gshead(
        "gagavatar", PHOTO, "-o", tmp_path / "again", "--take", TAKE, "--frames", "20", "--device", "cpu", home=tmp_path
    )
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again" / "0020.png").read_bytes() == (out / "0020.png").read_bytes()

    monkeypatch.setenv("GSHEAD_DATA_DIR", str(tmp_path))
    head = load_head("flame")
    drawer = Drawer(Network.with_weights(Weights(used_shapes(), 1, RELEASED).used))
    subject = drawer.subject(make_person(fit_portrait(PHOTO.read_bytes(), head), head))
    picture = drawer.draw(subject, load_take(TAKE).pose(head, 20))
    stored = np.asarray(Image.open(out / "0020.png"), np.float64) / 255
    premultiplied = stored[..., :3] * stored[..., 3:]
    assert np.abs(stored[..., 3] - picture.alpha).max() < 1 / 255
    solid = picture.alpha > 0.9
    assert np.abs(premultiplied - picture.rgb)[solid].max() < 2.5 / 255

    done = gshead("reconstruct", PHOTO, "-o", tmp_path / "a.gshead", "--method", "gagavatar", home=tmp_path)
    assert done.returncode == 4, done.stderr
    assert "gshead gagavatar PHOTO" in done.stderr
