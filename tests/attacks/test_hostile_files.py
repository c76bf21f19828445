"""Files of strangers, thousands of ways damaged: each is read, or refused by a named error; nothing else happens."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from mutate import damaged, mutants, rearranged
from PIL import Image
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar import load_avatar, save_avatar
from gshead_backend.avatar.file import avatar_from_bytes, avatar_to_bytes, describe_avatar
from gshead_backend.avatar.live_link import read_live_link
from gshead_backend.avatar.live_link_angles import live_link_csv
from gshead_backend.avatar.take import demo_take, take_from_json, take_to_json
from gshead_backend.errors import FileFormatError, GsheadError, HeadError, UnsafePickleError
from gshead_backend.head import HeadModel
from gshead_backend.head.file import read_head, save_head
from gshead_backend.head.importing.unpickle import load_arrays
from gshead_backend.portrait.image import decode_image
from gshead_backend.protocol.endpoint import Endpoint, write_private

CORPUS = Path(__file__).parent / "corpus"


def survive(read: Callable[[Any], object], files: Iterator[Any]) -> tuple[int, int]:
    """(read, refused); any other exception than the project's passes through and fails the test."""
    good = bad = 0
    for data in files:
        try:
            read(data)
        except GsheadError as error:
            bad += 1
            said = str(error)
        else:
            good += 1
            continue
        assert said.startswith("GSH-E")
        assert len(said) < 5000, f"an error quotes little of the file: {said[:200]}"
    return good, bad


@pytest.fixture(scope="module")
def avatar_bytes(tiny_head: HeadModel) -> bytes:
    return avatar_to_bytes(make_tiny_avatar(tiny_head, 60, dynamic=True))


def with_header(data: bytes, header: bytes) -> bytes:
    end = 8 + struct.unpack("<Q", data[:8])[0]
    return struct.pack("<Q", len(header)) + header + data[end:]


def header_of(data: bytes) -> Any:
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    header["__metadata__"]["gshead"] = json.loads(header["__metadata__"]["gshead"])
    return header


def mutated_avatars(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Tensor tables, the document and both, changed as JSON and written as a proper file again."""
    rng, header = random.Random(seed), header_of(data)
    for number in range(count):
        changed = rearranged(header if number % 2 else header["__metadata__"]["gshead"], rng)
        table = changed if number % 2 else {**header, "__metadata__": {"gshead": changed}}
        meta = table.get("__metadata__") if isinstance(table, dict) else None
        if isinstance(meta, dict) and "gshead" in meta:
            table["__metadata__"] = {**meta, "gshead": json.dumps(meta["gshead"])}
        yield with_header(data, json.dumps(table).encode("utf-8", "surrogatepass"))


def test_avatars(avatar_bytes: bytes) -> None:
    good, bad = survive(avatar_from_bytes, mutated_avatars(avatar_bytes, 1500, 1))
    assert bad > 700
    assert good + bad == 1500
    good, bad = survive(describe_avatar, mutated_avatars(avatar_bytes, 500, 2))
    assert bad > 200
    _, bad = survive(avatar_from_bytes, damaged(avatar_bytes[:6000], 500, 3))
    assert bad == 500


def test_avatars_of_huge_declared_sizes_take_no_memory(avatar_bytes: bytes) -> None:
    header = header_of(avatar_bytes)
    document = json.dumps(header.pop("__metadata__")["gshead"])
    tracemalloc.start()
    try:
        for shape in ([2**40, 3], [2**62, 2**62], [-1, 3], [10**30], [0, 3], [2_000_001, 3]):
            for name in ("splats.color", "avatar.vertex_offsets"):
                table = {**header, name: {**header[name], "shape": shape}, "__metadata__": {"gshead": document}}
                with pytest.raises(FileFormatError):
                    avatar_from_bytes(with_header(avatar_bytes, json.dumps(table).encode()))
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_takes() -> None:
    document = json.loads(take_to_json(demo_take()))
    small = {**document, "channels": dict(list(document["channels"].items())[:6])}
    files = (data.decode("utf-8", "replace") for data in mutants([small], 4000, 4))
    good, bad = survive(take_from_json, files)
    assert bad > 1500
    assert good > 50


def test_recordings() -> None:
    lines = b"\n".join(live_link_csv(demo_take()).encode().splitlines()[:12]) + b"\n"
    good, bad = survive(read_live_link, damaged(lines, 2500, 5))
    assert good > 100
    assert bad > 100


def pickles() -> list[bytes]:
    matrix = sp.csc_matrix(np.eye(4))
    tables = {
        "v_template": np.zeros((4, 3)),
        "J_regressor": matrix,
        "weights": sp.coo_matrix(np.eye(3)),
        "name": "flame",
    }
    return [pickle.dumps(tables, protocol) for protocol in (0, 2, 4)]


def test_pickles(tmp_path: Path) -> None:
    def read(data: bytes) -> None:
        path = tmp_path / "model.pkl"
        path.write_bytes(data)
        load_arrays(path)

    for data in pickles():
        read(data)
        _, bad = survive(read, damaged(data, 700, 6))
        assert bad > 300


class _Runs:
    """What a hostile pickle holds."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, tuple]:
        return self.call[0], self.call[1:]


def test_code_in_pickles_does_not_run(tmp_path: Path) -> None:
    import builtins
    import os
    import shutil
    import subprocess

    witness = tmp_path / "ran"
    calls = [
        (os.system, f"touch {witness}"), (subprocess.Popen, ["touch", str(witness)]), (open, str(witness), "w"),
        (builtins.eval, f"open({str(witness)!r}, 'w')"), (builtins.exec, f"open({str(witness)!r}, 'w')"),
        (shutil.copyfile, __file__, str(witness)), (np.load, str(witness)), (np.memmap, str(witness), "u1", "w+", 0, 4),
        (np.ndarray.tofile, np.zeros(2), str(witness)),
    ]  # fmt: skip
    path = tmp_path / "model.pkl"
    for call in calls:
        for protocol in (0, 2, 4):
            path.write_bytes(pickle.dumps({"v_template": _Runs(*call)}, protocol))
            with pytest.raises(UnsafePickleError):
                load_arrays(path)
    assert not witness.exists()


def pictures() -> Iterator[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 4), np.uint8)
    for form, mode, options in (
        ("PNG", "RGBA", {}), ("PNG", "L", {}), ("JPEG", "RGB", {"quality": 80}), ("JPEG", "CMYK", {}),
        ("WEBP", "RGBA", {}), ("TIFF", "RGB", {"compression": "tiff_lzw"}), ("BMP", "RGB", {}), ("TIFF", "I;16", {}),
    ):  # fmt: skip
        target = io.BytesIO()
        image = Image.fromarray(pixels)
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(target, form, **options, **({"exif": exif} if form == "JPEG" else {}))
        yield target.getvalue()


