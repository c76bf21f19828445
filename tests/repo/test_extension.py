"""The extension zip: what is in it, that Blender takes it, and that building it twice gives the same bytes."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import shutil
import tomllib
import zipfile
from collections import defaultdict
from pathlib import Path

import pytest

from gshead_backend.packaging import extension
from gshead_backend.packaging.environments import SetupError
from gshead_backend.packaging.light_wheel import build_light_wheel
from gshead_backend.packaging.wheels import BLENDER_PYTHONS, for_blender, pack_wheel, retag


def _wheels(zip_path: Path) -> dict[str, zipfile.ZipFile]:
    with zipfile.ZipFile(zip_path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".whl")]
        return {name.split("/")[-1]: zipfile.ZipFile(io.BytesIO(archive.read(name))) for name in names}


def _tags(name: str) -> tuple[list[str], str, list[str]]:
    python, abi, platform = name.removesuffix(".whl").split("-")[-3:]
    return python.split("."), abi, platform.split(".")


def test_blender_validates_it(root: Path, extension_zip: Path) -> None:
    assert "Success" in extension.validate_extension(root, extension_zip)


def test_manifest_lists_exactly_the_wheels_that_are_inside(extension_zip: Path) -> None:
    with zipfile.ZipFile(extension_zip) as archive:
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
        inside = {f"./{name}" for name in archive.namelist() if name.endswith(".whl")}
    assert set(manifest["wheels"]) == inside
    assert manifest["platforms"] == [extension.this_platform()]
    assert manifest["permissions"].keys() == {"files", "network", "clipboard"}


def test_it_holds_the_addon_its_licences_and_no_rubbish(root: Path, extension_zip: Path) -> None:
    with zipfile.ZipFile(extension_zip) as archive:
        names = set(archive.namelist())
    assert {"__init__.py", "LICENSES/GPL-3.0-or-later.txt", "LICENSES/Apache-2.0.txt"} <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".blend1"))]
    assert extension_zip.stat().st_size < 16 * 2**20


def test_each_python_inside_blender_gets_exactly_one_wheel_of_each_package(extension_zip: Path) -> None:
    for minor in BLENDER_PYTHONS:
        tag = f"cp{minor.replace('.', '')}"
        fitting = defaultdict(list)
        for name in _wheels(extension_zip):
            pythons, abi, _ = _tags(name)
            oldest = min(pythons)
            if tag in pythons or oldest == "py3" or (abi == "abi3" and int(oldest[2:]) <= int(tag[2:])):
                fitting[name.split("-")[0]].append(name)
        assert {package: len(names) for package, names in fitting.items()} == {
            "gshead_backend": 1,
            "lz4": 1,
            "msgspec": 1,
            "pyzmq": 1,
            "safetensors": 1,
            "simplejpeg": 1,
        }, minor


def test_every_wheel_agrees_with_its_name_and_its_record(extension_zip: Path) -> None:
    for name, wheel in _wheels(extension_zip).items():
        (info,) = {path.split("/")[0] for path in wheel.namelist() if path.endswith(".dist-info/WHEEL")}
        written = [line[5:] for line in wheel.read(f"{info}/WHEEL").decode().splitlines() if line.startswith("Tag: ")]
        pythons, abi, platforms = _tags(name)
        assert set(written) == {f"{python}-{abi}-{platform}" for python in pythons for platform in platforms}, name
        for path, digest, size in csv.reader(io.StringIO(wheel.read(f"{info}/RECORD").decode())):
            if digest:
                data = wheel.read(path)
                found = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                assert (digest, int(size)) == (f"sha256={found}", len(data)), f"{name}: {path}"


def test_building_again_gives_the_same_bytes(root: Path, extension_zip: Path) -> None:
    assert extension.pack_extension(root, extension.this_platform(), print) == extension_zip.read_bytes()


def _copy_sources(root: Path, target: Path) -> Path:
    for name in ("gshead_backend", "LICENSES"):
        shutil.copytree(root / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "blender_manifest.toml", target)
    return target


def test_a_changed_light_room_changes_the_wheels_version(root: Path, tmp_path: Path) -> None:
    """Blender does not unpack a wheel again whose name and version it has."""
    tree = _copy_sources(root, tmp_path)
    before, _ = build_light_wheel(tree)
    with (tree / "gshead_backend" / "camera.py").open("a") as file:
        file.write("\n# changed\n")
    after, _ = build_light_wheel(tree)
    assert before != after
    assert before.split("+")[0] == after.split("+")[0]


def test_the_light_wheel_leaves_heavy_rooms_out(root: Path) -> None:
    _, data = build_light_wheel(root)
    names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    assert "gshead_backend/head/skinning.py" in names
    rooms = ("portrait", "raster", "methods", "server", "cli", "packaging", "head/bake", "head/importing")
    heavy = (*(f"gshead_backend/{room}/" for room in rooms), "_torch.py", "export/frames.py", "_fast.py")
    assert [name for name in names if any(part in name for part in heavy)] == []


def test_a_manifest_of_another_version_is_refused(root: Path, tmp_path: Path) -> None:
    tree = _copy_sources(root, tmp_path)
    text = (tree / "blender_manifest.toml").read_text().replace('\nversion = "', '\nversion = "9')
    (tree / "blender_manifest.toml").write_text(text)
    with pytest.raises(SetupError, match="Make them the same"):
        extension.manifest(tree, "linux-x64", [])


def test_unknown_platforms_are_refused_with_the_known_ones(root: Path) -> None:
    with pytest.raises(SetupError, match="linux-x64"):
        extension.build_extension(root, "beos-ppc", print)


def _fake_wheel(folder: Path, name: str) -> Path:
    tags = "\n".join(f"Tag: {tag}" for tag in ("cp312-abi3-any",))
    info = f"{'-'.join(name.split('-')[:2])}.dist-info"
    content = {"thing/__init__.py": b"x = 1\n", f"{info}/WHEEL": f"Wheel-Version: 1.0\n{tags}\n".encode()}
    path = folder / name
    path.write_bytes(pack_wheel(content, info))
    return path


def test_a_lone_stable_wheel_keeps_its_tags_and_one_with_company_gets_new_ones(tmp_path: Path) -> None:
    stable = _fake_wheel(tmp_path, "thing-1.0-cp312-abi3-any.whl")
    older = _fake_wheel(tmp_path, "thing-1.0-cp311-cp311-any.whl")
    assert list(for_blender([stable])) == [stable.name]
    assert list(for_blender([older, stable])) == [older.name, "thing-1.0-cp313.cp314-none-any.whl"]


def test_retagging_changes_the_tags_and_nothing_else(tmp_path: Path) -> None:
    path = _fake_wheel(tmp_path, "thing-1.0-cp312-abi3-any.whl")
    name, data = retag(path.name, path.read_bytes(), ["cp313", "cp314"])
    wheel = zipfile.ZipFile(io.BytesIO(data))
    assert name == "thing-1.0-cp313.cp314-none-any.whl"
    assert wheel.read("thing/__init__.py") == b"x = 1\n"
    lines = wheel.read("thing-1.0.dist-info/WHEEL").decode().split("\n")
    assert lines == ["Wheel-Version: 1.0", "Tag: cp313-none-any", "Tag: cp314-none-any", ""]
