"""A self-hosted extension repository: a folder of zips and the ``index.json`` Blender reads, for any web server."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from .environments import Say, SetupError
from .extension import blender_validator, build_extension, validate_extension

INDEX = "index.json"


def build_repository(root: Path, folder: Path, platforms: tuple[str, ...], say: Say) -> Path:
    """Put the zips of ``platforms`` into ``folder`` beside those that are there, and list all of them; the index.

    The list is made by Blender's own ``server-generate``. Zips of other versions stay: Blender offers the newest.

    Raises:
        SetupError: no Blender environment is set up to make the list with, or a zip cannot be built or is refused.
    """
    command = blender_validator(root)
    if command is None:
        raise SetupError("The index is made by Blender's own tool. Run `python3 bootstrap.py setup` first.")
    folder.mkdir(parents=True, exist_ok=True)
    for platform in platforms:
        built = build_extension(root, platform, say)
        say(f"{built.name}: {validate_extension(root, built)}")
        temporary = folder / f".{built.name}.new"
        shutil.copyfile(built, temporary)
        temporary.replace(folder / built.name)
    done = subprocess.run(
        [*command, "server-generate", "--repo-dir", str(folder), "--html"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SetupError(f"Blender's tool cannot list {folder}:\n{(done.stdout + done.stderr).strip()}")
    listed = json.loads((folder / INDEX).read_text(encoding="utf-8"))["data"]
    say(f"{folder}: {len(listed)} zips listed")
    return folder / INDEX
