"""The light rooms work inside Blender: with numpy, msgspec, pyzmq and safetensors, and nothing heavier."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gshead_backend.packaging.environments import BLENDERS, Environment

BLOCKED = (
    *("torch", "cv2", "scipy", "numba", "PIL", "OpenEXR", "pxr", "tyro", "platformdirs", "jaxtyping", "gsplat"),
    *("lz4", "simplejpeg", "bpy"),
)
# Imports every module of the package found in the folder given, with the heavy packages blocked.
IMPORT_ALL = """
import importlib, json, pathlib, sys
site, blocked = pathlib.Path(sys.argv[1]), set(sys.argv[2].split(","))

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ImportError(f"{name} is blocked: a light room must not import it")

sys.meta_path.insert(0, Blocker())
sys.path.insert(0, str(site))
modules = []
for file in sorted((site / "gshead_backend").rglob("*.py")):
    parts = file.relative_to(site).with_suffix("").parts
    modules.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
for name in modules:
    assert importlib.import_module(name).__file__.startswith(str(site)), name
import numpy, zmq, msgspec, safetensors
print(json.dumps({"numpy": numpy.__version__, "modules": modules,
                  "loaded": sorted(blocked & {name.split(".")[0] for name in sys.modules})}))
"""


def _unpack_wheels(extension: Path, target: Path, *tags: str) -> None:
    """What Blender does at installation: unpack the wheels whose Python tag fits."""
    with zipfile.ZipFile(extension) as archive:
        for name in archive.namelist():
            pythons = name.split("-")[-3].split(".") if name.endswith(".whl") else []
            stable = name.endswith(".whl") and name.split("-")[-2] == "abi3"
            if stable or set(pythons) & set(tags):
                zipfile.ZipFile(io.BytesIO(archive.read(name))).extractall(target)


def _import_all(python: Path | str, site: Path) -> dict:
    command = [str(python), "-I", "-c", IMPORT_ALL, str(site), ",".join(BLOCKED)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _check(answer: dict, numpy: str) -> None:
    assert answer["numpy"].startswith(numpy)
    assert answer["loaded"] == []
    rooms = {name.split(".")[1] for name in answer["modules"] if "." in name}
    assert {"protocol", "head", "avatar", "export", "errors", "camera"} <= rooms
    assert not {"server", "portrait", "methods", "raster", "cli", "packaging"} & rooms


def test_light_rooms_import_with_numpy_2(extension_zip: Path, tmp_path: Path) -> None:
    _unpack_wheels(extension_zip, tmp_path, "py3", f"cp3{sys.version_info.minor}")
    _check(_import_all(sys.executable, tmp_path), "2.")


@pytest.mark.blender
@pytest.mark.parametrize("blender", BLENDERS, ids=lambda blender: blender.name)
def test_light_rooms_import_with_blenders_python(
    blender: Environment, root: Path, extension_zip: Path, tmp_path: Path
) -> None:
    if not blender.exists(root):
        pytest.skip(f"{blender.name} is not set up: Python {blender.pythons[0]} was not found")
    _unpack_wheels(extension_zip, tmp_path, "py3", f"cp{blender.pythons[0].replace('.', '')}")
    answer = _import_all(blender.python(root), tmp_path)
    _check(answer, "1.26" if blender.pythons == ("3.11",) else "2.")


@pytest.mark.blender
@pytest.mark.parametrize("blender", BLENDERS, ids=lambda blender: blender.name)
def test_blender_environments_do_not_hide_the_extensions_wheels(blender: Environment, root: Path) -> None:
    if not blender.exists(root):
        pytest.skip(f"{blender.name} is not set up: Python {blender.pythons[0]} was not found")
    code = "import importlib.util as u; print([n for n in ('zmq', 'msgspec', 'safetensors', 'gshead_backend') "
    code += "if u.find_spec(n)])"
    done = subprocess.run([str(blender.python(root)), "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
