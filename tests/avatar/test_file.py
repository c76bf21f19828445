"""The .gshead file: exact where it says so, small, deterministic, atomic, and safe against strangers."""

from __future__ import annotations

import hashlib
import json
import random
import re
import struct
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar import file as avatar_file
from gshead_backend.avatar.file import avatar_from_bytes, avatar_to_bytes, describe_avatar, load_avatar, save_avatar
from gshead_backend.avatar.types import Avatar, NetworkPortrait
from gshead_backend.errors import ArgumentError, ExportError, FileFormatError, HeadError
from gshead_backend.head import HeadModel, save_head


@pytest.fixture
def avatar(tiny_head: HeadModel) -> Avatar:
    return make_tiny_avatar(tiny_head, dynamic=True)


def _split(data: bytes) -> tuple[dict, bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def _join(header: dict, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def _with_document(data: bytes, **changes: object) -> bytes:
    header, body = _split(data)
    document = json.loads(header["__metadata__"]["gshead"]) | changes
    header["__metadata__"]["gshead"] = json.dumps(document)
    return _join(header, body)


def _with_value(data: bytes, tensor: str, dtype: str, value: float) -> bytes:
    """The file with the first number of one tensor replaced."""
    header, body = _split(data)
    start = header[tensor]["data_offsets"][0]
    raw = np.array([value]).astype(dtype).tobytes()
    return _join(header, body[:start] + raw + body[start + len(raw) :])


def test_round_trip_keeps_the_person_within_measured_errors(avatar: Avatar) -> None:
    back = avatar_from_bytes(avatar_to_bytes(avatar))
    assert (back.name, back.method, back.provenance) == (avatar.name, avatar.method, avatar.provenance)
    for exact in ("betas", "triangle", "region"):
        assert np.array_equal(getattr(back, exact), getattr(avatar, exact)), exact
    assert np.abs(back.bary - avatar.bary).max() < 1e-6
    assert np.abs(back.offset - avatar.offset).max() < 2e-5
    assert np.abs(back.vertex_offsets - avatar.vertex_offsets).max() < 2e-5
    dot = np.abs((back.rotation * avatar.rotation).sum(1)) / np.linalg.norm(back.rotation, axis=1)
    assert np.degrees(2 * np.arccos(np.clip(dot, 0, 1))).max() < 0.1
    assert np.abs(np.exp(back.log_scale - avatar.log_scale) - 1).max() < 4e-3
    assert np.abs(back.color - avatar.color).max() < 1 / 255 / 3
    assert avatar.dynamic is not None
    assert back.dynamic is not None
    assert np.array_equal(back.dynamic.index, avatar.dynamic.index)
    assert np.abs(back.dynamic.basis - avatar.dynamic.basis).max() < 1e-3
    assert back.head.sha256 == avatar.head.sha256


def test_the_same_avatar_gives_the_same_bytes_also_in_another_process(avatar: Avatar, tmp_path: Path) -> None:
    data = avatar_to_bytes(avatar)
    assert avatar_to_bytes(avatar) == data
    path = tmp_path / "a.gshead"
    path.write_bytes(data)
    code = (
        "import sys, hashlib; from gshead_backend.avatar.file import *;"
        "print(hashlib.sha256(avatar_to_bytes(load_avatar(sys.argv[1]))).hexdigest())"
    )
    for seed in ("1", "2"):
        out = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PATH": ""}, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert out.stdout.strip() == hashlib.sha256(data).hexdigest()


def test_avatars_on_one_head_share_it(avatar: Avatar, tiny_head: HeadModel) -> None:
    one = avatar_from_bytes(avatar_to_bytes(avatar))
    other = avatar_from_bytes(avatar_to_bytes(make_tiny_avatar(tiny_head, seed=9)))
    assert one.head is other.head


def test_a_splat_takes_39_bytes(tiny_head: HeadModel) -> None:
    small, large = (len(avatar_to_bytes(make_tiny_avatar(tiny_head, n))) for n in (1000, 11000))
    assert (large - small) / 10000 == pytest.approx(39, abs=0.1)


def test_describe_reports_sizes_without_reading_the_arrays(avatar: Avatar) -> None:
    data = avatar_to_bytes(avatar)
    about = describe_avatar(data)
    assert about["splats"] == len(avatar)
    assert about["bytes"] == len(data)
    assert set(about["bytes_by_part"]) == {"avatar", "splats", "dynamic", "head"}
    assert sum(about["bytes_by_part"].values()) < len(data)
    assert about["head_embedded"]
    json.dumps(about)


def test_a_head_that_may_not_be_passed_on_is_named_by_hash(
    avatar: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flame = replace(avatar.head, name="flame2023", license="FLAME non-commercial")
    data = avatar_to_bytes(replace(avatar, head=flame))
    assert not describe_avatar(data)["head_embedded"]
    assert describe_avatar(data)["bytes_by_part"].keys() == {"avatar", "splats", "dynamic"}
    monkeypatch.setenv("GSHEAD_DATA_DIR", str(tmp_path))
    with pytest.raises(HeadError, match=r"flame2023.*not installed.*gshead head import"):
        avatar_from_bytes(data)
    save_head(flame, tmp_path / "heads" / "my-flame.safetensors")
    assert avatar_from_bytes(data).head.sha256 == flame.sha256
    assert avatar_from_bytes(data, head=flame).head is flame
    with pytest.raises(HeadError, match="the one given has"):
        avatar_from_bytes(data, head=avatar.head)


def test_newer_minor_versions_are_read_and_newer_major_ones_refused(avatar: Avatar) -> None:
    data = avatar_to_bytes(avatar)
    header, body = _split(_with_document(data, format=[1, 7], light="soft"))
    header["splats.gloss"] = {"dtype": "U8", "shape": [4], "data_offsets": [len(body), len(body) + 4]}
    assert len(avatar_from_bytes(_join(header, body + b"\1\2\3\4"))) == len(avatar)
    with pytest.raises(FileFormatError, match=r"format 2\.0, written by gshead.*Update gshead"):
        avatar_from_bytes(_with_document(data, format=[2, 0]))
    header["__metadata__"]["gshead"] = _split(data)[0]["__metadata__"]["gshead"]
    with pytest.raises(FileFormatError, match=r"unknown tensor 'splats\.gloss'"):
        avatar_from_bytes(_join(header, body + b"\1\2\3\4"))


@pytest.mark.parametrize(
    ("tensor", "dtype", "value", "message"),
    [
        ("splats.triangle", "<u2", 65535, "outside the head's faces"),
        ("splats.offset", "<f2", np.nan, "NaN"),
        ("splats.log_scale", "<f2", np.inf, "infinity"),
        ("splats.log_scale", "<f2", 50.0, "log_scale must lie in"),
        ("splats.region", "u1", 200, "regions are 0 to"),
        ("splats.bary", "<f4", 7.0, "leaves its triangle"),
        ("splats.color", "<f2", 5000.0, "colours are about"),
        ("avatar.betas", "<f4", np.nan, "NaN"),
        ("dynamic.index", "<u2", 60000, "outside the avatar's splats"),
        ("head.template", "<f4", np.nan, "NaN"),
        ("head.faces", "<u2", 65535, "faces"),
    ],
)
def test_hostile_values_are_named(avatar: Avatar, tensor: str, dtype: str, value: float, message: str) -> None:
    data = avatar_to_bytes(avatar)
    stored = {"F16": "<f2", "F32": "<f4", "U16": "<u2", "U8": "u1", "I32": "<i4"}[_split(data)[0][tensor]["dtype"]]
    if tensor.startswith("head."):
        dtype = stored
    assert dtype == stored
    with pytest.raises(FileFormatError, match=message):
        avatar_from_bytes(_with_value(data, tensor, dtype, value))


@pytest.mark.parametrize(
    ("entry", "change", "message"),
    [
        ("splats.bary", {"shape": [2**31 - 1, 2]}, "should take"),
        ("splats.bary", {"shape": [2**40, 2]}, "impossible shape"),
        ("splats.bary", {"shape": [-1, 2]}, "impossible shape"),
        ("splats.bary", {"dtype": "F64"}, "which avatars do not use"),
        ("splats.color", {"dtype": "U16"}, "has type U16"),
        ("splats.bary", {"data_offsets": [0, 2**60]}, "should take"),
        ("splats.bary", {"data_offsets": None}, "damaged offsets"),
        ("splats.bary", None, "damaged"),
    ],
)
def test_hostile_headers_are_refused_before_allocation(
    avatar: Avatar, entry: str, change: dict | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, body = _split(avatar_to_bytes(avatar))
    header[entry] = None if change is None else header[entry] | change
    monkeypatch.setattr(avatar_file.safetensors.numpy, "load", lambda data: pytest.fail("the arrays were read"))
    with pytest.raises(FileFormatError, match=message):
        avatar_from_bytes(_join(header, body))


def test_a_head_that_unfolds_into_gigabytes_is_refused(avatar: Avatar) -> None:
    data = avatar_to_bytes(avatar)
    head = json.loads(_split(data)[0]["__metadata__"]["gshead"])["head"]
    many = head | {"meta": head["meta"] | {"expression_names": ["x"] * 1025}}
    with pytest.raises(FileFormatError, match="too many"):
        avatar_from_bytes(_with_document(data, head=many))
    bits = head | {"meta": head["meta"] | {"fixed_point": {"uv": 10**9}}}
    with pytest.raises(FileFormatError, match="fixed-point"):
        avatar_from_bytes(_with_document(data, head=bits))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"GIF89a", b"\x00" * 64, b"\xff" * 64, struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 6) + b"[1, 2]", struct.pack("<Q", 40) + b'{"a":{"dtype":"U8"},"a":{"dtype":"U8"}}  ',
        struct.pack("<Q", 200_001) + b"{" * 200_001,
        struct.pack("<Q", 400_006) + b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        struct.pack("<Q", 35) + b'{"__metadata__":{"gshead":"[NaN]"}}',
    ],
)  # fmt: skip
def test_what_is_no_avatar_is_refused(data: bytes) -> None:
    with pytest.raises(FileFormatError):
        avatar_from_bytes(data)


def test_every_truncation_is_an_error(avatar: Avatar) -> None:
    data = avatar_to_bytes(avatar)
    rng = np.random.default_rng(0)
    for cut in [*range(0, 200, 7), *rng.integers(200, len(data), 30)]:
        with pytest.raises(FileFormatError):
            avatar_from_bytes(data[: int(cut)])


def test_every_damage_is_a_named_error_or_an_avatar(avatar: Avatar) -> None:
    """Bytes of the header, whole JSON values of it, and bytes of the arrays; no other exception may escape."""
    data = avatar_to_bytes(avatar)
    rng = random.Random(0)
    end = 8 + struct.unpack("<Q", data[:8])[0]
    values = [m.span() for m in re.finditer(rb'-?\d+|"[A-Z]\d+"|\\"[a-zA-Z_0-9]+\\"', data[8:end])]
    others = [b"0", b"-1", b"99999999999", b"[]", b"{}", b"null", b"true", b'"x"', b"1e400", b'"I64"', b"NaN"]
    refused = 0
    for i in range(900):
        damaged = bytearray(data)
        if i % 3 == 0:
            for _ in range(rng.randint(1, 3)):
                damaged[rng.randrange(end)] = rng.randrange(256)
        elif i % 3 == 1:
            low, high = rng.choice(values)
            header = data[8 : 8 + low] + rng.choice(others) + data[8 + high : end]
            damaged = bytearray(struct.pack("<Q", len(header)) + header + data[end:])
        else:
            for _ in range(rng.randint(1, 30)):
                damaged[rng.randrange(end, len(data))] = rng.randrange(256)
        try:
            avatar_from_bytes(bytes(damaged))
        except (FileFormatError, HeadError):
            refused += 1
    assert refused > 450


def test_saving_is_atomic_and_says_where_it_failed(avatar: Avatar, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.gshead"
    assert save_avatar(avatar, path) == path.stat().st_size
    before = path.read_bytes()
    broken = replace(avatar, provenance={"x": object()})
    with pytest.raises(ArgumentError, match="provenance"):
        save_avatar(broken, path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["a.gshead"]
    with pytest.raises(ExportError, match="cannot be written"):
        save_avatar(avatar, path / "below a file.gshead")
    assert load_avatar(path).name == avatar.name
    with pytest.raises(FileFormatError, match="missing"):
        load_avatar(tmp_path / "missing.gshead")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "x" * 500}, "Avatar.name"),
        ({"name": "a\nb"}, "Avatar.name"),
        ({"provenance": {"a": float("nan")}}, "provenance"),
        ({"provenance": {"a": "x" * 2_000_000}}, "provenance"),
        ({"rotation": np.zeros((600, 4), np.float32)}, "zero length"),
        ({"bary": np.full((600, 3), 0.5, np.float32)}, "sum to 1"),
    ],
)
def test_an_avatar_that_no_file_can_hold_is_refused_on_saving(avatar: Avatar, change: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        avatar_to_bytes(replace(avatar, **change))


def _with_portrait(avatar: Avatar, side: int = 70) -> Avatar:
    image = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
    camera = np.column_stack([np.diag([-1.0, 1, -1]), [0, 0, 10.5]]).astype(np.float32)
    return replace(avatar, portrait=NetworkPortrait(image, camera), method="gagavatar")


def test_a_portrait_for_a_network_is_kept_exactly_and_raises_the_minor_version(avatar: Avatar) -> None:
    data = avatar_to_bytes(_with_portrait(avatar))
    assert describe_avatar(data)["format"] == "1.1"
    assert describe_avatar(data)["drawn_by_network"] is True
    assert describe_avatar(avatar_to_bytes(avatar))["format"] == "1.0"
    back = avatar_from_bytes(data)
    assert back.portrait is not None
    assert np.array_equal(back.portrait.image, _with_portrait(avatar).portrait.image)
    assert np.array_equal(back.portrait.camera, _with_portrait(avatar).portrait.camera)
    assert avatar_to_bytes(back) == data


@pytest.mark.parametrize(
    ("tensor", "dtype", "value", "said"),
    [("portrait.camera", "<f4", np.nan, "NaN"), ("portrait.camera", "<f4", 3.0, "rotation")],
)
def test_a_portrait_with_an_impossible_camera_is_refused(avatar, tensor, dtype, value, said) -> None:
    with pytest.raises(FileFormatError, match=said):
        avatar_from_bytes(_with_value(avatar_to_bytes(_with_portrait(avatar)), tensor, dtype, value))


def test_half_a_portrait_and_a_huge_one_are_refused(avatar: Avatar) -> None:
    header, body = _split(avatar_to_bytes(_with_portrait(avatar)))
    del header["portrait.camera"]
    with pytest.raises(FileFormatError, match=r"part of a portrait|not a valid avatar file"):
        avatar_from_bytes(_join(header, body))
    with pytest.raises(ArgumentError, match="uint8"):
        avatar_to_bytes(_with_portrait(avatar, 1025))


def test_every_field_of_an_avatar_is_in_the_file() -> None:
    """A field added to Avatar must be added to the file as well, with a new minor version."""
    known = {
        "head", "betas", "vertex_offsets", "triangle", "bary", "region", "offset", "rotation", "log_scale",
        "opacity_logit", "color", "dynamic", "portrait", "name", "method", "provenance", "_cache",
    }  # fmt: skip
    assert {f.name for f in fields(Avatar)} == known
