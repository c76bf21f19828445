"""Who may import whom, as docs/architecture.md says, read from the source without running it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gshead_backend.packaging.light_wheel import ROOMS as LIGHT

# What stands beside the rooms (errors, camera, files) is the floor; every room may use it.
MAY_IMPORT: dict[str, set[str]] = {
    "floor": set(),
    "protocol": set(),
    "head": set(),
    "portrait": {"head"},
    "avatar": {"head"},
    "raster": {"avatar"},
    "detail": {"head", "avatar", "raster"},
    "methods": {"head", "portrait", "avatar", "raster"},
    "export": {"head", "avatar", "raster", "protocol"},
    "client": {"protocol", "head", "avatar", "export"},
    "server": {"protocol", "head", "portrait", "avatar", "raster", "detail", "methods"},
    "farm": {"protocol", "avatar", "export"},
    "training": {"head", "portrait", "avatar", "raster", "methods", "export", "protocol"},
    "evaluation": {"head", "portrait", "avatar", "raster", "methods", "export", "protocol", "training"},
    "dataset": {"head", "portrait", "methods", "training", "evaluation"},
    "cli": {
        "protocol",
        "head",
        "portrait",
        "avatar",
        "raster",
        "detail",
        "methods",
        "export",
        "server",
        "farm",
        "training",
        "evaluation",
        "dataset",
        "packaging",
        "upkeep",
    },
    "upkeep": {"protocol", "portrait", "methods"},
    "packaging": set(),
}
FREE_OF_ERRORS = {"packaging"}  # runs before anything is installed: not even the floor
# An imported FLAME head gets its landmarks from the portrait room's network, unless the caller brings a detector.
EXCEPTIONS = {("gshead_backend/head/importing/install.py", "portrait")}


def _imports(path: Path, package: tuple[str, ...]) -> set[str]:
    """Absolute names of everything imported anywhere in a file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def _room(parts: tuple[str, ...], root: Path) -> str:
    return parts[0] if parts and (root / "gshead_backend" / parts[0]).is_dir() else "floor"


def _edges(root: Path) -> list[tuple[str, str, str]]:
    """(file, its room, the room it imports) for the whole package."""
    edges = []
    base = root / "gshead_backend"
    for path in sorted(base.rglob("*.py")):
        parts = path.relative_to(base).parts
        for name in _imports(path, ("gshead_backend", *parts[:-1])):
            if name.split(".")[0] == "gshead_backend":
                edges.append((path.relative_to(root).as_posix(), _room(parts[:-1], root), _room_of(name, root)))
    return edges


def _room_of(name: str, root: Path) -> str:
    return _room(tuple(name.split(".")[1:]), root)


def test_every_room_has_a_rule(root: Path) -> None:
    rooms = {path.parent.name for path in (root / "gshead_backend").glob("*/__init__.py")}
    assert rooms <= set(MAY_IMPORT)


def test_rooms_import_only_what_the_architecture_allows(root: Path) -> None:
    edges = _edges(root)
    assert len(edges) > 50
    allowed = {
        room: rooms | {room} | (set() if room in FREE_OF_ERRORS else {"floor"}) for room, rooms in MAY_IMPORT.items()
    }
    wrong = [
        f"{file} ({room}) imports {other}"
        for file, room, other in edges
        if other not in allowed[room] and (file, other) not in EXCEPTIONS
    ]
    assert wrong == []


def test_only_the_addon_and_tests_import_bpy(root: Path) -> None:
    files = [*(root / "gshead_backend").rglob("*.py"), *(root / "benchmarks").rglob("*.py")]
    files.remove(root / "gshead_backend/evaluation/people/scene.py")  # run by Blender, imported by nothing
    assert [str(path) for path in files if {"bpy"} & {name.split(".")[0] for name in _imports(path, ())}] == []


@pytest.mark.parametrize("heavy", ["torch", "cv2", "numba", "scipy", "PIL"])
def test_the_addon_never_imports_heavy_packages(root: Path, heavy: str) -> None:
    for path in (root / "addon").rglob("*.py"):
        assert heavy not in {name.split(".")[0] for name in _imports(path, ())}, path


def test_the_addon_imports_light_rooms_only(root: Path) -> None:
    wrong = []
    for path in (root / "addon").rglob("*.py"):
        for name in _imports(path, ()):
            if name.split(".")[0] == "gshead_backend" and _room_of(name, root) not in {*LIGHT, "floor"}:
                wrong.append(f"{path.relative_to(root)} imports {name}")
    assert wrong == []
