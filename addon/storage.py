"""The avatar inside the .blend file.

A head's mesh points to a hidden Text datablock that holds the ``.gshead`` bytes as an ID property, or the path of a
file beside the .blend (``unpacked``). A Text is neither evaluated nor copied by the depsgraph, is shared by duplicates,
follows append and link through the pointer, and goes when its last user goes. The bytes are a stranger's until
``avatar_from_bytes`` has accepted them; a .blend file holds no command, endpoint or key.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from gshead_backend import avatar as avatars  # its names load safetensors and msgspec when they are first used
from gshead_backend.errors import ArgumentError, FileFormatError

from . import unpacked

if TYPE_CHECKING:
    from gshead_backend.avatar.types import Avatar

AVATAR = "gshead_avatar"  # on the mesh: pointer to the Text; on the Text: the bytes
SHA256 = "gshead_sha256"  # on the Text: which avatar it claims to be, checked when it is read
PATH = "gshead_path"  # on the Text, in place of the bytes: a file below the .blend's folder, "//Ada.gshead"


@dataclass(frozen=True)
class StoredAvatar:
    """An avatar that was read and accepted: its id on the wire, its bytes and its content."""

    avatar_id: str
    data: bytes
    avatar: Avatar


_accepted: dict[tuple[int, str], StoredAvatar] = {}
_lock = threading.Lock()


def attach(mesh: Any, data: bytes) -> None:
    """Store ``.gshead`` bytes with a mesh; the same bytes are stored once per file."""
    digest = hashlib.sha256(data).hexdigest()
    text = next((t for t in bpy.data.texts if t.library is None and t.get(SHA256) == digest and AVATAR in t), None)
    if text is None:
        text = bpy.data.texts.new(f".gshead {digest[:12]}")
        text.use_fake_user = False
        text[AVATAR] = data
        text[SHA256] = digest
    before = _text_of(mesh)
    mesh[AVATAR] = text
    if before is not None and before != text and before.users == 0:
        bpy.data.texts.remove(before)


def is_head(obj: Any) -> bool:
    """Whether an object (original or evaluated) is the mesh of a Gaussian head."""
    return obj.type == "MESH" and _text_of(obj.data) is not None


def any_head() -> bool:
    """Whether the file holds an avatar at all; quick in files of many objects."""
    return any(SHA256 in text for text in bpy.data.texts)


def used_ids() -> set[str]:
    """The ids of the avatars that the file says it uses; quick, nothing is read."""
    return {str(text[SHA256]) for text in bpy.data.texts if SHA256 in text}


def read(mesh: Any) -> StoredAvatar:
    """The avatar of a head's mesh, validated once and then kept.

    Raises:
        FileFormatError: the mesh carries none, or the bytes are not what they claim or not an avatar.
        HeadError: the avatar was made on a head that is not installed here.
    """
    text = _text_of(mesh)
    if text is None:
        raise FileFormatError(f"Mesh '{mesh.name}' carries no avatar.", remedy="Load the head's .gshead file again.")
    claimed = str(text.get(SHA256, ""))
    key = (text.session_uid, claimed)
    with _lock:
        if key in _accepted:
            return _accepted[key]
    data = text.get(AVATAR)
    if data is None and PATH in text:
        data = unpacked.read_beside(_folder(text.library), str(text[PATH]), claimed)
    stored = _accept(data, claimed, mesh.name)
    with _lock:
        return _accepted.setdefault(key, stored)


def read_bytes(mesh: Any) -> bytes:
    """The ``.gshead`` bytes of a head's mesh; raises as :func:`read`."""
    return read(mesh).data


def packed_in_file(mesh: Any) -> bool:
    """Whether the .blend itself holds the bytes of a head's mesh."""
    text = _text_of(mesh)
    return text is not None and AVATAR in text


def file_of(mesh: Any) -> str:
    """The stored path of a head's avatar that is not packed; empty when it is."""
    text = _text_of(mesh)
    return "" if text is None or AVATAR in text else str(text.get(PATH, ""))


def unpack(mesh: Any, name: str) -> str:
    """Write a head's avatar beside the .blend and keep only the path and hash in it; returns the stored path.

    Raises ``ArgumentError`` when the .blend was never saved or the avatar comes from another one, ``ExportError``, and
    as :func:`read`.
    """
    text = _own_text(mesh)
    if not bpy.data.filepath:
        raise ArgumentError(
            "The avatar is unpacked beside the .blend file, which has no place yet.",
            remedy="Save the .blend file first.",
        )
    stored = unpacked.write_beside(_folder(None), name, read(mesh).data)
    text[PATH] = stored
    if AVATAR in text:
        del text[AVATAR]
    return stored


