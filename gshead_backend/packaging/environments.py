"""Virtual environments that are exactly what their lock files say.

An environment is made from nothing whenever its stamp does not match, and the stamp is written last: an interrupted
set-up is never mistaken for a finished one, and a finished one costs a few milliseconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .pythons import Python

STAMP = ".gshead-stamp.json"
# The CUDA builds of torch are on PyTorch's own index; the only place where an index is named.
TORCH_INDEX = "https://download.pytorch.org/whl/{}"
Say = Callable[[str], None]


class SetupError(Exception):
    """Set-up cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Environment:
    """One virtual environment of this repository.

    Attributes:
        name: folder under ``.venvs``.
        pythons: acceptable Python versions, the preferred one first.
        locks: lock files under ``requirements/``, in order of installation.
        project: whether the repository itself is installed (editable).
    """

    name: str
    pythons: tuple[str, ...]
    locks: tuple[str, ...]
    project: bool = False

    def folder(self, root: Path) -> Path:
        """The environment's folder."""
        return root / ".venvs" / self.name

    def python(self, root: Path) -> Path:
        """The environment's interpreter."""
        return self.folder(root) / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def script(self, root: Path, name: str) -> Path:
        """A command that a package of the environment brings, such as ``"gshead"``."""
        return self.python(root).with_name(f"{name}.exe" if os.name == "nt" else name)

    def exists(self, root: Path) -> bool:
        """True when set-up finished once."""
        return (self.folder(root) / STAMP).is_file() and self.python(root).exists()


BACKEND = Environment("backend", ("3.11", "3.12", "3.13"), ("backend.lock.txt",), project=True)
BLENDERS = tuple(
    Environment(f"blender-{version}", (python,), (f"blender-{version}.lock.txt",))
    for version, python in (("4.5", "3.11"), ("5.0", "3.11"), ("5.2", "3.13"))
)


def with_torch(environment: Environment, torch: str) -> Environment:
    """The backend's environment with CUDA packages when ``torch`` names a CUDA build such as ``"cu130"``."""
    locks = ("cuda.lock.txt",) if torch.startswith("cu") else ()
    return Environment(environment.name, environment.pythons, environment.locks + locks, environment.project)


def with_tests(environment: Environment) -> Environment:
    """The backend's environment with what tests and checks need: tools, and the optional packages that need no GPU."""
    locks = dict.fromkeys((*environment.locks, "cuda.lock.txt", "ray.lock.txt", "dev.lock.txt"))
    return Environment(environment.name, environment.pythons, tuple(locks), environment.project)


def installed_torch(root: Path) -> str:
    """The torch build that the backend was set up with; ``"default"`` when it was not."""
    return _read_stamp(BACKEND.folder(root)).get("torch") or "default"


def _digest(*paths: Path) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_text(encoding="utf-8").encode())
    return found.hexdigest()


def _read_stamp(folder: Path) -> dict:
    try:
        return json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write_stamp(folder: Path, stamp: dict) -> None:
    temporary = folder / (STAMP + ".new")
    temporary.write_text(json.dumps(stamp, indent=2, sort_keys=True), encoding="utf-8")
    os.replace(temporary, folder / STAMP)


def run(command: list[str], *, cwd: Path | None = None, what: str, quiet: bool = False) -> None:
    """Run a command; a failure raises ``SetupError`` with ``what`` was being done.

    Its output is shown; with ``quiet`` only its errors are.
    """
    status = subprocess.run(command, cwd=cwd, stdout=subprocess.DEVNULL if quiet else None, check=False).returncode
    if status != 0:
        raise SetupError(f"{what} failed (exit status {status}). The lines above say why; running it again resumes.")


@contextlib.contextmanager
def exclusive(root: Path, say: Say) -> Iterator[None]:
    """Only one set-up at a time in this repository; a second one waits. The lock goes with its process."""
    path = root / ".venvs" / ".lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a+b") as file:
        waited = False
        while not _try_lock(file):
            if not waited:
                say("another set-up is running in this folder: waiting for it")
            waited = True
            time.sleep(1.0)
        yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _pip(python: Path, *arguments: str) -> list[str]:
    return [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]


def _wanted(environment: Environment, root: Path, python: Python, torch: str) -> dict:
    requirements = root / "requirements"
    return {
        "python": python.minor,
        "base": str(python.path),
        "torch": torch if environment.project else "",
        "locks": {name: _digest(requirements / name) for name in environment.locks},
    }


def _fits(have: dict, want: dict) -> bool:
    """True when what is installed stays valid: same interpreter line and torch build, no lock of it changed."""
    same = all(have.get(key) == want[key] for key in ("python", "torch"))
    common = set(have.get("locks", {})) & set(want["locks"])
    return same and bool(common) and all(have["locks"][name] == want["locks"][name] for name in common)


def ensure(environment: Environment, root: Path, python: Python, *, torch: str = "default", say: Say) -> Path:
    """Make the environment match its locks; returns its interpreter.

    Args:
        environment: what to make.
        root: the repository.
        python: the interpreter to make it with.
        torch: ``"default"`` for pip's own index, or a folder of PyTorch's index such as ``"cpu"`` or ``"cu130"``.
        say: gets one line when something is done.
    """
    folder, interpreter = environment.folder(root), environment.python(root)
    want, have = _wanted(environment, root, python, torch), _read_stamp(folder)
    if not (_fits(have, want) and interpreter.exists()):
        say(f"{environment.name}: new environment with Python {'.'.join(map(str, python.version))}")
        shutil.rmtree(folder, ignore_errors=True)
        run([str(python.path), "-m", "venv", str(folder)], what=f"Making {folder}")
        have = {**want, "locks": {}, "project": ""}
    if missing := [name for name in environment.locks if name not in have["locks"]]:
        say(f"{environment.name}: installing {', '.join(missing)}")
        (folder / STAMP).unlink(missing_ok=True)
        # Locks already there are named again so that pip keeps their versions.
        files = [part for name in (*have["locks"], *missing) for part in ("-r", str(root / "requirements" / name))]
        extra = ["--extra-index-url", TORCH_INDEX.format(torch)] if environment.project and torch != "default" else []
        # Compiling every module would take longer than compiling the few that are used, when they are.
        run(_pip(interpreter, "install", "-q", "--no-compile", *extra, *files), what=f"Installing into {folder}")
        have["locks"] |= {name: want["locks"][name] for name in missing}
        _write_stamp(folder, have)
    if environment.project:
        _install_project(environment, root, have, say)
    return interpreter


def _install_project(environment: Environment, root: Path, have: dict, say: Say) -> None:
    digest = _digest(root / "pyproject.toml", root / "gshead_backend" / "__init__.py")
    if have.get("project") == digest:
        return
    say(f"{environment.name}: installing the gshead command")
    arguments = ("install", "-q", "--no-deps", "--no-build-isolation", "--editable", str(root))
    run(_pip(environment.python(root), *arguments), what="Installing the project")
    _write_stamp(environment.folder(root), {**have, "project": digest})
