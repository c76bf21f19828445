"""How fast a remote client's line is, and how its frames are therefore packed."""

from __future__ import annotations

from collections import OrderedDict

from ..protocol.codec import JPEG, LZ4, RAW

BUDGET = 0.006
"""Seconds that the bytes of a frame may take on top of the delay which every message has."""
FIRST_GUESS = 12e6
"""Bytes a second until something is known: 100 Mbit/s."""
_FASTEST = 5e9
_TELLING = 0.3
_NEW, _REMEMBERED = 0.3, 64
# Bytes a pixel of a head's portrait, from the kept sample at 512 x 512; JPEG with its lz4 alpha.
_QUALITIES = ((95, 0.28), (85, 0.18), (70, 0.15))


class Line:
    """One client's line: delay and bytes a second, learnt from when frames are sent and acknowledged.

    The delay is the least time any frame took; what a frame takes beyond it is due to its bytes.
    """

    def __init__(self) -> None:
        self.rate = FIRST_GUESS
        self.delay = float("inf")
        self._under_way: OrderedDict[int, tuple[int, float]] = OrderedDict()

    def sent(self, token: int, size: int, now: float) -> None:
        """A frame of ``size`` bytes went out at ``now`` seconds."""
        self._under_way[token] = size, now
        while len(self._under_way) > _REMEMBERED:
            self._under_way.popitem(last=False)

    def acknowledged(self, token: int, now: float) -> None:
        """The client has it."""
        size, begun = self._under_way.pop(token, (0, now))
        if size <= 0:
            return
        took = max(now - begun, 1e-5)
        self.delay = min(took, self.delay * 1.01)  # forgets a delay that has become longer
        beyond = max(took - self.delay, 0.1 * took)
        rate = min(size / beyond, _FASTEST)
        if rate > self.rate or beyond > _TELLING * took:  # a small frame is over too soon to prove a line slow
            self.rate += _NEW * (rate - self.rate)

    def packing(self, raw: int, pixels: int, *, lossy: bool, readable: list[str]) -> tuple[str, int]:
        """Codec and JPEG quality of the next frame: the best that the line carries within ``BUDGET``.

        Args:
            raw: the frame's bytes as they are. lossy: the frame is 8-bit and something moves.
        """
        affordable = BUDGET * self.rate
        if raw <= affordable or LZ4 not in readable:
            return RAW, 0
        if not lossy or JPEG not in readable:
            return LZ4, 0
        fitting = [quality for quality, size in _QUALITIES if size * pixels <= affordable]
        return JPEG, fitting[0] if fitting else _QUALITIES[-1][0]
