"""What went wrong, for people: in parts for a dialog, and as text for a bug report without anybody's paths. No bpy."""

from __future__ import annotations

import getpass
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gshead_backend.errors import GsheadError

_CODED = re.compile(r"(GSH-E\d{3}): (.*)", re.DOTALL)
_START = r"(?:[A-Za-z]:[\\/]|\\\\|~?/)"
_PATH = re.compile(
    rf"(?P<quote>['\"])(?P<quoted>{_START}[^'\"\n]*)(?P=quote)"  # may hold blanks
    rf"|(?<![\w/.:<])(?P<bare>{_START}(?=[^\s'\"])[^\s'\",;)\]]*)"
    r"|(?P<scheme>ipc|file)://[^\s'\"]*"
)


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


def without_places(text: str) -> str:
    """``text`` with every absolute path cut down to what tells no one's name: a program's name or a file's ending."""
    text = _PATH.sub(_shortened, text)
    for name, replacement in ((_user(), "<user>"), (platform.node(), "<host>")):
        if len(name) > 2:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", replacement, text)
    return text


def _shortened(match: re.Match[str]) -> str:
    if match["scheme"]:
        return f"{match['scheme']}://<path>"
    quote = match["quote"] or ""
    return quote + _short(match["quoted"] or match["bare"]) + quote


def _short(path: str) -> str:
    name = re.split(r"[\\/]", path.rstrip("\\/."))[-1]
    end = path[len(path.rstrip(".")) :]
    suffix = Path(name).suffix
    return (f"<path>/*{suffix}" if suffix else f"<path>/{name}") + end


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
