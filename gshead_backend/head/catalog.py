"""Finding heads: the one that ships with gshead, and those the user has imported."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from ..errors import ArgumentError, FileFormatError, HeadError
from ..folders import data_folder
from .file import read_head, read_meta
from .model import HeadModel

DEFAULT_NAME = "gshead-default"
_DEFAULT_FILE = Path(__file__).parent / "data" / "default_head.safetensors"


@lru_cache(maxsize=1)
def default_head() -> HeadModel:
    """The CC0 head that ships with gshead (read once, then kept; do not write into its arrays)."""
    return read_head(_DEFAULT_FILE)


def heads_folder() -> Path:
    """Where imported heads live: ``heads`` in the user's data folder."""
    return data_folder() / "heads"


def installed_heads() -> dict[str, Path]:
    """Name to file of every head that :func:`load_head` finds by name, the default one first."""
    found = {DEFAULT_NAME: _DEFAULT_FILE}
    try:
        folder = heads_folder()
    except ArgumentError:  # a user without a home folder has the default head and paths
        return found
    if folder.is_dir():
        found |= {p.stem: p for p in sorted(folder.glob("*.safetensors")) if p.stem != DEFAULT_NAME}
    return found


def load_head(name_or_path: str | os.PathLike[str]) -> HeadModel:
    """A head by its installed name or by the path of a head file.

    Raises:
        HeadError: no such head, or its content is broken. FileFormatError: the file is not a head file.
    """
    text = os.fspath(name_or_path)
    if text in ("default", DEFAULT_NAME):
        return default_head()
    path = installed_heads().get(text) or Path(text)
    if not path.is_file():
        raise HeadError(
            f"There is no head '{text}'; installed are: {', '.join(installed_heads())}.",
            remedy="Import one with 'gshead head import FILE', or give the path of a head file.",
        )
    return read_head(path)


def find_head(sha256: str) -> HeadModel:
    """The installed head with this content hash: for avatars that name their head instead of carrying it.

    Raises ``HeadError`` when none of the installed heads has it.
    """
    if default_head().sha256 == sha256:
        return default_head()
    for path in installed_heads().values():
        try:
            if read_meta(path).get("sha256") == sha256:
                head = read_head(path)
                if head.sha256 == sha256:
                    return head
        except (FileFormatError, HeadError):
            continue  # a broken neighbour must not hide the head that was asked for
    raise HeadError(
        f"No installed head has the content {sha256[:12]}….",
        remedy="Import the head the avatar was made on with 'gshead head import FILE'.",
    )
