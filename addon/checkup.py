"""Check Installation: what ``gshead doctor`` says of the backend that the preferences name. No bpy here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gshead_backend.errors import BackendError
from gshead_backend.protocol.launcher import clean_environment

from .jobs import Job

SERVE = "serve"
STATUSES = ("ok", "warning", "missing")
TIMEOUT = 120.0  # the first run in a new environment compiles Python files for half a minute
_MOST_CHECKS = 200
_MOST_CHARACTERS = 1000


@dataclass(frozen=True)
class Check:
    """One line of the report: ``status`` is ok, warning or missing; ``fix`` what to do, may be empty."""

    name: str
    status: str
    detail: str
    fix: str = ""


def doctor_command(command: Sequence[str]) -> tuple[str, ...]:
    """The command that looks at the installation of a backend command: ``gshead serve …`` is ``gshead doctor --json``.

    Raises ``BackendError`` when the command does not serve.
    """
    if SERVE not in command:
        raise BackendError(
            f"The backend command {' '.join(command)!r} has no word '{SERVE}', so there is no 'doctor' beside it.",
            remedy="Run 'gshead doctor' in the backend's environment.",
        )
    return (*command[: list(command).index(SERVE)], "doctor", "--json")


def read_report(text: str) -> list[Check]:
    """The checks in what ``doctor --json`` printed; lines before it are a library's chatter.

    Raises ``BackendError`` when it is none.
    """
    start = text.find("{")
    try:
        checks = json.loads(text[max(start, 0) :])["checks"]
        found = [
            Check(*(str(check.get(key, ""))[:_MOST_CHARACTERS] for key in ("name", "status", "detail", "fix")))
            for check in checks[:_MOST_CHECKS]
        ]
        return [check if check.status in STATUSES else replace(check, status="warning") for check in found]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackendError(
            f"'gshead doctor' answered with something else than a report: {text[:200]!r}.",
            remedy="Look at the Backend Command in the preferences.",
        ) from error


class CheckupJob(Job):
    """Runs ``doctor`` on a thread of its own.

    Attributes:
        checks: the result once ``done`` and ``error`` is None.
    """

    what = "check"

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__()
        self.checks: list[Check] = []
        self._command = command
        self.start()

    def work(self) -> None:
        self.checks = run_doctor(self._command)


def run_doctor(command: Sequence[str], timeout: float = TIMEOUT) -> list[Check]:
    """What ``doctor`` of a backend command finds; blocks. Raises ``BackendError``."""
    doctor = doctor_command(command)
    flags = subprocess.CREATE_NO_WINDOW if sys.platform == "win32" else 0
    try:
        done = subprocess.run(
            doctor, capture_output=True, text=True, timeout=timeout, check=False, env=clean_environment(),
            stdin=subprocess.DEVNULL, creationflags=flags, errors="replace",
        )  # fmt: skip
    except OSError as error:
        raise BackendError(
            f"The backend command '{doctor[0]}' cannot be started: {error.strerror or error}.",
            remedy="Install the backend, or correct the Backend Command in the preferences.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"'{' '.join(doctor)}' took longer than {timeout:g} s.", remedy="Try again.") from error
    if "{" not in done.stdout:
        raise BackendError(
            f"'{' '.join(doctor)}' ended with status {done.returncode}: {done.stderr.strip()[-300:]}",
            remedy="Install the backend again.",
        )
    return read_report(done.stdout)