def pack(mesh: Any) -> None:
    """Take a head's avatar into the .blend again. Raises ``ArgumentError`` for a linked one, and as :func:`read`."""
    _pack(_own_text(mesh), read(mesh).data)


def relink(mesh: Any, path: Path) -> bool:
    """Give a head its avatar's file again; one that lies elsewhere than below the .blend is packed.

    Returns whether it was packed. Raises ``FileFormatError`` when the file holds another avatar.
    """
    text = _own_text(mesh)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    if hashlib.sha256(data).hexdigest() != str(text.get(SHA256, "")):
        raise FileFormatError(
            f"'{path.name}' is not the avatar of '{mesh.name}'.",
            remedy="Choose another file, or Load Avatar to add it.",
        )
    stored = unpacked.stored_path(_folder(None), path) if bpy.data.filepath else None
    if stored is None:
        _pack(text, data)
    else:
        text[PATH] = stored
    return stored is None


def before_saving(path: str) -> list[str]:
    """Pack what is unpacked and would not be found from ``path``, where the .blend is about to be saved.

    Returns the names of the files that were packed: a .blend that is saved elsewhere stays whole.
    """
    folder, moved = Path(path).parent, []
    for text in bpy.data.texts:
        if text.library is not None or PATH not in text or AVATAR in text:
            continue
        stored, claimed = str(text[PATH]), str(text.get(SHA256, ""))
        with contextlib.suppress(FileFormatError):
            unpacked.read_beside(folder, stored, claimed)
            continue
        with _lock:
            kept = _accepted.get((text.session_uid, claimed))
        with contextlib.suppress(FileFormatError):
            _pack(text, kept.data if kept else unpacked.read_beside(_folder(None), stored, claimed))
            moved.append(stored)
    return moved


def after_importing(folders: list[Path]) -> None:
    """Pack unpacked avatars that were appended from .blend files of other folders: their paths held there only."""
    for text in bpy.data.texts:
        if text.library is not None or PATH not in text or AVATAR in text:
            continue
        stored, claimed = str(text[PATH]), str(text.get(SHA256, ""))
        for folder in ([_folder(None)] if bpy.data.filepath else []) + folders:
            with contextlib.suppress(FileFormatError):
                data = unpacked.read_beside(folder, stored, claimed)
                if not bpy.data.filepath or folder != _folder(None):
                    _pack(text, data)
                break


def _pack(text: Any, data: bytes) -> None:
    text[AVATAR] = data
    if PATH in text:
        del text[PATH]


def _own_text(mesh: Any) -> Any:
    text = _text_of(mesh)
    if text is None:
        raise FileFormatError(f"Mesh '{mesh.name}' carries no avatar.", remedy="Load the head's .gshead file again.")
    if text.library is not None:
        raise ArgumentError(
            f"The avatar of '{mesh.name}' belongs to '{Path(text.library.filepath).name}'.",
            remedy="Do it in that file.",
        )
    return text


def _folder(library: Any | None) -> Path:
    """The folder of the .blend that a datablock is from."""
    path = bpy.path.abspath(library.filepath) if library is not None else bpy.data.filepath
    if not path:
        raise FileFormatError(
            "The avatar's file is looked for beside the .blend file, which has no place yet.",
            remedy="Use Relink Avatar in the Head panel.",
        )
    return Path(path).parent


def forget() -> None:
    """Drop what was read, e.g. when another file is opened."""
    with _lock:
        _accepted.clear()


def _text_of(mesh: Any) -> Any | None:
    if mesh is None:
        return None
    text = mesh.get(AVATAR)
    return text if isinstance(text, bpy.types.Text) else None


def _accept(data: Any, claimed: str, name: str) -> StoredAvatar:
    if not isinstance(data, bytes):
        raise FileFormatError(
            f"The avatar packed with '{name}' is a {type(data).__name__}, not bytes.",
            remedy="Load the head's .gshead file again.",
        )
    digest = hashlib.sha256(data).hexdigest()
    if digest != claimed:
        raise FileFormatError(
            f"The avatar packed with '{name}' has the content {digest[:12]}… but claims to be {claimed[:12]}….",
            remedy="The file was changed by something else; load the head's .gshead file again.",
        )
    return StoredAvatar(digest, data, avatars.avatar_from_bytes(data))
