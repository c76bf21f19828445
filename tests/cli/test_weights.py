"""``gshead weights`` as a user meets it: in a process of its own, with a data folder of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gshead_backend.methods.gagavatar import recipe
from gshead_backend.methods.gagavatar.layout import released_shapes

ROOT = Path(__file__).parents[2]


def weights(*arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GSHEAD_DATA_DIR": str(home)}
    command = [sys.executable, "-m", "gshead_backend.cli", "weights", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)


def _rows(home: Path) -> dict[str, dict]:
    done = weights("list", "--json", home=home)
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)["weights"]}


def _layout_only() -> dict[str, torch.Tensor]:
    """All 597 entries by name and shape; expanded from one number, so that the file stays small."""
    return {name: torch.zeros(1).expand(shape) for name, shape in released_shapes().items()}


def test_list_says_what_is_missing_whence_and_on_whose_terms(tmp_path: Path) -> None:
    rows = _rows(tmp_path)
    assert {"gagavatar", "flame", "parser", "regressor", "face_landmark"} <= rows.keys()
    missing = rows["gagavatar"]
    assert not missing["present"]
    assert "MIT" in missing["license"]
    assert "github.com/xg-chu/GAGAvatar" in missing["source"]
    assert "gshead weights import gagavatar" in missing["command"]
    assert rows["parser"]["present"]
    assert rows["parser"]["license"] == "Apache-2.0"
    text = weights("list", home=tmp_path).stdout
    assert "missing  gagavatar" in text
    assert "flame.is.tue.mpg.de" in text


def test_missing_weights_are_an_error_with_the_way_out(tmp_path: Path) -> None:
    for action in ("path", "verify", "remove"):
        done = weights(action, "gagavatar", home=tmp_path)
        assert done.returncode == 4, done.stderr
        assert "GSH-E104" in done.stderr
        assert "GAGAvatar.pt" in done.stderr
        assert "gshead weights import gagavatar" in done.stderr


def test_names_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    assert weights("path", "nothing", home=tmp_path).returncode == 2
    done = weights("remove", "parser", home=tmp_path)
    assert done.returncode == 2
    assert "part of gshead" in done.stderr
    done = weights("import", "flame", tmp_path, home=tmp_path)
    assert done.returncode == 2
    assert "gshead head import" in done.stderr


def test_verify_reads_what_ships(tmp_path: Path) -> None:
    done = weights("verify", "parser", "regressor", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    file = ROOT / "gshead_backend" / "weights" / "parser.safetensors"
    assert json.loads(done.stdout)["weights"][0]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("change", ["missing", "renamed", "shape", "hostile"])
def test_a_wrong_checkpoint_is_refused_by_name(tmp_path: Path, change: str) -> None:
    model: dict = _layout_only()
    name = "upsampler.stylegan_decoder.style_convs.3.modulated_conv.weight"
    value = model.pop(name)
    if change == "renamed":
        model[name.replace("style_convs", "styles")] = value
    elif change == "shape":
        model[name] = value[:, :-1]
    elif change == "hostile":
        model[name] = _Runs(tmp_path / "ran")
    torch.save({"meta_cfg": {}, "model": model}, tmp_path / "bad.pt")
    done = weights("import", "gagavatar", tmp_path / "bad.pt", home=tmp_path)
    assert done.returncode == 3, done.stderr
    assert ("mkdir" if change == "hostile" else name) in done.stderr
    assert not (tmp_path / "ran").exists()
    assert not _rows(tmp_path)["gagavatar"]["present"]


class _Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.slow
def test_a_whole_checkpoint_is_imported_verified_and_removed(tmp_path: Path) -> None:
    """The recipe's weights in the released layout and size; a damaged byte is noticed later."""
    shapes = released_shapes()
    model = {name: torch.from_numpy(recipe.weight(name, shape, 1)) for name, shape in shapes.items()}
    source = tmp_path / "GAGAvatar.pt"
    torch.save({"meta_cfg": {"MODEL": {}}, "model": model}, source)
    done = weights("import", "gagavatar", source, "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    with source.open("rb") as file:
        assert row["origin_sha256"] == hashlib.file_digest(file, "sha256").hexdigest()
    file = Path(weights("path", "gagavatar", home=tmp_path).stdout.strip())
    assert file == tmp_path / "weights" / "gagavatar.safetensors"
    with file.open("rb") as stored:
        assert row["sha256"] == hashlib.file_digest(stored, "sha256").hexdigest()
    assert weights("verify", home=tmp_path).returncode == 0
    with file.open("r+b") as stored:
        stored.seek(-100, os.SEEK_END)
        stored.write(b"\x01")
    done = weights("verify", "gagavatar", home=tmp_path)
    assert done.returncode == 3
    assert "damaged" in done.stderr
    assert weights("remove", "gagavatar", home=tmp_path).returncode == 0
    assert not _rows(tmp_path)["gagavatar"]["present"]
    assert list(file.parent.iterdir()) == []
