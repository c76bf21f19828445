"""The levels of detail of an avatar in a worker's memory: made in the background when first asked for."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from typing import Any

from ..avatar.types import Avatar

SIZES = (20_000, 65_000)
"""Splats of the levels below the whole avatar."""
WORTH = 1.3
"""An avatar with not even so many times a level's splats has no such level."""
log = logging.getLogger("gshead.worker")


class Levels:
    """One avatar on one device, whole and reduced. Only the whole one is there at once.

    Args:
        avatar: the whole one. on_device: makes what the engine drives (an ``Avatar`` or a ``TorchAvatar``).
    """

    def __init__(self, avatar: Avatar, on_device: Callable[[Avatar], Any]) -> None:
        self.avatar, self.whole = avatar, on_device(avatar)
        self._on_device = on_device
        self._made: dict[int, Any] = {}
        self._thread: threading.Thread | None = None

    def pick(self, limit: int) -> Any:
        """The largest level of at most ``limit`` splats, the smallest when all are larger; 0 asks for the whole one.

        The whole avatar also stands in while levels are being made.
        """
        wanted = [size for size in SIZES if len(self.avatar) > WORTH * size]
        if limit <= 0 or limit >= len(self.avatar) or not wanted:
            return self.whole
        size = max((s for s in wanted if s <= limit), default=wanted[0])
        if size not in self._made and self._thread is None:
            self._thread = threading.Thread(target=self._make, args=(wanted,), name="gshead-levels", daemon=True)
            self._thread.start()
        return self._made.get(size, self.whole)

    def let_go(self) -> None:
        """Free what a GPU keeps for drawing them now; the drivers hold on to each other."""
        for avatar in (self.whole, *self._made.values()):
            avatar.drivers.clear()

    def _make(self, sizes: list[int]) -> None:
        from ..detail import reduced

        try:
            for size in sizes:  # the one that helps most comes first
                self._made[size] = self._on_device(reduced(self.avatar, size))
        except Exception:  # the picture stays right without them, only slower: the whole avatar is drawn
            log.error("No levels of detail for %r:\n%s", self.avatar.name, traceback.format_exc())
