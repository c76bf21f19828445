"""Fails a run in which more is skipped than ``skip_budget.toml`` lists."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

FILE = Path(__file__).with_suffix(".toml")
NAMED_ONLY = ("soak", "slow")
"""Markers of tests that run when ``-m`` names them; a run without them is a whole one."""


@dataclass(frozen=True)
class Allowed:
    """Skips whose text has ``reason``, at most so many of them in a whole run."""

    reason: str
    why: str
    most: int


def read(path: Path = FILE) -> list[Allowed]:
    return [Allowed(**row) for row in tomllib.loads(path.read_text("utf-8"))["skip"]]


def excess(reasons: Iterable[tuple[str, str]], allowed: list[Allowed], *, whole: bool) -> list[str]:
    """What is wrong, a line each.

    Args:
        reasons: (test, text of its skip). whole: nothing was deselected, so that counts mean something.
    """
    found: dict[Allowed, list[str]] = {row: [] for row in allowed}
    wrong = []
    for test, text in reasons:
        row = next((row for row in allowed if re.search(row.reason, text)), None)
        if row is None:
            wrong.append(f"{test} was skipped for a reason that is not listed: {text}")
        else:
            found[row].append(test)
    for row, tests in found.items():
        if whole and len(tests) > row.most:
            wrong.append(f"{len(tests)} tests were skipped ({row.why}), at most {row.most} may be: {row.reason}")
    return wrong


class SkipBudget:
    """Notes what is skipped and judges it at the end."""

    def __init__(self) -> None:
        self._reasons: list[tuple[str, str]] = []
        self._wrong: list[str] = []
        self._deselected = False

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self._reasons.append((report.nodeid, text.removeprefix("Skipped: ")))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self._deselected = self._deselected or any(not any(map(item.get_closest_marker, NAMED_ONLY)) for item in items)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        started_whole = session.config.args_source is not pytest.Config.ArgsSource.ARGS
        whole = started_whole and not self._deselected and not session.shouldstop and not session.shouldfail
        self._wrong = excess(self._reasons, read(), whole=whole)
        if self._wrong and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._wrong:
            terminalreporter.section("skip budget exceeded", red=True, bold=True)
            for line in self._wrong:
                terminalreporter.line(line)
            terminalreporter.line(f"Make it run here, or list it in {FILE.name} with the reason why it may be skipped.")
