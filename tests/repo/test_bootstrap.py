"""bootstrap.py: plain Python is enough, environments are whole or made again, and what is missing is named."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gshead_backend.packaging import environments, pythons, system_libraries
from gshead_backend.packaging.environments import STAMP, Environment, SetupError, ensure


@pytest.mark.parametrize("command", [[], ["demo"], ["test"], ["setup"], ["build-addon"]])
def test_help_needs_nothing_but_the_standard_library(root: Path, command: list[str]) -> None:
    call = [sys.executable, "-I", "-S", str(root / "bootstrap.py"), *command, "--help"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: bootstrap.py" in done.stdout


def test_unknown_arguments_are_refused(root: Path) -> None:
    call = [sys.executable, str(root / "bootstrap.py"), "demo", "--colour", "red"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--colour" in done.stderr


def test_ci_runs_the_command_a_contributor_runs(root: Path) -> None:
    script = (root / ".ci" / "run").read_text()
    assert "python3 bootstrap.py test" in script


@pytest.fixture
def here() -> pythons.Python:
    found, _ = pythons.find_python(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert found is not None
    return found


def test_the_running_python_is_found(here: pythons.Python) -> None:
    assert here.version == sys.version_info[:3]


def test_a_python_that_does_not_exist_is_not_found() -> None:
    assert pythons.find_python("3.1") == (None, [])


def test_an_unusable_python_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "python3.77"
    answer = {"version": [3, 77, 0], "bits": 64, "usable": False, "name": "CPython", "path": str(broken)}
    broken.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    broken.chmod(0o755)
    monkeypatch.setenv("GSHEAD_PYTHON_3_77", str(broken))
    found, reasons = pythons.find_python("3.77")
    assert found is None
    assert reasons == [f"{broken} cannot make virtual environments (on Debian/Ubuntu: apt-get install python3.77-venv)"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments without pip, which takes ten seconds to install; the locks of these tests are empty anyway."""

    def run(command: list[str], **_: object) -> None:
        if "install" not in command:
            subprocess.run([*command, "--without-pip"], check=True)

    monkeypatch.setattr(environments, "run", run)


@pytest.fixture
def repository(tmp_path: Path, quick: None) -> Path:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "one.lock.txt").write_text("# nothing\n")
    (tmp_path / "requirements" / "two.lock.txt").write_text("# nothing more\n")
    return tmp_path


def test_an_environment_is_made_once_extended_in_place_and_remade_when_its_lock_changes(
    repository: Path, here: pythons.Python
) -> None:
    said: list[str] = []
    small = Environment("small", (here.minor,), ("one.lock.txt",))
    large = Environment("small", (here.minor,), ("one.lock.txt", "two.lock.txt"))
    marker = small.folder(repository) / "marker"

    ensure(small, repository, here, say=said.append)
    marker.touch()
    assert len(said) == 2

    ensure(small, repository, here, say=said.append)
    assert len(said) == 2
    ensure(large, repository, here, say=said.append)
    ensure(small, repository, here, say=said.append)
    assert said[2:] == ["small: installing two.lock.txt"]
    assert marker.exists()

    (repository / "requirements" / "one.lock.txt").write_text("# changed\n")
    ensure(small, repository, here, say=said.append)
    assert not marker.exists()


def test_an_interrupted_environment_is_made_again(
    repository: Path, here: pythons.Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Environment("cut", (here.minor,), ("one.lock.txt",))

    def fail(command: list[str], **_: object) -> None:
        if "install" in command:
            raise SetupError("cut off")
        subprocess.run([*command, "--without-pip"], check=True)

    with monkeypatch.context() as patch:
        patch.setattr(environments, "run", fail)
        with pytest.raises(SetupError, match="cut off"):
            ensure(environment, repository, here, say=lambda _: None)
    assert environment.python(repository).exists()
    assert not environment.exists(repository)

    ensure(environment, repository, here, say=lambda _: None)
    assert json.loads((environment.folder(repository) / STAMP).read_text())["locks"].keys() == {"one.lock.txt"}


def test_missing_system_libraries_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_libraries.sys, "platform", "linux")
    monkeypatch.setitem(system_libraries.LIBRARIES, "libgshead-missing.so.9", ("libmissing9", "missing", "missing"))
    monkeypatch.delitem(system_libraries.LIBRARIES, "libEGL.so.1")
    missing = system_libraries.missing_libraries()
    assert "libgshead-missing.so.9" in missing
    command = system_libraries.install_command(["libgshead-missing.so.9"], "apt-get")
    assert command == "sudo apt-get update && sudo apt-get install -y --no-install-recommends libmissing9"
    assert system_libraries.install_command(["libXi.so.6"], "dnf") == "sudo dnf install -y libXi"


def test_a_cuda_build_of_torch_brings_the_cuda_rasterizer() -> None:
    assert environments.with_torch(environments.BACKEND, "cu130").locks == ("backend.lock.txt", "cuda.lock.txt")
    assert environments.with_torch(environments.BACKEND, "cpu").locks == ("backend.lock.txt",)


def test_the_torch_build_is_kept_until_another_one_is_named(repository: Path, here: pythons.Python) -> None:
    backend = Environment("backend", (here.minor,), ("one.lock.txt",))
    assert environments.installed_torch(repository) == "default"
    ensure(backend, repository, here, say=lambda _: None)
    stamp = backend.folder(repository) / STAMP
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "torch": "cu130"}))
    assert environments.installed_torch(repository) == "cu130"


@pytest.mark.parametrize(("options", "codes", "result"), [
    ((), [0], 0), ((), [1, 0], 0), ((), [1, 1], 1), ((), [1, 5], 1), ((), [2], 2), (("-n", "0"), [1], 1),
])  # fmt: skip
def test_what_fails_beside_others_is_run_again_by_itself(
    root: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], codes: list[int], result: int
) -> None:
    spec = importlib.util.spec_from_file_location("bootstrap", root / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    bootstrap = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bootstrap)
    called: list[list[str]] = []

    def call(command: list[str], **_: object) -> int:
        called.append(command[3:])
        return codes[len(called) - 1]

    monkeypatch.setattr(bootstrap, "set_up", lambda *_, **__: [])
    monkeypatch.setattr(bootstrap, "run", lambda *_, **__: None)
    monkeypatch.setattr(bootstrap.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(bootstrap.subprocess, "call", call)
    arguments = bootstrap.parser().parse_args(["test"])
    arguments.pytest = [*options, "tests/head"]
    assert bootstrap.run_test(arguments) == result
    assert len(called) == len(codes)
    assert called[0] == [*(options or ("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder")), "tests/head"]
    assert called[1:] == [["--last-failed", "--last-failed-no-failures=none", "tests/head"]][: len(codes) - 1]
