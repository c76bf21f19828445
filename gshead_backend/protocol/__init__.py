"""The wire protocol: messages, framing, limits, endpoints and keys, colour transfer functions and the two clients.

A light room: standard library, numpy, msgspec and pyzmq. Names are loaded on first use, so that ``launcher``,
``endpoint`` and ``locks``, which need only the standard library, can be imported without pyzmq.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client
    from .endpoint import Endpoint
    from .launcher import connect_or_start, start_backend
    from .messages import PROTOCOL_VERSION, CameraSpec
    from .threaded import ThreadedClient
    from .values import AvatarSummary, Frame, Instance, camera_spec

__all__ = [
    "PROTOCOL_VERSION", "AvatarSummary", "CameraSpec", "Client", "Endpoint", "Frame", "Instance", "ThreadedClient",
    "camera_spec", "connect_or_start", "start_backend",
]  # fmt: skip

_HOMES = {
    "PROTOCOL_VERSION": "messages", "AvatarSummary": "values", "CameraSpec": "messages", "Client": "client",
    "Endpoint": "endpoint", "Frame": "values", "Instance": "values", "ThreadedClient": "threaded",
    "camera_spec": "values", "connect_or_start": "launcher", "start_backend": "launcher",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
