"""Build the installable Blender extension: ``dist/gshead-<version>-<platform>.zip``."""

from __future__ import annotations

import platform as machine
import subprocess
import tomllib
from pathlib import Path

from .environments import BLENDERS, Say, SetupError
from .light_wheel import build_light_wheel, version
from .wheels import PLATFORMS, download, for_blender, pack, write_atomically

SKIPPED = ("__pycache__",)
SYSTEMS = {"Linux": "linux", "Windows": "windows", "Darwin": "macos"}


def this_platform() -> str:
    """Blender's name of this machine's platform, such as ``"linux-x64"``."""
    arm = machine.machine().lower() in ("arm64", "aarch64")
    return f"{SYSTEMS.get(machine.system(), machine.system().lower())}-{'arm64' if arm else 'x64'}"


def addon_files(root: Path) -> dict[str, bytes]:
    """The extension's own files by path inside the zip."""
    addon = root / "addon"
    files = {}
    for path in sorted(addon.rglob("*")):
        name = path.relative_to(addon)
        hidden = any(part.startswith(".") or part in SKIPPED for part in name.parts)
        if path.is_file() and not hidden:
            files[name.as_posix()] = path.read_bytes()
    return files


def manifest(root: Path, platform: str, wheels: list[str]) -> bytes:
    """``blender_manifest.toml`` with the platform and the wheels filled in, before the first table."""
    text = (root / "blender_manifest.toml").read_text(encoding="utf-8")
    written = tomllib.loads(text)
    if written.get("version") != version(root):
        raise SetupError(
            f"blender_manifest.toml says version {written.get('version')} and gshead_backend/__init__.py "
            f"says {version(root)}. Make them the same."
        )
    if "wheels" in written or "platforms" in written:
        raise SetupError("blender_manifest.toml must not list wheels or platforms: the build fills them in.")
    lines = text.splitlines()
    table = next((index for index, line in enumerate(lines) if line.startswith("[")), len(lines))
    filled = [f'platforms = ["{platform}"]', "wheels = [", *(f'  "./wheels/{name}",' for name in wheels), "]", ""]
    return ("\n".join([*lines[:table], *filled, *lines[table:]]) + "\n").encode()


def zip_path(root: Path, platform: str) -> Path:
    """Where the extension for a platform is built."""
    return root / "dist" / f"gshead-{version(root)}-{platform}.zip"


def pack_extension(root: Path, platform: str, say: Say) -> bytes:
    """The bytes of the zip for one platform; unchanged sources give the same bytes.

    Raises:
        SetupError: an unknown platform, no pip or network for the wheels, or a manifest that does not fit.
    """
    if platform not in PLATFORMS:
        raise SetupError(f"There is no platform '{platform}'. Use one of: {', '.join(PLATFORMS)}, all.")
    own_name, own = build_light_wheel(root)
    wheels = {**for_blender(download(root, platform, say)), own_name: own}
    files = {"blender_manifest.toml": manifest(root, platform, sorted(wheels)), **addon_files(root)}
    files |= {f"LICENSES/{path.name}": path.read_bytes() for path in sorted((root / "LICENSES").iterdir())}
    files |= {f"wheels/{name}": wheels[name] for name in sorted(wheels)}
    return pack(files)


def build_extension(root: Path, platform: str, say: Say) -> Path:
    """Write the zip for one platform, if it is not there already, and return its path. Raises as ``pack_extension``."""
    target, data = zip_path(root, platform), pack_extension(root, platform, say)
    if not target.is_file() or target.read_bytes() != data:
        write_atomically(target, data)
    return target


def blender_validator(root: Path) -> list[str] | None:
    """The command of Blender's own ``blender_ext.py``, from the newest Blender environment that is set up."""
    for environment in reversed(BLENDERS):
        found = sorted(environment.folder(root).glob("**/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))
        if found and environment.exists(root):
            return [str(environment.python(root)), str(found[-1])]
    return None


def validate_extension(root: Path, path: Path) -> str:
    """Let Blender's own tool validate the zip; returns what it says, or that no Blender environment is there.

    Raises:
        SetupError: the zip is not valid.
    """
    command = blender_validator(root)
    if command is None:
        return "not validated: no Blender environment is set up"
    done = subprocess.run([*command, "validate", str(path)], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).strip()
    if done.returncode != 0:
        raise SetupError(f"Blender refuses {path.name}:\n{said}")
    return said.splitlines()[-1] if said else "valid"
