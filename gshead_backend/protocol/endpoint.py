"""Where a backend listens, who may talk to it, and the private files that say so.

Two kinds of address exist: ``ipc://`` inside a directory that only this user can enter, and ``tcp://`` with CURVE
keys, loopback included (any local user can reach a loopback port). Everything else is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from ..errors import AuthenticationError, BackendError

IPC_PATH_LIMIT = 103 if sys.platform == "darwin" else 107
"""Longest path of a Unix socket in bytes."""
_POSIX = os.name == "posix"


@dataclass(frozen=True)
class Endpoint:
    """How to reach one backend. Keys are 40-character Z85 text, empty for ipc. Never printed.

    Attributes:
        address: ``ipc://PATH`` or ``tcp://HOST:PORT``.
        server_key: the backend's public key.
        client_public, client_secret: the key pair that the backend's allow-list knows.
        pid: the front process when it runs on this host, else 0.
        boot_id: changes with every start.
        runtime_dir: the private directory of a backend on this host, else empty.
        starter: what the starting process put into ``GSHEAD_STARTER``, so that it knows its own backend.
    """

    address: str
    server_key: str = field(default="", repr=False)
    client_public: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    pid: int = 0
    boot_id: str = ""
    runtime_dir: str = ""
    starter: str = ""

    @property
    def local(self) -> bool:
        """The backend runs on this host under this user, so its pid and its ring files can be used."""
        return bool(self.runtime_dir)

    def write(self, path: Path) -> None:
        """Writes the connection file, readable by this user only, in one step."""
        write_private(path, json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def read(cls, path: Path | str) -> Endpoint:
        """Reads a connection file. One that was copied out of its runtime directory gives a remote endpoint.

        Raises:
            BackendError: there is none or it cannot be read.
            AuthenticationError: others can read or write it, or it belongs to someone else.
        """
        raw = read_private(Path(path))
        try:
            loaded: object = json.loads(raw)
            if not isinstance(loaded, dict):
                raise ValueError("not an object")
            values = cast("dict[str, Any]", loaded)
            known: dict[str, Any] = {k: values[k] for k in cls.__dataclass_fields__ if k in values}
            if not all(isinstance(v, int if k == "pid" else str) for k, v in known.items()):
                raise ValueError("a field has the wrong type")
            endpoint = cls(**known)
        except (ValueError, TypeError, RecursionError) as error:
            raise BackendError(f"The connection file {path} cannot be read: {error}.") from None
        try:
            if Path(path).absolute().parent != Path(endpoint.runtime_dir):
                endpoint = endpoint.remote(endpoint.address)
            check_address(endpoint)
        except ValueError as error:  # a zero byte or half a character in a path
            raise BackendError(f"The connection file {path} cannot be read: {error}.") from None
        return endpoint

    def remote(self, address: str) -> Endpoint:
        """The same keys for use from another machine at ``address``."""
        return replace(self, address=address, pid=0, runtime_dir="")


def check_address(endpoint: Endpoint) -> None:
    """Raises ``AuthenticationError`` unless the address is private ipc or tcp with all three keys."""
    scheme, _, rest = endpoint.address.partition("://")
    if scheme == "ipc" and rest and not rest.startswith("@"):
        if not _POSIX:
            raise AuthenticationError("ipc endpoints need a Unix system.", remedy="Use tcp with CURVE keys.")
        if len(os.fsencode(rest)) > IPC_PATH_LIMIT:
            raise AuthenticationError(f"The ipc path {rest} is longer than {IPC_PATH_LIMIT} bytes.")
        check_private_dir(Path(rest).parent)
        return
    host, _, port = rest.rpartition(":")
    if scheme == "tcp" and host and port.isdecimal() and 0 <= int(port) <= 65535:
        if not (endpoint.server_key and endpoint.client_public and endpoint.client_secret):
            raise AuthenticationError(
                f"The endpoint {endpoint.address} has no CURVE keys; tcp is never used without them.",
                remedy="Use the connection file that the backend wrote.",
            )
        return
    raise AuthenticationError(
        f"The endpoint {endpoint.address!r} is refused.",
        remedy="Use ipc:// in a private directory, or tcp://HOST:PORT with CURVE keys.",
    )


def runtime_dir(directory: Path | str | None = None, *, make: bool = True) -> Path:
    """The private directory for sockets, locks, connection files and rings; made when missing and checked.

    Without ``make`` only where it would be: it may be missing, or not private.

    ``directory``, else ``$GSHEAD_RUNTIME_DIR``, else ``$XDG_RUNTIME_DIR/gshead``, else ``gshead-<uid>`` in the
    temporary directory (farm machines often have no XDG directory), where owner and mode are checked the same way.
    """
    given = directory or os.environ.get("GSHEAD_RUNTIME_DIR")
    xdg = os.environ.get("XDG_RUNTIME_DIR")
    if given:
        path = Path(given)
    elif os.name == "nt":
        path = Path(os.environ.get("LOCALAPPDATA") or tempfile.gettempdir()) / "gshead" / "run"
    elif xdg and Path(xdg).is_dir():
        path = Path(xdg) / "gshead"
    else:
        path = Path(tempfile.gettempdir()) / f"gshead-{os.getuid()}"
    return make_private_dir(path.absolute()) if make else path.absolute()


def make_private_dir(path: Path) -> Path:
    """Makes ``path`` (mode 0700) when missing and checks it; parents are made with the usual mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
        if _POSIX:
            path.chmod(0o700)  # a umask may have taken bits away
    check_private_dir(path)
    return path


