"""The avatar inside the .blend file.

A head's mesh points to a hidden Text datablock that holds the ``.gshead`` bytes as an ID property. A Text is neither
evaluated nor copied by the depsgraph, is shared by duplicates, follows append and link through the pointer, and goes
when its last user goes. The bytes are a stranger's until ``avatar_from_bytes`` has accepted them; a .blend file holds
no command, endpoint or key.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bpy

from gshead_backend import avatar as avatars  # its names load safetensors and msgspec when they are first used
from gshead_backend.errors import FileFormatError

if TYPE_CHECKING:
    from gshead_backend.avatar.types import Avatar

AVATAR = "gshead_avatar"  # on the mesh: pointer to the Text; on the Text: the bytes
SHA256 = "gshead_sha256"  # on the Text: which avatar it claims to be, checked when it is read


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
    return any(AVATAR in text for text in bpy.data.texts)


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
    stored = _accept(text.get(AVATAR), claimed, mesh.name)
    with _lock:
        return _accepted.setdefault(key, stored)


def read_bytes(mesh: Any) -> bytes:
    """The ``.gshead`` bytes of a head's mesh; raises as :func:`read`."""
    return read(mesh).data


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
