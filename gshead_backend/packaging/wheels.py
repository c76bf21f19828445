"""The wheels that travel inside the extension zip: download for any platform, check, and give them tags Blender takes.

Blender refuses a zip that holds both a ``cp311`` and an ``abi3`` wheel of one package, and enables one that holds only
the ``abi3`` wheel of a newer Python without installing it. So an ``abi3`` wheel that stands beside others of its
package gets explicit tags for the Pythons it is meant for.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from .environments import BACKEND, Say, SetupError

# Pythons inside Blender: 3.11 (4.2 to 5.0), 3.13 (5.1 on), 3.14 (Debian's build)
BLENDER_PYTHONS = ("3.11", "3.13", "3.14")
PLATFORMS: dict[str, tuple[str, ...]] = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64"),
    "windows-x64": ("win_amd64",),
    "windows-arm64": ("win_arm64",),
    "macos-arm64": ("macosx_11_0_arm64", "macosx_10_15_universal2"),
    "macos-x64": ("macosx_11_0_x86_64", "macosx_10_15_universal2"),
}
LOCK = "addon-wheels.lock.txt"
EPOCH = (1980, 1, 1, 0, 0, 0)


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def pip_command(root: Path) -> list[str]:
    """A pip to download with: the backend's, or the running interpreter's."""
    if BACKEND.python(root).exists():
        return [str(BACKEND.python(root)), "-m", "pip"]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    raise SetupError("No pip found to download wheels with. Run `python3 bootstrap.py setup` first.")


def download(root: Path, platform: str, say: Say) -> list[Path]:
    """The wheels of ``requirements/addon-wheels.lock.txt`` for one platform and every Python inside Blender.

    They are kept in ``build/wheels``; a complete and unchanged folder is used as it is, without any network.

    Raises:
        SetupError: pip cannot download them, or a checksum differs.
    """
    lock = root / "requirements" / LOCK
    folder = root / "build" / "wheels" / platform
    stamp = {"lock": sha256(lock.read_bytes()), "pythons": list(BLENDER_PYTHONS)}
    if kept := _kept(folder, stamp):
        return kept
    say(f"{platform}: downloading the extension's wheels")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        for python in BLENDER_PYTHONS:
            command = [*pip_command(root), "--disable-pip-version-check", "download", "-q", "--no-deps"]
            command += ["--only-binary=:all:", "--require-hashes", "-r", str(lock), "--python-version", python]
            command += [part for tag in PLATFORMS[platform] for part in ("--platform", tag)]
            done = subprocess.run([*command, "-d", temporary], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise SetupError(f"pip cannot download the wheels for {platform}, Python {python}:\n{done.stderr}")
        found = {path.name: sha256(path.read_bytes()) for path in sorted(Path(temporary).glob("*.whl"))}
        (Path(temporary) / "complete.json").write_text(json.dumps({**stamp, "files": found}, indent=2))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(temporary, folder)
    return sorted(folder.glob("*.whl"))


def _kept(folder: Path, stamp: dict) -> list[Path]:
    try:
        record = json.loads((folder / "complete.json").read_text())
    except (OSError, ValueError):
        return []
    files = record.pop("files", {})
    whole = (
        record == stamp
        and files
        and all(
            (folder / name).is_file() and sha256((folder / name).read_bytes()) == digest
            for name, digest in files.items()
        )
    )
    return sorted(folder / name for name in files) if whole else []


def for_blender(wheels: list[Path]) -> dict[str, bytes]:
    """Wheels by file name as they go into the zip: ``abi3`` wheels that stand beside others of theirs get new tags."""
    packages = [path.name.split("-")[0] for path in wheels]
    result = {}
    for path in wheels:
        name, data = path.name, path.read_bytes()
        python, abi = name.split("-")[-3:-1]
        if abi == "abi3" and packages.count(name.split("-")[0]) > 1:
            minors = [f"cp{minor.replace('.', '')}" for minor in BLENDER_PYTHONS]
            newer = [tag for tag in minors if int(tag[2:]) >= int(python[2:])]
            name, data = retag(name, data, newer)
        result[name] = data
    return result


def retag(name: str, data: bytes, pythons: list[str]) -> tuple[str, bytes]:
    """Give a wheel explicit Python tags and no ABI tag, in its name, its WHEEL file and its RECORD.

    Args:
        name: the wheel's file name.
        data: its bytes.
        pythons: tags such as ``["cp313", "cp314"]``.
    """
    head, platform = name.rsplit("-", 3)[0], name.rsplit("-", 1)[1].removesuffix(".whl")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {item.filename: archive.read(item) for item in archive.infolist() if not item.is_dir()}
    info = next(path.split("/")[0] for path in files if path.endswith(".dist-info/WHEEL"))
    lines = [line for line in files[f"{info}/WHEEL"].decode().splitlines() if line and not line.startswith("Tag:")]
    lines += [f"Tag: {python}-none-{part}" for python in pythons for part in platform.split(".")]
    files[f"{info}/WHEEL"] = ("\n".join(lines) + "\n").encode()
    return f"{head}-{'.'.join(pythons)}-none-{platform}.whl", pack_wheel(files, info)


def pack_wheel(files: dict[str, bytes], info: str) -> bytes:
    """The bytes of a wheel with a RECORD made for ``files``; the same files always give the same bytes.

    Args:
        files: content by path inside the wheel; a RECORD among them is replaced.
        info: the name of its ``.dist-info`` folder.
    """
    record = f"{info}/RECORD"
    files = {path: data for path, data in sorted(files.items()) if path != record}
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        writer.writerow((path, f"sha256={digest}", len(data)))
    writer.writerow((record, "", ""))
    return pack({**files, record: table.getvalue().encode()})


def pack(files: dict[str, bytes]) -> bytes:
    """The bytes of a zip file without times or owners, in the order given; wheels inside are stored as they are."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, data in files.items():
            item = zipfile.ZipInfo(path, EPOCH)
            item.create_system = 3
            item.external_attr = 0o100644 << 16
            item.compress_type = zipfile.ZIP_STORED if path.endswith(".whl") else zipfile.ZIP_DEFLATED
            archive.writestr(item, data)
    return target.getvalue()


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` is whole at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.write_bytes(data)
    os.replace(temporary, path)
