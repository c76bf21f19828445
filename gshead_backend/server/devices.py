"""Which device to use, and what its failures mean."""

from __future__ import annotations

import ctypes
import sys

from ..errors import GsheadError, OutOfMemoryError, RenderError

_FULL = ("out of memory", "can't allocate memory", "status_alloc_failed")
_LOST = (
    "cuda error", "cuda runtime error", "cuda driver error", "device-side assert", "triton error [cuda]",
    "cublas_status_", "cudnn_status_", "cusolver_status_",
)  # fmt: skip
"""Failures after which a process can use its device no more, as torch and triton word them."""


def resolve_device(wanted: str) -> str:
    """``auto`` to ``cuda:0`` or ``cpu``; raises ``RenderError`` when a named CUDA device is not there."""
    if wanted == "cpu" or (wanted == "auto" and not _cuda_driver()):
        return "cpu"
    import torch

    available = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda:0" if available else "cpu"
    if not available:
        raise RenderError(
            f"The device '{wanted}' was asked for, but torch {torch.__version__} sees no CUDA device.",
            remedy="Use --device auto, or install the CUDA build of torch ('gshead doctor' says which).",
        )
    return wanted


def _cuda_driver() -> bool:
    """A CUDA driver is installed. Asked first, because importing torch only to learn that costs seconds."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def as_gshead_error(error: BaseException) -> tuple[GsheadError, bool]:
    """The error to answer for whatever came out of the mathematics, and whether the device is lost with it."""
    if isinstance(error, GsheadError):
        return error, False
    text = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    lowered = text.lower()
    if isinstance(error, MemoryError) or any(words in lowered for words in _FULL):
        return OutOfMemoryError(
            f"The device ran out of memory ({text}).",
            remedy="Render smaller frames, use a lower quality, or close other programs that use the device.",
        ), False
    if any(words in lowered for words in _LOST):
        return RenderError(f"The CUDA device failed ({text}); its worker is restarted."), True
    return RenderError(f"The work failed unexpectedly ({text}); the backend's log has the details."), False
