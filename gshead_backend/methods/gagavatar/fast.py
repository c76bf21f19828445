"""Precision: single, truly, for final frames; half, as one CUDA graph, for moving pictures where a GPU is at hand.

Half precision applies to convolutions and products of matrices; sums, styles and the final sigmoid stay single. On the
recipe's random weights a picture differs from the exact one by 0.0014 at most and by 0.2 % of its spread in the root
mean square (bfloat16: 0.0066 and 1.2 %; both measured on a CPU, where neither is faster than single precision).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ...avatar.device_torch import Device, device_of
from .network import Network

TOLERANCE = 0.02
"""Of a picture, 0..1. More means that something is broken, and the exact way is taken."""
log = logging.getLogger("gshead.worker")


class FastUpsampler:
    """The upsampler of a network at one size. The result is overwritten by the next call.

    Args:
        device: stands in for the device's own streams and graphs in tests.
    """

    def __init__(self, network: Network, device: Device | None = None) -> None:
        self._network = network
        self._device = device or device_of(network.head_base.device)
        c, where = network.config, network.head_base.device
        self._raster = torch.zeros(1, c.features, c.size, c.size, device=where).to(memory_format=torch.channels_last)
        self._replay: Callable[[], Tensor] | None = None

    @classmethod
    def of(cls, network: Network) -> FastUpsampler | None:
        """For a network on a GPU; None elsewhere."""
        return cls(network) if network.head_base.device.type == "cuda" else None

    def __call__(self, raster: Tensor) -> Tensor:
        """(1, features, size, size) to (1, 3, size, size). The first call records the graph and checks it."""
        with self._device.active():
            self._raster.copy_(raster)
            if self._replay is None:
                self._replay = self._recorded()
            return self._replay()

    def _recorded(self) -> Callable[[], Tensor]:
        exact = self._network.upsampler(self._raster)
        try:
            replay = self._device.captured(self._half)
            error = float((replay() - exact).abs().max())
            if error <= TOLERANCE:
                return replay
            log.warning("GAGAvatar's pictures in half precision differ by %.3f: single precision is used", error)
        except Exception as problem:  # a faster way that does not work must never cost a picture
            log.warning("GAGAvatar cannot be drawn in half precision: %s: %s", type(problem).__name__, problem)
        return lambda: self._network.upsampler(self._raster)

    def _half(self) -> Tensor:
        with torch.autocast(self._raster.device.type, torch.float16, cache_enabled=False):
            return self._network.upsampler(self._raster).float()


@contextmanager
def true_float32() -> Iterator[None]:
    """No TF32 inside: neither in products of matrices nor in convolutions."""
    matmul, conv = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, conv
