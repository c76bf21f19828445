"""What ``gshead serve`` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ArgumentError
from ..protocol.launcher import check_name
from ..protocol.messages import LimitsInfo


@dataclass(frozen=True)
class ServeOptions:
    """Options of one backend.

    Attributes:
        runtime_dir: private directory for sockets, lock, connection file and rings; None for the user's own.
        name: several backends of one user are told apart by it.
        endpoint: ``auto`` (ipc; on Windows tcp on the loopback interface), or ``tcp://HOST:PORT`` (port 0: any free).
        advertise: address written to the connection file instead of a wildcard one, e.g. ``tcp://gpu1:5555``.
        keys: file with the backend's key pairs, made when missing, so that copies of the connection file stay valid
            over restarts; None for new keys at every start.
        allow: public keys of further clients.
        device: ``auto``, ``cpu``, ``cuda:0`` ...
        pool: workers for batches of portraits: local:N on this machine, ray://HOST:PORT on a Ray cluster, ray://auto
            on the one that this machine belongs to, ray://local for a Ray of its own.
        pool_workers: how many, where the pool does not say it; 0 for one a GPU, and without GPUs one a machine.
        render_on_demand: start the worker that draws frames with the first avatar or frame instead of at once.
        watch_stdin: standard input is a pipe whose end means that the process which started this one is gone.
        persistent: stay when no lease remains.
        grace: seconds to stay after the last lease ended.
        startup_grace: seconds to stay when no client ever comes.
        job_idle: seconds without a reconstruction after which its worker is ended, to give its memory back.
        render_hang_limit, job_hang_limit: seconds without a sign of life after which a working worker is restarted.
        limits: what clients may ask for.
    """

    runtime_dir: Path | None = None
    name: str = "default"
    endpoint: str = "auto"
    advertise: str = ""
    keys: Path | None = None
    allow: tuple[str, ...] = ()
    device: str = "auto"
    pool: str = ""
    pool_workers: int = 0
    render_on_demand: bool = False
    watch_stdin: bool = False
    persistent: bool = False
    grace: float = 15.0
    startup_grace: float = 60.0
    job_idle: float = 300.0
    render_hang_limit: float = 120.0
    job_hang_limit: float = 600.0
    limits: LimitsInfo = field(default_factory=LimitsInfo)

    def __post_init__(self) -> None:
        check_name(self.name)
        for key in ("grace", "startup_grace", "job_idle", "render_hang_limit", "job_hang_limit"):
            if not getattr(self, key) >= 0:
                raise ArgumentError(f"'{key}' must be a number of seconds from 0, got {getattr(self, key)}.")
