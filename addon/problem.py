"""What went wrong, for people: in parts for a dialog, and as text for a bug report without anybody's paths. No bpy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gshead_backend.anonymous import without_places
from gshead_backend.errors import GsheadError

_CODED = re.compile(r"(GSH-E\d{3}): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Problem:
    """One error.

    Attributes:
        code: such as ``GSH-E301``; empty when unknown. message: what happened. remedy: what to do; may be empty.
        what: which operator, or part of the extension, it came from.
    """

    code: str
    message: str
    remedy: str = ""
    what: str = ""

    @classmethod
    def of(cls, error: GsheadError, what: str = "") -> Problem:
        """From an exception of the project."""
        return cls(error.code, error.message, error.remedy, what)

    @classmethod
    def parse(cls, text: str, what: str = "") -> Problem:
        """From the text of such an exception; the remedy stays part of the message."""
        match = _CODED.match(text)
        return cls(match[1], match[2], "", what) if match else cls("", text, "", what)


def details(problem: Problem, facts: Mapping[str, str]) -> str:
    """Lines for a bug report: the problem and ``facts`` (versions by name), without paths, user and host names."""
    lines = [f"{problem.code} {problem.what}".strip(), problem.message, problem.remedy]
    lines += ["", *(f"{name}: {value}" for name, value in facts.items())]
    return without_places("\n".join(line for k, line in enumerate(lines) if line or k > 2))
