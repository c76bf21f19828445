"""Private directories, connection files, addresses and locks."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from gshead_backend.errors import ArgumentError, AuthenticationError, BackendError
from gshead_backend.protocol.curve import check_key, new_keypair, public_of
from gshead_backend.protocol.endpoint import (
    IPC_PATH_LIMIT,
    Endpoint,
    check_address,
    ipc_address,
    make_private_dir,
    runtime_dir,
)
from gshead_backend.protocol.launcher import check_name, clean_environment, live_endpoint
from gshead_backend.protocol.locks import FileLock

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and sockets of Unix")


def _private(path):
    path.mkdir(mode=0o700)
    return path


def test_runtime_dir_is_made_private_wherever_it_lies(tmp_path, monkeypatch):
    monkeypatch.delenv("GSHEAD_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_dir() == tmp_path / "gshead"
    assert (tmp_path / "gshead").stat().st_mode & 0o777 == 0o700
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fallback = runtime_dir()
    assert fallback == tmp_path / f"gshead-{os.getuid()}"
    assert fallback.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("GSHEAD_RUNTIME_DIR", str(tmp_path / "own"))
    assert runtime_dir() == tmp_path / "own"
    assert runtime_dir(tmp_path / "given") == tmp_path / "given"


def test_a_directory_that_others_can_use_is_refused(tmp_path):
    open_dir = tmp_path / "open"
    open_dir.mkdir()
    open_dir.chmod(0o755)
    with pytest.raises(AuthenticationError, match="mode 755"):
        runtime_dir(open_dir)
    link = tmp_path / "link"
    link.symlink_to(_private(tmp_path / "real"))
    with pytest.raises(AuthenticationError, match="not a directory"):
        runtime_dir(link)
    (tmp_path / "file").write_text("")
    with pytest.raises(AuthenticationError):
        make_private_dir(tmp_path / "file")


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_someone_else_is_refused(tmp_path):
    other = _private(tmp_path / "other")
    os.chown(other, 12345, 12345)
    with pytest.raises(AuthenticationError, match="belongs to user 12345"):
        runtime_dir(other)


def test_long_paths_get_a_short_private_directory(tmp_path):
    directory = tmp_path / ("d" * 120)
    directory.mkdir(mode=0o700)
    address = ipc_address(directory, "default.sock")
    path = address.removeprefix("ipc://")
    try:
        assert len(path) <= IPC_PATH_LIMIT
        assert address == ipc_address(directory, "default.sock")
        assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    finally:
        os.rmdir(os.path.dirname(path))
    assert ipc_address(tmp_path, "a.sock") == f"ipc://{tmp_path}/a.sock"


def test_connection_file_round_trip_hides_keys_and_is_private(tmp_path):
    _private(tmp_path / "run")
    public, secret = new_keypair()
    endpoint = Endpoint("tcp://127.0.0.1:5555", new_keypair()[0], public, secret, 42, "boot", str(tmp_path / "run"))
    path = tmp_path / "run" / "c.json"
    endpoint.write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Endpoint.read(path) == endpoint
    assert secret not in repr(endpoint)
    assert endpoint.local
    copied = tmp_path / "copied.json"
    copied.touch(0o600)
    copied.write_bytes(path.read_bytes())
    assert not Endpoint.read(copied).local, "a copy elsewhere is for another machine: no rings, no process id"
    assert Endpoint.read(copied) == endpoint.remote("tcp://127.0.0.1:5555")
    path.chmod(0o644)
    with pytest.raises(AuthenticationError, match="mode 644"):
        Endpoint.read(path)
    with pytest.raises(BackendError, match="cannot be opened"):
        Endpoint.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "nonsense", '{"address": 5}', '{"address": "ipc://x", "pid": "1"}', "[" * 9000]
)
def test_broken_connection_files(tmp_path, content):
    path = tmp_path / "c.json"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises((BackendError, AuthenticationError)):
        Endpoint.read(path)


def test_a_connection_file_may_have_news_from_the_future(tmp_path):
    run = _private(tmp_path / "run")
    path = run / "c.json"
    path.touch(0o600)
    path.write_text(json.dumps({"address": f"ipc://{run}/x.sock", "later": [1]}))
    assert Endpoint.read(path).address.endswith("x.sock")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ipc://",
        "ipc://@abstract",
        "tcp://127.0.0.1:5555",
        "tcp://host",
        "inproc://a",
        "ws://a:1",
        "tcp://h:99999",
        "x",
    ],
)
def test_unsafe_addresses_are_refused(address):
    with pytest.raises(AuthenticationError):
        check_address(Endpoint(address))


def test_an_ipc_socket_in_a_public_directory_is_refused(tmp_path):
    tmp_path.chmod(0o755)
    with pytest.raises(AuthenticationError, match="mode 755"):
        check_address(Endpoint(f"ipc://{tmp_path}/a.sock"))


def test_keys():
    public, secret = new_keypair()
    assert public_of(secret) == public
    check_key(public, "x")
    for bad in ("", "short", "é" * 40, "~" * 40):
        with pytest.raises(AuthenticationError, match="x is not a CURVE key"):
            check_key(bad, "x")


def test_the_lock_excludes_threads_and_processes_and_dies_with_its_holder(tmp_path):
    lock, other = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    assert not other.held_elsewhere()
    assert lock.acquire()
    assert not other.acquire()
    assert other.held_elsewhere()
    lock.release()
    lock.release()
    assert other.acquire()
    other.release()
    code = (
        "import sys, os; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "from gshead_backend.protocol.locks import FileLock\n"
        "assert FileLock(Path(sys.argv[2])).acquire(); print('held', flush=True); sys.stdin.read()"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with subprocess.Popen(
        [sys.executable, "-c", code, root, str(tmp_path / "l")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert lock.held_elsewhere()
        process.kill()
    assert not lock.held_elsewhere()


def test_no_backend_no_endpoint(tmp_path):
    run = _private(tmp_path / "run")
    assert live_endpoint(directory=run) is None
    Endpoint(f"ipc://{run}/default.sock", pid=1, runtime_dir=str(run)).write(run / "default.json")
    assert live_endpoint(directory=run) is None, "a connection file without a held lock is a leftover"


def test_the_environment_is_cleaned(monkeypatch):
    for name in ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "/blender")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    env = clean_environment({"A": "b"})
    assert not {"PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH"} & set(env)
    assert (env["CUDA_VISIBLE_DEVICES"], env["A"]) == ("1", "b")


def test_names():
    assert check_name("farm-3_a") == "farm-3_a"
    for bad in ("", "a" * 41, "../x", "a b", "ä", "a.b"):
        with pytest.raises(ArgumentError):
            check_name(bad)
