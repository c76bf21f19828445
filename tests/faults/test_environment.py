"""Machines that are not as they should be: leftovers, long and foreign paths, no home, no space, somebody else."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from server_harness import ROOT, head, make_camera, run_python, serve_command

from gshead_backend.errors import BackendError, ExportError
from gshead_backend.files import write_atomic
from gshead_backend.protocol import Client
from gshead_backend.protocol.launcher import Backend, connect_or_start, live_endpoint

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sockets, modes and users of Unix")


def works(backend: Backend) -> None:
    with Client(backend.endpoint) as client:
        avatar = client.avatar_put(b"GSa")
        assert client.render(make_camera(300, 300), [head(avatar)]).rgba.shape == (300, 300, 4)


def test_leftovers_of_a_killed_backend_are_in_nobodys_way(start: Callable[..., Backend], runtime: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(runtime)  # its path may be too long for a socket
    stale.bind("default.sock")
    os.chdir(here)
    stale.close()
    for name in ("default.lock", "default.json", "default.ring.dead-1", "default.render-1.sock"):
        (runtime / name).write_bytes(b"\0 nonsense {")
        (runtime / name).chmod(0o600)
    assert live_endpoint(directory=runtime) is None
    backend = start()
    works(backend)
    assert not (runtime / "default.ring.dead-1").exists()


def test_a_second_server_of_the_same_name_refuses_and_the_first_goes_on(backend: Backend, runtime: Path) -> None:
    command = [*serve_command(), "--runtime-dir", str(runtime), "--name", "default"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode != 0
    assert "GSH-E600: A backend named 'default' already runs" in done.stderr
    assert live_endpoint(directory=runtime) is not None
    works(backend)


@pytest.mark.parametrize("folder", ["köpfe 頭 голова", "a" * 100 + "/" + "b" * 100, "with 'quotes\" and $HOME;"])
def test_long_and_foreign_folders(tmp_path: Path, folder: str, runtime: Path) -> None:
    place = tmp_path / folder
    place.mkdir(parents=True, mode=0o700)
    backend = connect_or_start(serve_command(), directory=place)
    works(backend)
    short = backend.endpoint.address.removeprefix("ipc://")
    assert len(os.fsencode(short)) <= 107
    assert stat.S_IMODE(Path(short).parent.stat().st_mode) == 0o700
    backend.wait(10)
    assert not Path(short).exists()
    assert Path(short).parent == place or not Path(short).parent.exists(), "nothing is left in the temporary folder"


def test_no_xdg_no_home_and_no_runtime_dir(tmp_path: Path) -> None:
    """A bare environment, as on farms and in containers: private folders are made in the temporary one."""
    code = (
        "import os; from gshead_backend.protocol.endpoint import runtime_dir; "
        "print(oct(os.stat(runtime_dir()).st_mode & 0o777)); "
        "from gshead_backend.folders import data_folder, read_limits; print(read_limits().days); "
        "from gshead_backend.head import installed_heads; print(list(installed_heads())[0])"
    )  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}
    done = run_python(code, env=environment)
    assert done.stdout.split() == ["0o700", "30.0", "gshead-default"], done.stderr


def test_a_user_without_any_home_is_told_what_to_set() -> None:
    code = (
        "import pathlib\n"
        "def none(): raise RuntimeError('Could not determine home directory.')\n"
        "pathlib.Path.home = staticmethod(none)\n"
        "from gshead_backend.head import installed_heads, heads_folder, load_head\n"
        "assert list(installed_heads()) == ['gshead-default'] and load_head('default')\n"
        "from gshead_backend.upkeep.places import places; assert places()\n"
        "heads_folder()\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "GSHEAD_")) and k != "HOME"}
    done = run_python(code, env=environment)
    assert "GSH-E100: This user has no home folder. Set GSHEAD_DATA_DIR" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: int
) -> None:
    path = tmp_path / "new" / "head.gshead"
    write_atomic(path, b"old")

    def fail(self: Path, data: bytes) -> int:
        with open(self, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(trouble, os.strerror(trouble))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(ExportError, match=os.strerror(trouble)) as caught:
        write_atomic(path, b"new and longer")
    assert "space left" in caught.value.remedy
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["head.gshead"]


def test_a_runtime_folder_that_cannot_be_made_is_named(tmp_path: Path, runtime: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises((BackendError, OSError)) as caught:
        connect_or_start(serve_command(), directory=file / "below")
    assert str(file) in str(caught.value)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can act as a second user")
def test_a_second_user_of_the_machine_gets_nowhere(backend: Backend, runtime: Path) -> None:
    """The sockets and files of a backend as another uid finds them: not to be entered, read, or listed."""
    address = backend.endpoint.address.removeprefix("ipc://")
    ring = runtime / "default.json"
    code = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "def refused(what):\n"
        "    try: what()\n"
        "    except PermissionError: return\n"
        "    sys.exit('got in')\n"
        f"refused(lambda: os.listdir({str(runtime)!r}))\n"
        f"refused(lambda: open({str(ring)!r}))\n"
        f"refused(lambda: socket.socket(socket.AF_UNIX).connect({address!r}))\n"
        f"refused(lambda: open({str(runtime / 'default.log')!r}))\n"
        "print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.strip() == "refused", done.stderr
    works(backend)
    assert ROOT.is_dir()
