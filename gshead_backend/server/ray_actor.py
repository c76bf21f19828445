"""A pool's worker as a Ray actor: Ray places and starts it; it then works for the front over a socket of its own."""

from __future__ import annotations

import socket
from typing import Any

_REACH = 20.0


class PoolActor:
    """Made in a process of its own, somewhere in the cluster. ``ray.remote`` is put around it by the bridge."""

    def __init__(self) -> None:
        from ..protocol.curve import new_keypair

        self._public, self._secret = new_keypair()  # the secret key never leaves this process

    def introduce(self) -> dict[str, str]:
        """Who this is: its public key, where it runs, and which gshead."""
        from .. import __version__

        return {"key": self._public, "node": socket.gethostname(), "version": __version__}

    def work(self, config: dict[str, Any]) -> str:
        """Serves the front at ``config["address"]`` until Ray ends this process; returns why it could not."""
        from .worker import work_for

        host, _, port = str(config["address"]).removeprefix("tcp://").rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), _REACH).close()
        except OSError as error:
            return f"{socket.gethostname()} cannot reach the backend at {host} port {port}: {error.strerror or error}."
        work_for({**config, "client_public": self._public, "client_secret": self._secret})
        return "The worker has nothing more to do."
