"""Pixels on one host: a memory-mapped 0600 file with a few slots, one file per client, beside the socket.

The front process makes and removes the file and hands slots out, a worker writes a slot, the client copies it and
releases it. A slot is never given out again before its release, so nothing is dropped; the sequence number, checked
before and after the copy, is the proof. ``multiprocessing.shared_memory`` is not used: before Python 3.13 its tracker
unlinks a segment when any process that attached to it ends.

Layout, little-endian: 64 bytes header (magic 8, nonce 16, slots u32, 4 unused, slot bytes u64), one 64-byte record per
slot (sequence u64, 0 while being written), then from the next multiple of 4096 the slots.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import BackendError, ProtocolError

MAGIC = b"GSHRING1"
_HEADER = struct.Struct("<8s16sI4xQ")
_SEQUENCE = struct.Struct("<Q")
_RECORD = 64
_PAGE = 4096
MAX_SLOTS = 16


def _data_start(slots: int) -> int:
    return -(-_RECORD * (1 + slots) // _PAGE) * _PAGE


class Ring:
    """One mapped ring file. Use :meth:`create` in the front process and :meth:`open` elsewhere."""

    def __init__(self, path: Path, handle: int, *, writable: bool) -> None:
        size = os.fstat(handle).st_size
        try:
            if size < _PAGE:
                raise ProtocolError(f"The ring file {path} is only {size} bytes long.")
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self._map = mmap.mmap(handle, size, access=access)
        finally:
            os.close(handle)
        self.path = path
        magic, nonce, self.slots, self.slot_bytes = _HEADER.unpack_from(self._map)
        self.nonce = bytes(nonce).hex()
        if magic != MAGIC or not 1 <= self.slots <= MAX_SLOTS:
            self._map.close()
            raise ProtocolError(f"{path} is not a ring file.")
        if size != _data_start(self.slots) + self.slots * self.slot_bytes:
            self._map.close()
            raise ProtocolError(f"The ring file {path} has the wrong size, {size} bytes.")

    @classmethod
    def create(cls, path: Path, *, slots: int, slot_bytes: int) -> Ring:
        """Makes the file with its space reserved, so that writing can never fail later for a full file system.

        Raises:
            BackendError: the directory has no space or cannot be written; frames then travel by socket.
        """
        slot_bytes = -(-slot_bytes // _PAGE) * _PAGE
        size = _data_start(slots) + slots * slot_bytes
        handle = -1
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            handle = os.open(path, flags, 0o600)
            _reserve(handle, size)
            os.lseek(handle, 0, os.SEEK_SET)
            os.write(handle, _HEADER.pack(MAGIC, os.urandom(16), slots, slot_bytes))
        except OSError as error:
            if handle >= 0:
                os.close(handle)
                path.unlink(missing_ok=True)
            raise BackendError(f"No ring of {size} bytes could be made at {path}: {error.strerror}.") from None
        return cls(path, handle, writable=True)

    @classmethod
    def open(cls, path: Path, nonce: str, *, writable: bool = False) -> Ring:
        """Maps an existing ring; raises ``ProtocolError`` when it is not the one that ``nonce`` names."""
        flags = (os.O_RDWR if writable else os.O_RDONLY) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        try:
            handle = os.open(path, flags)
        except OSError as error:
            raise ProtocolError(f"The ring file {path} cannot be opened: {error.strerror}.") from None
        if os.name == "posix" and os.fstat(handle).st_uid != os.getuid():
            os.close(handle)
            raise ProtocolError(f"The ring file {path} belongs to another user.")
        ring = cls(path, handle, writable=writable)
        if ring.nonce != nonce:
            ring.close()
            raise ProtocolError(f"The ring file {path} belongs to another session.")
        return ring

    def write(self, slot: int, sequence: int, parts: Sequence[np.ndarray]) -> list[int]:
        """Copies the arrays one after the other into a slot and returns their sizes in bytes."""
        self._check_slot(slot)
        sizes = [int(part.nbytes) for part in parts]
        if sum(sizes) > self.slot_bytes or sequence < 1:
            raise ProtocolError(f"{sum(sizes)} bytes do not fit a ring slot of {self.slot_bytes} bytes.")
        _SEQUENCE.pack_into(self._map, _RECORD * (1 + slot), 0)
        at = _data_start(self.slots) + slot * self.slot_bytes
        for part, size in zip(parts, sizes, strict=True):
            target = np.frombuffer(self._map, np.uint8, size, at)
            target[:] = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
            at += size
        _SEQUENCE.pack_into(self._map, _RECORD * (1 + slot), sequence)
        return sizes

    def read(self, slot: int, sequence: int, sizes: Sequence[int]) -> list[np.ndarray]:
        """Copies of a slot's parts as uint8 arrays.

        Raises:
            ProtocolError: the slot holds another frame, or was written to during the copy, or the file was cut off.
        """
        self._check_slot(slot)
        if sum(sizes) > self.slot_bytes or any(size < 0 for size in sizes):
            raise ProtocolError(f"{sum(sizes)} bytes do not fit a ring slot of {self.slot_bytes} bytes.")
        if self._map.size() < _data_start(self.slots) + self.slots * self.slot_bytes:
            # Reading beyond the end of a mapped file ends the process: Blender, with somebody's work in it.
            raise ProtocolError(f"The ring file {self.path} was cut off.")
        self._check_sequence(slot, sequence, "before")
        at = _data_start(self.slots) + slot * self.slot_bytes
        parts: list[np.ndarray] = []
        for size in sizes:
            parts.append(np.frombuffer(self._map, np.uint8, size, at).copy())
            at += size
        self._check_sequence(slot, sequence, "after")
        return parts

    def close(self) -> None:
        """Unmaps the file; may be called twice."""
        self._map.close()

    def _check_slot(self, slot: int) -> None:
        if not 0 <= slot < self.slots:
            raise ProtocolError(f"The ring has {self.slots} slots, there is no slot {slot}.")

    def _check_sequence(self, slot: int, sequence: int, when: str) -> None:
        (found,) = _SEQUENCE.unpack_from(self._map, _RECORD * (1 + slot))
        if found != sequence:
            raise ProtocolError(f"Ring slot {slot} held frame {found} {when} the copy, expected {sequence}.")


def _reserve(handle: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
    # No fallocate here (macOS, Windows, some file systems): write real zeros.
    zeros = bytes(1 << 20)
    left = size
    while left > 0:
        left -= os.write(handle, zeros[: min(left, len(zeros))])
