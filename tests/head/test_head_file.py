"""Head files: nothing is lost, nothing broken gets through."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from gshead_backend.errors import FileFormatError, HeadError
from gshead_backend.head import HeadModel, head_from_tensors, head_to_tensors, load_head, read_head, save_head


def test_round_trip_keeps_every_array(tiny_head: HeadModel, tmp_path):
    save_head(tiny_head, tmp_path / "a.safetensors")
    again = load_head(tmp_path / "a.safetensors")
    assert again.sha256 == tiny_head.sha256
    assert again.expression_names == tiny_head.expression_names
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("key", ["template", "faces", "subdivision_data", "expression_values", "mirror"])
def test_missing_tensor_is_named(tiny_head: HeadModel, key: str):
    tensors, meta = head_to_tensors(tiny_head)
    tensors.pop(key)
    if key == "subdivision_data":
        with pytest.raises(HeadError):
            head_from_tensors(tensors, meta)
    else:
        with pytest.raises(HeadError, match=key):
            head_from_tensors(tensors, meta)


def test_broken_tables_are_refused(tiny_head: HeadModel):
    for name, change in {
        "faces": lambda a: a + 60000,
        "template": lambda a: a * np.nan,
        "expression_rows": lambda a: a.astype(np.int32) + 100000,
        "expression_counts": lambda a: a[:-1],
        "subdivision_counts": lambda a: a * 0,
        "subdivision_indices": lambda a: a.astype(np.int32) - 100,
        "landmark_triangles": lambda a: a.astype(np.int32) + 10**6,
        "skin_weights": lambda a: a[:, :4],
        "uv_faces": lambda a: a[:-1],
    }.items():
        tensors, meta = head_to_tensors(tiny_head)
        tensors[name] = change(tensors[name])
        with pytest.raises(HeadError):
            head_from_tensors(tensors, meta)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 64, b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
def test_other_files_are_refused(tmp_path, content: bytes):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(FileFormatError):
        read_head(path)


def test_safetensors_without_a_head_is_refused(tmp_path):
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "a.safetensors")
    with pytest.raises(FileFormatError, match="holds no head"):
        read_head(tmp_path / "a.safetensors")
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "b.safetensors", {"gshead_head": json.dumps({"format": 1})})
    with pytest.raises(HeadError):
        read_head(tmp_path / "b.safetensors")


def test_unknown_head_says_what_is_installed():
    with pytest.raises(HeadError, match="gshead-default"):
        load_head("no-such-head")
