"""Reading the released checkpoint: what is whole is used, everything else is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from small import SMALL, small_weights

from gshead_backend.errors import FileFormatError, MissingWeightsError, UnsafePickleError
from gshead_backend.methods.gagavatar import recipe
from gshead_backend.methods.gagavatar.checkpoint import load_network, read_config, read_released, save_converted
from gshead_backend.methods.gagavatar.layout import released_shapes, unused_shapes
from gshead_backend.methods.gagavatar.lifting import opencv_camera
from gshead_backend.methods.gagavatar.network import Network

QKV = "base_model.dino_model.blocks.1.attn.qkv.weight"


@pytest.fixture
def content() -> dict:
    """A checkpoint in the released file's layout, of the small network."""
    model = dict(small_weights().used)
    model |= {name: torch.zeros(shape) for name, shape in unused_shapes(SMALL).items()}
    return {"meta_cfg": {"MODEL": {"NAME": "GAGAvatar"}}, "model": model | {"percep_loss.net.slice1.0.bias": None}}


def _saved(content: object, folder: Path) -> Path:
    torch.save(content, folder / "GAGAvatar.pt")
    return folder / "GAGAvatar.pt"


def test_the_released_layout_has_597_entries() -> None:
    assert len(released_shapes()) == 597


def test_a_checkpoint_becomes_a_network_that_draws_the_same(content: dict, tmp_path: Path) -> None:
    weights = read_released(_saved(content, tmp_path), SMALL)
    file = tmp_path / "gagavatar.safetensors"
    save_converted(weights, file, {"origin": "GAGAvatar.pt"}, SMALL)
    assert read_config(file) == SMALL
    given = recipe.inputs(5, SMALL.image, SMALL.points)
    camera, pictures = opencv_camera(given.driven, SMALL.size), []
    for network in (load_network(file), Network.with_weights(small_weights().used, SMALL)):
        person = network.identity(torch.from_numpy(given.image), given.source)
        pictures.append(network.frame(person, torch.from_numpy(given.points1), camera).rgb)
    # where a file's tensors lie in memory decides which convolution kernels are used, and these round differently
    torch.testing.assert_close(*pictures, rtol=0, atol=1e-5)
    save_converted(weights, file, {"origin": "GAGAvatar.pt"})
    with pytest.raises(FileFormatError, match="lacks"):
        load_network(file)  # the released sizes need more blocks


@pytest.mark.parametrize(
    "sizes", ['{"image": 0}', '{"images": 70}', "[1]", '{"width": "x"}', '{"levels": [1, 2]}', "{"]
)
def test_sizes_that_cannot_be_are_refused(tmp_path: Path, sizes: str) -> None:
    file = tmp_path / "gagavatar.safetensors"
    save_converted({"head_base": torch.zeros(1)}, file, {"config": sizes})
    with pytest.raises(FileFormatError, match="network that cannot be"):
        load_network(file)


def test_half_precision_is_taken(content: dict, tmp_path: Path) -> None:
    content["model"][QKV] = content["model"][QKV].half()
    assert read_released(_saved(content, tmp_path), SMALL)[QKV].dtype == torch.float32


@pytest.mark.parametrize(
    "name", [QKV, "head_base", "upsampler.stylegan_decoder.noises.noise3", "upsampler.toRGB.0.bias"]
)
def test_missing_entries_are_named(content: dict, tmp_path: Path, name: str) -> None:
    del content["model"][name]
    with pytest.raises(FileFormatError, match=f"lacks '{name}'"):
        read_released(_saved(content, tmp_path), SMALL)


def test_renamed_entries_are_named_under_both_names(content: dict, tmp_path: Path) -> None:
    content["model"]["base_model.vit.qkv"] = content["model"].pop(QKV)
    with pytest.raises(FileFormatError, match=f"lacks '{QKV}' and holds 'base_model.vit.qkv'"):
        read_released(_saved(content, tmp_path), SMALL)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.zeros(144, 47), r"shape \(144, 47\), not \(144, 48\)"),
        (torch.zeros(1).expand(1 << 30, 1 << 20), "shape"),
        (torch.zeros(144, 48, dtype=torch.int64), "torch.int64"),
        (torch.full((144, 48), float("nan")), "not finite"),
        (torch.zeros(144, 48).to_sparse(), "float numbers"),
        ("weights", "of type str"),
    ],
)
def test_wrong_entries_are_named(content: dict, tmp_path: Path, value: object, said: str) -> None:
    content["model"][QKV] = value
    with pytest.raises(FileFormatError, match=f"'{QKV}'.*{said}"):
        read_released(_saved(content, tmp_path), SMALL)


class _Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("where", ["entry", "config", "all"])
def test_a_hostile_pickle_is_refused_and_does_not_run(content: dict, tmp_path: Path, where: str) -> None:
    hostile = _Hostile(tmp_path / "ran")
    if where == "entry":
        content["model"][QKV] = hostile
    elif where == "config":
        content["meta_cfg"]["MODEL"] = hostile
    with pytest.raises(UnsafePickleError, match="mkdir"):
        read_released(_saved(hostile if where == "all" else content, tmp_path), SMALL)
    assert not (tmp_path / "ran").exists()


def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path) -> None:
    for data in (b"", b"text", b"\x80\x04]\x94.", os.urandom(2000)):
        (tmp_path / "x.pt").write_bytes(data)
        with pytest.raises(FileFormatError):
            read_released(tmp_path / "x.pt", SMALL)
    for content in ([1, 2], {"model": 3}, {"state_dict": {}}, {"model": {5: torch.zeros(1)}}):
        with pytest.raises(FileFormatError, match="model"):
            read_released(_saved(content, tmp_path), SMALL)
    with pytest.raises(FileFormatError, match="no file"):
        read_released(tmp_path / "none.pt", SMALL)


def test_a_cut_off_checkpoint_is_refused(content: dict, tmp_path: Path) -> None:
    path = _saved(content, tmp_path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(FileFormatError, match="checkpoint"):
        read_released(path, SMALL)


def test_converted_files_are_checked(content: dict, tmp_path: Path) -> None:
    file = tmp_path / "gagavatar.safetensors"
    with pytest.raises(MissingWeightsError):
        load_network(file)
    weights = read_released(_saved(content, tmp_path), SMALL)
    save_converted(weights | {"head_base": weights["head_base"][:-1].clone()}, file, {}, SMALL)
    with pytest.raises(FileFormatError, match="'head_base' has shape"):
        load_network(file)
    save_converted(weights, file, {}, SMALL)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(FileFormatError):
        load_network(file)
    file.write_bytes(b"\xff" * 100)
    with pytest.raises(FileFormatError):
        load_network(file)
