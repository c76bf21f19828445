"""The wire protocol: messages, framing, limits, endpoints and keys, colour transfer functions and the two clients.

A light room: standard library, numpy, msgspec and pyzmq. Names are loaded on first use, so that ``launcher``,
``endpoint`` and ``locks``, which need only the standard library, can be imported without pyzmq.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .client import Client
    from .endpoint import Endpoint
    from .launcher import connect_or_start, start_backend
    from .messages import PROTOCOL_VERSION, CameraSpec
    from .reaching import reach
    from .threaded import ThreadedClient
    from .values import AvatarSummary, Frame, Instance, camera_spec

__all__ = [
    "PROTOCOL_VERSION", "AvatarSummary", "CameraSpec", "Client", "Endpoint", "Frame", "Instance", "ThreadedClient",
    "camera_spec", "connect_or_start", "reach", "start_backend",
]  # fmt: skip

__getattr__ = lazy_names(__name__, {
    "client": ("Client",), "endpoint": ("Endpoint",), "launcher": ("connect_or_start", "start_backend"),
    "messages": ("PROTOCOL_VERSION", "CameraSpec"), "reaching": ("reach",), "threaded": ("ThreadedClient",),
    "values": ("AvatarSummary", "Frame", "Instance", "camera_spec"),
})  # fmt: skip
