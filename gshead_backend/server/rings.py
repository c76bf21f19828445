"""Which ring slots of a session are free: the front's side of ``protocol.ring``."""

from __future__ import annotations

import contextlib
import itertools
import logging
from pathlib import Path

from ..errors import BackendError
from ..protocol.ring import Ring
from .link import RingTarget

log = logging.getLogger("gshead.server")
SLOTS = 4
"""Of a stream two frames may be with the client, one is drawn and one is about to be."""
SMALLEST_FRAME = 64 << 10
"""Frames below this travel by socket: mapping would cost more than it saves."""
SMALLEST_SLOT, LARGEST_SLOT = 1 << 20, 64 << 20


class _File:
    """One ring file: free slots, and which sequence each slot that was given out carries."""

    def __init__(self, ring: Ring) -> None:
        self.path, self.nonce, self.slot_bytes = ring.path, ring.nonce, ring.slot_bytes
        self.free = list(range(SLOTS))
        self.out: dict[int, int] = {}
        ring.close()  # the front needs only the file; workers and the client map it


class SessionRings:
    """The ring of one session, replaced by a larger one when frames grow; the old goes once its slots are back."""

    def __init__(self, directory: Path, prefix: str) -> None:
        self._directory, self._prefix = directory, prefix
        self._files: list[_File] = []
        self._sequence = itertools.count(1)
        self._broken = False

    def acquire(self, size: int) -> RingTarget | None:
        """A slot for a frame of ``size`` bytes, or None: then the frame travels by socket."""
        if self._broken or not SMALLEST_FRAME <= size <= LARGEST_SLOT:
            return None
        if not self._files or self._files[-1].slot_bytes < size:
            self._grow(size)
        current = self._files[-1] if self._files else None
        if current is None or current.slot_bytes < size or not current.free:
            return None
        slot, sequence = current.free.pop(0), next(self._sequence)
        current.out[slot] = sequence
        return RingTarget(str(current.path), current.nonce, slot, sequence)

    def release(self, path: str, slot: int, sequence: int) -> None:
        """The slot may be used again; an unknown or old one is ignored."""
        for file in self._files:
            if str(file.path) == path and file.out.get(slot) == sequence:
                del file.out[slot]
                file.free.append(slot)
        self._remove_idle()

    def close(self) -> None:
        """Removes the files; whoever still maps one keeps a valid mapping."""
        for file in self._files:
            _unlink(file.path)
        self._files.clear()

    def _grow(self, size: int) -> None:
        slot_bytes = SMALLEST_SLOT
        while slot_bytes < size:
            slot_bytes *= 2
        path = self._directory / f"{self._prefix}-{next(self._sequence)}"
        try:
            self._files.append(_File(Ring.create(path, slots=SLOTS, slot_bytes=slot_bytes)))
        except BackendError as error:
            log.warning("Frames travel by socket: %s", error.message)
            self._broken = True
        self._remove_idle()

    def _remove_idle(self) -> None:
        for file in self._files[:-1]:
            if not file.out:
                _unlink(file.path)
                self._files.remove(file)


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):  # Windows keeps a file that is mapped; the next start removes it
        path.unlink(missing_ok=True)
