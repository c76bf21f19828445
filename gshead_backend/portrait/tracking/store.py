"""Finished parts of a first pass on disk, so that an interrupted one goes on."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ...files import write_atomic
from .clip import Clip
from .follow import Seen

VERSION = 1
INDEX = "clip.json"


class Store:
    """A folder of one ``.npz`` a chunk. Without a folder nothing is kept. Parts of another clip are thrown away."""

    def __init__(self, folder: Path | None, clip: Clip) -> None:
        self._folder = folder
        self._about = {
            "format": "gshead-tracking", "version": VERSION, "clip": str(clip.path.resolve()), "stamp": clip.stamp,
            "fps": clip.fps,
        }  # fmt: skip
        if folder is not None and not self._fits():
            forget(folder)
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / INDEX, json.dumps(self._about).encode())

    def parts(self) -> list[Seen]:
        """What is there, in order, up to the first that is missing or damaged."""
        out: list[Seen] = []
        while self._folder is not None:
            try:
                with np.load(self._path(len(out)), allow_pickle=False) as file:
                    out.append(Seen(**{name: file[name] for name in Seen.names()}))
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
                break
        return out

    def add(self, number: int, part: Seen) -> None:
        if self._folder is not None:
            buffer = io.BytesIO()
            np.savez(buffer, **part.arrays())  # pyright: ignore[reportArgumentType]
            write_atomic(self._path(number), buffer.getvalue())

    def close(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            forget(self._folder)

    def _path(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number:06d}.npz"

    def _fits(self) -> bool:
        assert self._folder is not None
        try:
            return json.loads((self._folder / INDEX).read_text("utf-8")) == self._about
        except (OSError, ValueError):
            return False


def forget(folder: Path) -> None:
    """Remove what a store left; a folder that no store made stays."""
    if (folder / INDEX).exists():
        shutil.rmtree(folder, ignore_errors=True)
