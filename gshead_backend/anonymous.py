"""Text without places and names, for bug reports. Standard library only: Blender uses it too."""

from __future__ import annotations

import getpass
import platform
import re
from pathlib import Path

_START = r"(?:[A-Za-z]:[\\/]|\\\\|~?/)"
_PATH = re.compile(
    rf"(?P<quote>['\"])(?P<quoted>{_START}[^'\"\n]*)(?P=quote)"  # may hold blanks
    rf"|(?<![\w/.:<])(?P<bare>{_START}(?=[^\s'\"])[^\s'\",;)\]]*)"
    r"|(?P<scheme>ipc|file)://[^\s'\"]*"
)
_Z85 = r"0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#"
# A key has 40 characters; one in a million lacks capitals or small letters, three in a million other signs.
_MIXED = "".join(rf"(?=[{_Z85}]{{0,39}}[{kind}])" for kind in ("A-Z", "a-z", r"^\w\s"))
_OPEN = rf"(?:(?<![{_Z85}])|(?<=[=:(<\[{{]))"
_CLOSE = rf"(?:(?![{_Z85}])|(?=[)>\]}}.:]{{1,3}}(?![{_Z85}])))"
_SECRETS = (
    (re.compile(r"(?P<before>\bclient \d+ \()(?:'(?:[^'\\\n]|\\.)*'|\"[^\"\n]*\")"), r"\g<before><name>"),
    (re.compile(rf"{_OPEN}{_MIXED}[{_Z85}]{{40}}{_CLOSE}"), "<key>"),
    (re.compile(r"\b[0-9a-fA-F]{32,}\b"), "<id>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<mail>"),
    (re.compile(r"\b(?!127\.0\.0\.1\b)\d{1,3}(?:\.\d{1,3}){3}\b"), "<address>"),
)


def without_places(text: str) -> str:
    """``text`` with every absolute path cut down to what tells no one's name: a program's name or a file's ending."""
    text = _PATH.sub(lambda match: _shortened(match, programs=True), text)
    return _without_names(text)


def anonymous(text: str) -> str:
    """``text`` without places, names of clients, keys, ids of avatars, mail and network addresses."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    text = _PATH.sub(lambda match: _shortened(match, programs=False), text)
    return _without_names(text)


def _without_names(text: str) -> str:
    for name, replacement in ((_user(), "<user>"), (platform.node(), "<host>")):
        if len(name) > 2:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", replacement, text)
    return text


def _shortened(match: re.Match[str], *, programs: bool) -> str:
    if match["scheme"]:
        return f"{match['scheme']}://<path>"
    quote = match["quote"] or ""
    return quote + _short(match["quoted"] or match["bare"], programs=programs) + quote


def _short(path: str, *, programs: bool) -> str:
    name = re.split(r"[\\/]", path.rstrip("\\/."))[-1]
    end = path[len(path.rstrip(".")) :]
    suffix = Path(name).suffix
    if suffix:
        return f"<path>/*{suffix if programs or len(suffix) <= 8 else ''}{end}"
    return (f"<path>/{name}" if programs else "<path>") + end


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