def test_portraits() -> None:
    for data in pictures():
        assert decode_image(data).shape[2] == 3
        good, bad = survive(decode_image, damaged(data, 250, 7))
        assert good + bad == 250
        assert bad > 25


def test_heads(tiny_head: HeadModel, tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    save_head(tiny_head, path)
    data = path.read_bytes()
    rng, table = random.Random(8), json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    meta = json.loads(table["__metadata__"]["gshead_head"])

    def files() -> Iterator[bytes]:
        yield from damaged(data[:3000] + data[3000:], 150, 9)
        for _ in range(300):
            changed = {**table, "__metadata__": {"gshead_head": json.dumps(rearranged(meta, rng))}}
            yield with_header(data, json.dumps(changed).encode("utf-8", "surrogatepass"))

    def read(content: bytes) -> None:
        path.write_bytes(content)
        read_head(path)

    _, bad = survive(read, files())
    assert bad > 150


def test_connection_files(tmp_path: Path) -> None:
    private = tmp_path / "run"
    private.mkdir(mode=0o700)
    path = private / "default.json"
    proper = {
        "address": f"ipc://{private}/default.sock", "server_key": "", "client_public": "", "client_secret": "",
        "pid": 3, "boot_id": "b", "runtime_dir": str(private), "starter": "",
    }  # fmt: skip

    def read(content: bytes) -> None:
        write_private(path, content)
        Endpoint.read(path)

    good, bad = survive(read, mutants([proper], 2500, 10))
    assert bad > 1000
    assert good > 50


@pytest.mark.parametrize("path", sorted((CORPUS / "files").glob("*")), ids=lambda path: path.name)
def test_the_corpus_is_refused(path: Path, tmp_path: Path) -> None:
    """Files that once got through, or raised what they should not; the ending says what reads them."""
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    readers: dict[str, Callable[[], object]] = {
        ".gshead": lambda: load_avatar(copy), ".json": lambda: take_from_json(copy.read_text("utf-8", "replace")),
        ".csv": lambda: read_live_link(copy.read_bytes()), ".pkl": lambda: load_arrays(copy),
        ".safetensors": lambda: read_head(copy), ".image": lambda: decode_image(copy.read_bytes()),
    }  # fmt: skip
    with pytest.raises((FileFormatError, HeadError, GsheadError)):
        readers[path.suffix]()


def test_a_saved_avatar_is_what_was_saved(tiny_head: HeadModel, tmp_path: Path) -> None:
    """The mutants above began with something proper."""
    avatar = make_tiny_avatar(tiny_head, 60)
    save_avatar(avatar, tmp_path / "a.gshead")
    assert load_avatar(tmp_path / "a.gshead", head=tiny_head).name == avatar.name
