"""Self-trained weights in parts: joined and checked, installed, and used on the head that they were trained on."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.numpy
import torch
from small import config_for

from gshead_backend.cli import main
from gshead_backend.errors import FileFormatError, GsheadError, HeadError, MissingWeightsError
from gshead_backend.head import HeadModel
from gshead_backend.head.file import save_head
from gshead_backend.methods import get_method, head_for
from gshead_backend.methods.gagavatar import parts as parts_module
from gshead_backend.methods.gagavatar.checkpoint import load_network
from gshead_backend.methods.gagavatar.layout import used_shapes
from gshead_backend.methods.gagavatar.parts import INDEX, new_index, read_parts, write_parts
from gshead_backend.methods.gagavatar.stages import Weights
from gshead_backend.methods.needs import import_weights, network_head, require, status, verify

SMALL_PART, SMALL_SLICE = 60_000, 9_000
QKV = "base_model.dino_model.blocks.1.attn.qkv.weight"


@pytest.fixture(autouse=True)
def smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts out of a small network."""
    monkeypatch.setattr(parts_module, "PART_BYTES", SMALL_PART)
    monkeypatch.setattr(parts_module, "SLICE", SMALL_SLICE)


@pytest.fixture
def weights(tiny_head: HeadModel) -> dict[str, torch.Tensor]:
    config = config_for(tiny_head)
    return Weights(used_shapes(config), 4, config).used


def written(folder: Path, weights: dict[str, torch.Tensor], head: HeadModel, **told: Any) -> Path:
    write_parts(weights, folder, new_index(config_for(head), head.name, head.sha256, **told))
    return folder


@pytest.fixture
def folder(tmp_path: Path, weights: dict[str, torch.Tensor], tiny_head: HeadModel) -> Path:
    return written(tmp_path / "parts", weights, tiny_head, step=7)


def changed(folder: Path, change: Any) -> None:
    """Change the index's JSON."""
    index = json.loads((folder / INDEX).read_text())
    change(index)
    (folder / INDEX).write_text(json.dumps(index))


def test_parts_are_small_and_join_to_what_was_written(folder: Path, weights, tiny_head: HeadModel) -> None:
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) > 3
    assert max(f.stat().st_size for f in files) <= SMALL_PART
    found, index, config = read_parts(folder)
    assert (config, index.step, index.head_sha256) == (config_for(tiny_head), 7, tiny_head.sha256)
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        torch.testing.assert_close(found[name], value.half().float(), rtol=0, atol=0)


def test_a_second_save_replaces_the_first(folder: Path, weights, tiny_head: HeadModel) -> None:
    before = {f.name for f in folder.iterdir()}
    written(folder, {**weights, "head_base": weights["head_base"] + 1}, tiny_head, step=8)
    after = {f.name for f in folder.iterdir()}
    assert len(after) == len(before)
    assert after & before == {INDEX}
    found, index, _ = read_parts(folder / INDEX)
    assert index.step == 8
    assert float((found["head_base"] - weights["head_base"]).mean()) == pytest.approx(1, abs=1e-3)


