"""What a bug report needs, in one file, without anybody's name, place, key or picture."""

from __future__ import annotations

import io
import json
import platform
import zipfile
from pathlib import Path
from typing import Any

from .. import __version__
from ..anonymous import anonymous
from ..errors import GsheadError
from ..files import write_atomic
from ..folders import read_limits
from ..protocol.endpoint import runtime_dir
from ..protocol.launcher import tail
from .places import holding, places

LOG_LINES = 400


def write_bundle(path: Path, checks: list[dict[str, Any]], status: dict[str, Any] | None) -> list[str]:
    """Write the zip; returns the names of its parts.

    Args:
        checks: the findings of ``gshead doctor``. status: that of the running backend, None when none runs.

    Raises ``ExportError``.
    """
    facts = {
        "gshead": __version__, "python": platform.python_version(), "system": platform.platform(),
        "checks": checks, "status": status, "kept": _kept(), "limits": {"days": read_limits().days},
    }  # fmt: skip
    parts = {"report.json": json.dumps(_without_names(facts), indent=1, ensure_ascii=False)}
    parts |= {f"log-{number}.txt": anonymous(text) for number, text in enumerate(_logs(), 1)}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    write_atomic(path, target.getvalue())
    return list(parts)


def without_clients(status: dict[str, Any]) -> dict[str, Any]:
    """The status of a backend without what its clients call themselves."""
    sessions = [{key: value for key, value in s.items() if key != "client"} for s in status.get("sessions", ())]
    return {**status, "sessions": sessions}


def _without_names(value: Any) -> Any:
    """Every text in it made anonymous, before JSON puts backslashes into paths."""
    if isinstance(value, str):
        return anonymous(value)
    if isinstance(value, dict):
        return {key: _without_names(entry) for key, entry in value.items()}
    return [_without_names(entry) for entry in value] if isinstance(value, list | tuple) else value


def _kept() -> list[dict[str, Any]]:
    return [
        {"name": h.place.name, "files": len(h.items), "bytes": h.bytes, "open_to_others": h.open_to_others}
        for h in map(holding, places())
    ]


def _logs() -> list[str]:
    try:
        return [tail(log, LOG_LINES) for log in sorted(runtime_dir(make=False).glob("*.log"))]
    except (OSError, GsheadError):
        return []