def check_private_dir(path: Path) -> None:
    """Raises ``AuthenticationError`` unless ``path`` is a real directory of this user that nobody else can enter."""
    try:
        info = path.lstat()
    except OSError as error:
        raise AuthenticationError(f"The runtime directory {path} cannot be used: {error.strerror}.") from None
    if not stat.S_ISDIR(info.st_mode):
        raise AuthenticationError(f"The runtime directory {path} is not a directory (a link is not followed).")
    _check_owner(path, info, "Remove it or set GSHEAD_RUNTIME_DIR to a directory of your own with mode 0700.")


def _check_owner(path: Path, info: os.stat_result, remedy: str) -> None:
    if not _POSIX:
        return
    if info.st_uid != os.getuid():
        raise AuthenticationError(f"{path} belongs to user {info.st_uid}, not to you.", remedy=remedy)
    if info.st_mode & 0o077:
        raise AuthenticationError(f"Others can use {path} (mode {info.st_mode & 0o777:o}).", remedy=remedy)


def ipc_address(directory: Path, name: str) -> str:
    """``ipc://`` address of a socket called ``name``, in ``directory`` or, when that path is too long for a Unix
    socket, in a private directory with a short name derived from it."""
    path = directory / name
    if len(os.fsencode(str(path))) > IPC_PATH_LIMIT:
        path = make_private_dir(short_dir(directory)) / name
    if len(os.fsencode(str(path))) > IPC_PATH_LIMIT:
        raise AuthenticationError(f"The ipc path {path} is longer than {IPC_PATH_LIMIT} bytes.")
    return f"ipc://{path}"


def short_dir(directory: Path) -> Path:
    """The private directory for sockets of ``directory`` when its own path is too long for them. It need not exist."""
    digest = hashlib.sha256(os.fsencode(str(directory))).hexdigest()[:12]
    return Path("/tmp") / f"gshead-{os.getuid() if _POSIX else 0}-{digest}"


def write_private(path: Path, data: bytes) -> None:
    """Writes a 0600 file through a temporary one beside it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_private(path: Path) -> bytes:
    """At most 64 KiB of a file that only this user can read; raises as ``Endpoint.read`` does."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        raise BackendError(f"The connection file {path} cannot be opened: {error.strerror}.") from None
    with os.fdopen(handle, "rb") as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode):
            raise AuthenticationError(f"The connection file {path} is not a regular file.")
        _check_owner(path, info, "Keep it private: chmod 600.")
        return file.read(1 << 16)
