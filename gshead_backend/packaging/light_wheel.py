"""The project's own wheel for the extension: the light rooms, without anything that needs torch, OpenCV or numba."""

from __future__ import annotations

import ast
from pathlib import Path, PurePosixPath

from .wheels import pack_wheel, sha256

ROOMS = ("protocol", "head", "avatar", "export", "client", "farm")
# Modules of light rooms that are imported on demand only, and not inside Blender.
HEAVY = (
    *("*/*_torch.py", "avatar/drive_fast.py", "avatar/drive_graph.py", "avatar/drive_triton.py"),
    "avatar/shading_fast.py",
    *("export/frames.py", "export/video.py", "*/weights/*"),
    *("head/bake/*", "head/bake/*/*", "head/importing/*"),
)
SUFFIXES = (".py", ".safetensors", ".json", ".npz")


def version(root: Path) -> str:
    """``gshead_backend.__version__`` without importing anything."""
    tree = ast.parse((root / "gshead_backend" / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "__version__"
        ):
            return str(ast.literal_eval(node.value))
    raise ValueError("gshead_backend/__init__.py does not assign __version__.")


def is_light(path: PurePosixPath) -> bool:
    """Whether a file, relative to ``gshead_backend/``, belongs to the light wheel."""
    if any(part.startswith((".", "__pycache__")) for part in path.parts) or path.suffix not in SUFFIXES:
        return False
    if any(path.match(pattern) for pattern in HEAVY):
        return False
    # The modules beside the rooms are the floor: all of them are light.
    return len(path.parts) == 1 or path.parts[0] in ROOMS


def light_files(root: Path) -> dict[str, bytes]:
    """Content of the light rooms by path inside the wheel."""
    package = root / "gshead_backend"
    paths = sorted(path for path in package.rglob("*") if path.is_file())
    found = {path: PurePosixPath(path.relative_to(package).as_posix()) for path in paths}
    return {f"gshead_backend/{name}": path.read_bytes() for path, name in found.items() if is_light(name)}


def build_light_wheel(root: Path) -> tuple[str, bytes]:
    """File name and bytes of the light wheel.

    Blender keeps an installed wheel as long as name and version stay the same, so the version carries a hash of the
    content: a rebuilt extension is really the one that runs.
    """
    files = light_files(root)
    content = sha256(b"".join(name.encode() + b"\0" + data for name, data in sorted(files.items())))
    full = f"{version(root)}+light.{content[:12]}"
    info = f"gshead_backend-{full}.dist-info"
    metadata = (
        f"Metadata-Version: 2.4\nName: gshead-backend\nVersion: {full}\n"
        "Summary: The light rooms of gshead: protocol, head, avatar and export, for use inside Blender\n"
        "License-Expression: Apache-2.0\nLicense-File: Apache-2.0.txt\nRequires-Python: >=3.11\n"
        "Requires-Dist: numpy\nRequires-Dist: msgspec\nRequires-Dist: pyzmq\nRequires-Dist: safetensors\n"
    )
    files[f"{info}/METADATA"] = metadata.encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: gshead\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/licenses/Apache-2.0.txt"] = (root / "LICENSES" / "Apache-2.0.txt").read_bytes()
    return f"gshead_backend-{full}-py3-none-any.whl", pack_wheel(files, info)
