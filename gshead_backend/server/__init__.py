"""The backend's processes: a torch-free front that always answers, and spawned workers that compute.

``serve(ServeOptions(...))`` runs a backend; ``gshead serve`` is a thin verb over it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backend import serve
    from .options import ServeOptions

__all__ = ["ServeOptions", "serve"]


def __getattr__(name: str) -> Any:
    homes = {"ServeOptions": "options", "serve": "backend"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{homes[name]}", __name__), name)
