"""Shared libraries that Blender's Linux wheels load and no wheel brings along.

They are checked before anything is downloaded. As root on Debian or Ubuntu they are installed; elsewhere the exact
command is named.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys

# soname -> package in Debian and Ubuntu, Fedora, Arch
LIBRARIES: dict[str, tuple[str, str, str]] = {
    "libXrender.so.1": ("libxrender1", "libXrender", "libxrender"),
    "libXfixes.so.3": ("libxfixes3", "libXfixes", "libxfixes"),
    "libXi.so.6": ("libxi6", "libXi", "libxi"),
    "libxkbcommon.so.0": ("libxkbcommon0", "libxkbcommon", "libxkbcommon"),
    "libSM.so.6": ("libsm6", "libSM", "libsm"),
    "libGL.so.1": ("libgl1", "libglvnd-glx", "libglvnd"),
    "libEGL.so.1": ("libegl1", "libglvnd-egl", "libglvnd"),
}
MANAGERS = {
    "apt-get": (0, "apt-get update && {sudo}apt-get install -y --no-install-recommends"),
    "dnf": (1, "dnf install -y"),
    "pacman": (2, "pacman -S --needed"),
}


def missing_libraries() -> list[str]:
    """Sonames that Blender's wheel needs and the loader does not find; empty outside Linux."""
    if not sys.platform.startswith("linux"):
        return []
    missing = []
    for soname in LIBRARIES:
        try:
            ctypes.CDLL(soname)
        except OSError:
            missing.append(soname)
    return missing


def install_command(missing: list[str], manager: str | None = None, *, sudo: str = "sudo ") -> str:
    """The shell command that installs what is missing, for the package manager of this machine or the one named."""
    manager = manager or next((name for name in MANAGERS if shutil.which(name)), "apt-get")
    column, command = MANAGERS[manager]
    packages = sorted({LIBRARIES[soname][column] for soname in missing})
    return f"{sudo}{command.format(sudo=sudo)} {' '.join(packages)}"


def may_install() -> bool:
    """True for root on a machine with apt-get."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(missing: list[str]) -> int:
    """Install the packages with apt-get; returns its exit status."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        install_command(missing, "apt-get", sudo=""), shell=True, env=environment, check=False
    ).returncode
