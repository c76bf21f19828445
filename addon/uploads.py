"""Which avatars a backend has been given: each once, whoever draws it first. No bpy here."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from gshead_backend.errors import GsheadError


class Uploads:
    """What one client has handed to its backend; any thread may use it, and it ends with its client."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._given: dict[str, Any] = {}  # the request under way; None once the backend holds the avatar

    def ready(self, avatar_id: str, data: bytes) -> bool:
        """Whether the backend holds an avatar; begins to hand it over when nobody has. Never waits.

        Raises ``GsheadError`` when the backend refused it; the next call tries again.
        """
        request = self._request(avatar_id, data)
        if request is not None and not request.done():
            return False
        self._settle(avatar_id, request, 0)
        return True

    def wait(self, avatar_id: str, data: bytes, timeout: float) -> None:
        """Hand an avatar over unless the backend holds it. Raises ``GsheadError``."""
        self._settle(avatar_id, self._request(avatar_id, data), timeout)

    def note(self, avatar_id: str) -> None:
        """The backend made this one itself."""
        with self._lock:
            self._given[avatar_id] = None

    def prune(self, wanted: set[str]) -> None:
        """Let the backend forget the avatars that are not ``wanted``; never waits."""
        with self._lock:
            surplus = {avatar_id: self._given.pop(avatar_id) for avatar_id in set(self._given) - wanted}
        for avatar_id, request in surplus.items():
            if request is None:
                self._drop(avatar_id)
            else:
                request.on_done(lambda _, avatar_id=avatar_id: self._drop(avatar_id))

    def _request(self, avatar_id: str, data: bytes) -> Any:
        with self._lock:
            if avatar_id not in self._given:
                self._given[avatar_id] = self._client.threaded.avatar_put(data)
            return self._given[avatar_id]

    def _settle(self, avatar_id: str, request: Any, timeout: float) -> None:
        if request is None:
            return
        held = False
        try:
            request.wait(timeout)
            held = True
        finally:
            with self._lock:
                if self._given.get(avatar_id) is request:
                    if held:
                        self._given[avatar_id] = None
                    else:
                        del self._given[avatar_id]

    def _drop(self, avatar_id: str) -> None:
        with self._lock:
            again = avatar_id in self._given
        if not again:
            with contextlib.suppress(GsheadError):  # a backend that has ended holds nothing
                self._client.threaded.avatar_drop(avatar_id)
