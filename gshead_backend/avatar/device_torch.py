"""What a frame needs of CUDA itself: streams, events, pinned memory and graphs. Elsewhere the same calls do plain work.

Tests of what is built on this put a device of their own in its place, whose copies finish late.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")
WARM_UP = 3
"""Unrecorded runs before a graph is captured: they compile kernels and make libraries allocate what they keep."""


class Done(Protocol):
    """Something queued on a device."""

    def synchronize(self) -> Any:
        """Returns when it has happened."""


class Device(Protocol):
    """See :class:`HostDevice` and :class:`CudaDevice`."""

    device: torch.device

    def host_tensor(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor: ...
    def upload(self, host: Tensor, target: Tensor) -> Done: ...
    def read_back(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Done: ...
    def captured(self, step: Callable[[], T]) -> Callable[[], T]: ...
    def active(self) -> contextlib.AbstractContextManager[None]: ...


class _Nothing:
    def synchronize(self) -> None:
        pass


class HostDevice:
    """The CPU: everything happens at once."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")

    def host_tensor(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return torch.empty(tuple(shape), dtype=dtype)

    def upload(self, host: Tensor, target: Tensor) -> Done:
        target.copy_(host)
        return _Nothing()

    def read_back(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Done:
        for source, target in pairs:
            target.copy_(source)
        return _Nothing()

    def captured(self, step: Callable[[], T]) -> Callable[[], T]:
        return step

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        with _without_gradients():
            yield


class CudaDevice:
    """One CUDA device. Work is queued on the current stream of the calling thread, read-back on a stream of its own."""

    def __init__(self, device: str | torch.device) -> None:
        wanted = torch.device(device)
        self.device = wanted if wanted.index is not None else torch.device("cuda", torch.cuda.current_device())
        self._copies = torch.cuda.Stream(self.device)
        self._side = torch.cuda.Stream(self.device)  # one for all graphs: libraries keep memory for every stream

    def host_tensor(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Pinned memory: only from such do copies run beside the host and beside kernels."""
        return torch.empty(tuple(shape), dtype=dtype, pin_memory=True)

    def upload(self, host: Tensor, target: Tensor) -> Done:
        """Queue pinned ``host`` -> ``target``; ``host`` must not change before that is done."""
        target.copy_(host, non_blocking=True)
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(self.device))
        return done

    def read_back(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Done:
        """Queue copies (source on the device, contiguous; target pinned) after all work queued so far.

        The next frame's kernels run beside them. The sources may be dropped at once.
        """
        ready = torch.cuda.Event()
        ready.record(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._copies):
            self._copies.wait_event(ready)
            for source, target in pairs:
                target.copy_(source, non_blocking=True)
                source.record_stream(self._copies)  # its memory is not given out again before the copy is done
            done = torch.cuda.Event()
            done.record(self._copies)
        return done

    def captured(self, step: Callable[[], T]) -> Callable[[], T]:
        """``step`` as one CUDA graph: the call replays it and returns the tensors that the captured run returned.

        ``step`` must read and write the same tensors every time, copy nothing from or to the host, and not wait.
        """
        main, side = torch.cuda.current_stream(self.device), self._side
        side.wait_stream(main)
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                step()
        main.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads (levels of detail in the making) may use the device meanwhile.
            with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                outputs = step()
        except BaseException:
            # Where ending a capture fails too, torch leaves its stream current and its allocator in the graph's pool.
            torch.cuda.set_stream(main)
            with contextlib.suppress(Exception):
                torch._C._cuda_endAllocateToPool(self.device.index, graph.pool())  # type: ignore[attr-defined]
            raise

        def replay() -> T:
            graph.replay()
            return outputs

        return replay

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Makes this the current device; what is allocated inside are plain tensors without gradients."""
        with torch.cuda.device(self.device), _without_gradients():
            yield


@contextlib.contextmanager
def _without_gradients() -> Iterator[None]:
    # Tensors made in inference mode could not be written to outside of it.
    with torch.inference_mode(False), torch.no_grad():
        yield


def device_of(device: str | torch.device) -> Device:
    """The :class:`Device` of a torch device."""
    return CudaDevice(device) if torch.device(device).type == "cuda" else HostDevice()


class Upload:
    """A small float32 array's way to the device: pinned, double-buffered, without waiting for the device.

    Attributes:
        target: the tensor on the device; the same one all the time.
    """

    def __init__(self, device: Device, shape: Sequence[int], slots: int = 2) -> None:
        self._device = device
        self.target = torch.zeros(tuple(shape), dtype=torch.float32, device=device.device)
        self._slots = [device.host_tensor(shape, torch.float32) for _ in range(slots)]
        for slot in self._slots:
            slot.zero_()
        self._arrays = [slot.numpy() for slot in self._slots]
        self._sent: list[Done | None] = [None] * slots
        self._next = 0

    def array(self) -> np.ndarray:
        """The host's next buffer, free to be written; it holds what was in it two uploads ago."""
        if (sent := self._sent[self._next]) is not None:
            sent.synchronize()
            self._sent[self._next] = None
        return self._arrays[self._next]

    def send(self) -> Tensor:
        """Queue the copy of :meth:`array` to ``target``, and return that."""
        self._sent[self._next] = self._device.upload(self._slots[self._next], self.target)
        self._next = (self._next + 1) % len(self._slots)
        return self.target