def test_a_missing_part_is_named(folder: Path) -> None:
    gone = sorted(folder.glob("*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(FileFormatError, match=gone.name):
        read_parts(folder)


@pytest.mark.parametrize("how", ["one byte", "cut off", "another part"])
def test_a_damaged_part_is_named(folder: Path, how: str) -> None:
    part, other = sorted(folder.glob("*.safetensors"))[1:3]
    data = bytearray(part.read_bytes())
    if how == "one byte":
        data[-5] ^= 1
    part.write_bytes(bytes(data[:-3]) if how == "cut off" else bytes(data))
    if how == "another part":
        shutil.copy(other, part)
    with pytest.raises(FileFormatError, match=part.name):
        read_parts(folder)


def with_part(folder: Path, arrays: dict[str, np.ndarray]) -> str:
    """Put other arrays into the first part, with the right hash in the index."""
    part = min(folder.glob("*.safetensors"))
    held = safetensors.numpy.load_file(part)
    data = safetensors.numpy.save({k: v for k, v in {**held, **arrays}.items() if v.size})
    part.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    changed(folder, lambda i: i["parts"][0].update(bytes=len(data), sha256=digest))
    return next(iter(held))


@pytest.mark.parametrize("key", ["percep_loss.net.x:0", QKV + ":99999", QKV + ":-1", QKV, QKV + ":1e3", ":0"])
def test_entries_that_the_network_has_not_are_named(folder: Path, key: str) -> None:
    with_part(folder, {key: np.ones(4, np.float16)})
    with pytest.raises(FileFormatError, match=key.replace(".", r"\.")):
        read_parts(folder)


@pytest.mark.parametrize("value", [np.ones(3, np.float32), np.full(1, np.nan, np.float16), np.zeros(0, np.float16)])
def test_wrong_and_missing_slices_are_named(folder: Path, value: np.ndarray) -> None:
    first = next(iter(safetensors.numpy.load_file(min(folder.glob("*.safetensors")))))
    if value.size == 1:
        value = np.full(safetensors.numpy.load_file(min(folder.glob("*.safetensors")))[first].shape, np.nan, np.float16)
    with_part(folder, {first: value})
    with pytest.raises(FileFormatError, match=first.rpartition(":")[0].replace(".", r"\.")):
        read_parts(folder)


def test_weights_that_were_exchanged_have_another_hash(folder: Path) -> None:
    part = min(folder.glob("*.safetensors"))
    key, value = next(iter(safetensors.numpy.load_file(part).items()))
    with_part(folder, {key: value + np.float16(1)})
    with pytest.raises(FileFormatError, match=r"joined parts .* another sha256"):
        read_parts(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda i: i["parts"][0].update(file="../../etc/passwd.safetensors"),
        lambda i: i["parts"][0].update(file="/etc/x.safetensors"),
        lambda i: i["parts"].append(i["parts"][0]),
        lambda i: i["parts"][0].update(bytes=10**12),
        lambda i: i.update(parts=[]),
        lambda i: i.update(format="other"),
        lambda i: i.update(run="rm"),
        lambda i: i["config"].update(depth=100_000),
        lambda i: i["config"].update(width="x"),
        lambda i: i.update(config=3),
    ],
)
def test_an_index_that_cannot_be_is_refused(folder: Path, change: Any) -> None:
    changed(folder, change)
    with pytest.raises(FileFormatError, match=r"index\.json is not an index"):
        read_parts(folder)
    for data in (b"", b"\xff" * 50, b"[" * 100_000):
        (folder / INDEX).write_bytes(data)
        with pytest.raises(FileFormatError, match=r"index\.json"):
            read_parts(folder)


def test_own_weights_are_imported_and_bring_their_head(
    folder: Path, tmp_path: Path, tiny_head: HeadModel, weights, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:  # fmt: skip
    """No FLAME head is asked for; the network that is installed is the one that was written."""
    monkeypatch.setenv("GSHEAD_DATA_DIR", str(tmp_path / "home"))
    with pytest.raises(MissingWeightsError, match=r"GAGAvatar\.pt"):
        get_method("gagavatar")
    assert main(["weights", "import", "gagavatar", str(folder), "--json"]) == 0
    said = capsys.readouterr()
    assert "licence: yours" in said.err
    row = json.loads(said.out)
    assert (row["name"], row["present"]) == ("gagavatar", True)
    assert "own training" in row["source"]
    assert "yours" in row["license"]
    assert verify("gagavatar").origin_sha256 == read_parts(folder)[1].sha256
    assert network_head() == tiny_head.sha256
    assert callable(get_method("gagavatar"))
    with pytest.raises(HeadError, match=tiny_head.sha256[:12]):
        head_for("gagavatar")
    save_head(tiny_head, tmp_path / "home" / "heads" / "tiny.safetensors")
    assert head_for("gagavatar").sha256 == tiny_head.sha256
    network = load_network(require("gagavatar"))
    assert network.config == config_for(tiny_head)
    assert torch.equal(network.state_dict()[QKV], weights[QKV].half().float())


def test_an_ablation_is_not_installed(tmp_path: Path, weights, tiny_head: HeadModel, monkeypatch) -> None:
    monkeypatch.setenv("GSHEAD_DATA_DIR", str(tmp_path / "home"))
    folder = written(tmp_path / "plane", weights, tiny_head, ablate="plane")
    with pytest.raises(GsheadError, match="'plane'"):
        import_weights("gagavatar", folder)
    assert not status("gagavatar").present


def test_an_index_of_the_released_size_is_small(tiny_head: HeadModel) -> None:
    index = new_index(config_for(tiny_head), "x", "0" * 64)
    many = [parts_module.Part(f"gagavatar-0000001-{k:03d}.safetensors", 1, "0" * 64) for k in range(40)]
    assert len(msgspec.json.encode(msgspec.structs.replace(index, parts=many))) < parts_module.MOST_INDEX
