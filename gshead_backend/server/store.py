"""The avatars that clients hold, as bytes: what a restarted worker is given again, and what ``avatar.get`` returns."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from ..errors import LimitError, UnknownIdError
from ..protocol.messages import AvatarInfo

KEPT_BYTES = 256 << 20
"""Bytes of avatars that nobody holds any more but that are kept, newest first, to answer the same request again."""


@dataclass
class StoredAvatar:
    """One avatar. ``info`` is None until the render worker has validated it; ``refs`` are session tokens."""

    data: bytes
    info: AvatarInfo | None = None
    refs: set[str] = field(default_factory=set)
    pins: int = 0


class AvatarStore:
    """Avatars by content hash, bounded by ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept_limit = min(KEPT_BYTES, limit)
        self._avatars: OrderedDict[str, StoredAvatar] = OrderedDict()
        self._bytes = 0

    @staticmethod
    def id_of(data: bytes) -> str:
        """The avatar id of ``.gshead`` bytes: sha256, hexadecimal."""
        return hashlib.sha256(data).hexdigest()

    def find(self, avatar_id: str) -> StoredAvatar | None:
        """The avatar, or None."""
        return self._avatars.get(avatar_id)

    def held(self, avatar_id: str, session: str) -> StoredAvatar:
        """The avatar when ``session`` holds it, else ``UnknownIdError`` (whether or not others hold it)."""
        avatar = self._avatars.get(avatar_id)
        if avatar is None or session not in avatar.refs:
            raise UnknownIdError(
                f"This client holds no avatar {avatar_id[:12]}….", remedy="Put the avatar again, then repeat."
            )
        return avatar

    def add(self, data: bytes) -> tuple[str, StoredAvatar, list[str]]:
        """Keeps bytes and pins them once.

        Returns:
            The id, the avatar and the ids that had to go to make room.

        Raises:
            LimitError: the clients hold too much already.
        """
        avatar_id = self.id_of(data)
        avatar = self._avatars.get(avatar_id)
        gone: list[str] = []
        if avatar is None:
            gone = self._evict(max(0, self._limit - len(data)))
            if self.total() + len(data) > self._limit:
                raise LimitError(
                    f"Clients already hold {self.total()} bytes of avatars; {len(data)} more exceed the limit of "
                    f"{self._limit}.",
                    remedy="Drop avatars that are no longer used.",
                )
            avatar = self._avatars[avatar_id] = StoredAvatar(data)
            self._bytes += len(data)
        avatar.pins += 1
        self._avatars.move_to_end(avatar_id)
        return avatar_id, avatar, gone

    def unpin(self, avatar_id: str) -> list[str]:
        """Undoes one pin; returns the ids that went. An avatar that never became valid goes at once."""
        avatar = self._avatars.get(avatar_id)
        if avatar is None:
            return []
        avatar.pins -= 1
        if avatar.info is None and not avatar.pins and not avatar.refs:
            self._remove(avatar_id)
            return [avatar_id]
        return self.trim()

    def hold(self, avatar_id: str, session: str) -> None:
        """``session`` now holds the avatar."""
        self._avatars[avatar_id].refs.add(session)
        self._avatars.move_to_end(avatar_id)

    def drop(self, avatar_id: str, session: str) -> list[str]:
        """``session`` no longer holds it; returns the ids that went."""
        self.held(avatar_id, session).refs.discard(session)
        return self.trim()

    def drop_all(self, session: str) -> list[str]:
        """``session`` ended; returns the ids that went."""
        for avatar in self._avatars.values():
            avatar.refs.discard(session)
        return self.trim()

    def held_ids(self) -> list[str]:
        """Valid avatars that some session holds."""
        return [i for i, a in self._avatars.items() if a.refs and a.info is not None]

    def held_by(self, session: str) -> list[str]:
        """What a session holds."""
        return [i for i, a in self._avatars.items() if session in a.refs]

    def total(self) -> int:
        """Bytes of everything kept; from any thread."""
        return self._bytes

    def trim(self) -> list[str]:
        """Lets go of what nobody holds beyond ``KEPT_BYTES``, oldest first."""
        free = sum(len(a.data) for a in self._avatars.values() if not a.refs and not a.pins)
        return self._evict(self.total() - free + self._kept_limit) if free > self._kept_limit else []

    def _remove(self, avatar_id: str) -> None:
        self._bytes -= len(self._avatars.pop(avatar_id).data)

    def _evict(self, target: int) -> list[str]:
        gone: list[str] = []
        total = self.total()
        for avatar_id in list(self._avatars):
            if total <= target:
                break
            avatar = self._avatars[avatar_id]
            if not avatar.refs and not avatar.pins:
                total -= len(avatar.data)
                self._remove(avatar_id)
                gone.append(avatar_id)
        return gone
