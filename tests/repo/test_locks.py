"""The lock files are exact, agree with each other and with pyproject.toml, and cover what the code imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECTS = {"cv2": "opencv-python-headless", "PIL": "pillow", "zmq": "pyzmq", "pxr": "usd-core"}
OPTIONAL = {"bpy", "mathutils", "gsplat", "triton", "tflite"}
"""Blender's own; only where a CUDA build of torch is chosen; only to convert a network that the package carries."""


def pins(path: Path) -> dict[str, Requirement]:
    """The requirements of a lock file by canonical name."""
    text = re.sub(r"\\\n", " ", path.read_text(encoding="utf-8"))
    lines = [line.split(" --hash")[0] for line in text.splitlines() if line and not line.startswith("#")]
    return {str(canonicalize_name(Requirement(line).name)): Requirement(line) for line in lines}


def locks(root: Path) -> dict[str, dict[str, Requirement]]:
    return {path.name: pins(path) for path in sorted((root / "requirements").glob("*.lock.txt"))}


def exact(requirement: Requirement) -> str:
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    return specifier.version


def test_every_pin_is_exact(root: Path) -> None:
    assert len(locks(root)) == 8
    for name, found in locks(root).items():
        assert found, name
        for requirement in found.values():
            assert re.fullmatch(r"[\w.]+", exact(requirement)), f"{name}: {requirement}"


def test_lock_files_name_no_index(root: Path) -> None:
    for path in (root / "requirements").iterdir():
        assert not re.search(r"://|--(extra-)?index-url|--find-links", path.read_text(encoding="utf-8")), path.name


def test_backend_lock_satisfies_the_package(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    backend = locks(root)["backend.lock.txt"]
    for text in (*project["project"]["dependencies"], *project["build-system"]["requires"]):
        wanted = Requirement(text)
        assert wanted.specifier.contains(exact(backend[str(canonicalize_name(wanted.name))])), text


def test_the_other_locks_satisfy_the_extras(root: Path) -> None:
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    found = locks(root)
    for extra, lock in (
        ("cuda", found["cuda.lock.txt"]),
        ("dev", found["dev.lock.txt"]),
        ("ray", found["ray.lock.txt"]),
    ):
        for text in extras[extra]:
            wanted = Requirement(text)
            assert wanted.specifier.contains(exact(lock[str(canonicalize_name(wanted.name))])), text


def test_the_extension_and_the_backend_have_the_same_wheels(root: Path) -> None:
    found = locks(root)
    for name, requirement in found["addon-wheels.lock.txt"].items():
        assert exact(requirement) == exact(found["backend.lock.txt"][name])


def test_no_environment_gets_a_second_opencv(root: Path) -> None:
    for name, found in locks(root).items():
        flavours = [package for package in found if package.startswith("opencv")]
        assert flavours == (["opencv-python-headless"] if name == "backend.lock.txt" else []), name


@pytest.mark.parametrize("version", ["4.5", "5.0", "5.2"])
def test_blender_environments_take_the_extensions_wheels_from_the_extension(root: Path, version: str) -> None:
    found = locks(root)[f"blender-{version}.lock.txt"]
    assert exact(found["bpy"]).startswith(version)
    assert not {"pyzmq", "msgspec", "safetensors", "torch", "gshead-backend"} & set(found)


def test_every_import_of_the_package_is_a_declared_dependency(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    declared = {str(canonicalize_name(Requirement(text).name)) for text in project["project"]["dependencies"]}
    used: dict[str, str] = {}
    for path in (root / "gshead_backend").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            used |= {name.split(".")[0]: str(path.relative_to(root)) for name in names}
    ours = {"gshead_backend", *sys.stdlib_module_names, *OPTIONAL}
    missing = {
        name: where
        for name, where in used.items()
        if name not in ours and str(canonicalize_name(PROJECTS.get(name, name))) not in declared
    }
    assert missing == {}
