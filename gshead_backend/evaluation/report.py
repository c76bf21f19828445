"""What an evaluation found: lines (one a benchmark, method and quality), items, a JSON file, a history."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..avatar.layout import parse_json
from ..errors import FileFormatError, ReportError
from ..files import write_atomic
from .benchmarks.common import Item, Metrics, mean_metrics
from .metrics import networks_note

FORMAT, VERSION = "gshead-evaluation", 1
MAX_BYTES = 64 * 2**20


@dataclass
class Line:
    """One benchmark, method and quality: means over its items."""

    benchmark: str
    method: str
    quality: str
    items: list[Item] = field(default_factory=list)
    metrics: Metrics = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.benchmark, self.method, self.quality

    def close(self, pooled: Mapping[str, float | None] | None = None) -> None:
        """Take the means over the items; ``pooled`` replaces those that are ratios of sums."""
        timed = [
            i.metrics | {"seconds_reconstruct": i.seconds["reconstruct"]} if "reconstruct" in i.seconds else i.metrics
            for i in self.items
        ]
        self.metrics = mean_metrics(timed) | dict(pooled or {})


@dataclass
class Report:
    """An evaluation. missing: what was not measured: (what, why, the command that would make it possible)."""

    date: str
    device: str
    options: dict[str, Any]
    lines: list[Line] = field(default_factory=list)
    missing: list[tuple[str, str, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """The JSON object, without pictures."""
        return {
            "format": FORMAT, "version": VERSION, "date": self.date, "gshead": __version__, "commit": _commit(),
            "device": self.device, "machine": f"{platform.system()} {platform.machine()}", "options": self.options,
            "seconds": round(self.seconds, 1), "networks": networks_note(),
            "lines": [
                {"benchmark": n.benchmark, "method": n.method, "quality": n.quality, "items": len(n.items),
                 "metrics": _plain(n.metrics)} for n in self.lines
            ],
            "items": [
                {"benchmark": n.benchmark, "method": n.method, "quality": n.quality, "name": i.name,
                 "metrics": _plain(i.metrics), "seconds": i.seconds, "notes": i.notes}
                for n in self.lines for i in n.items
            ],
            "not_measured": [{"what": w, "why": y, "command": c} for w, y, c in self.missing],
            "failures": [{"what": w, "error": e} for w, e in self.failures],
        }  # fmt: skip

    def write(self, folder: Path) -> dict[str, Path]:
        """``report.json``, ``report.html`` and a line more in ``history.jsonl``. Raises ``ExportError``."""
        from .html import page

        document = self.document()
        out = {"json": folder / "report.json", "html": folder / "report.html", "history": folder / "history.jsonl"}
        write_atomic(out["json"], (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
        write_atomic(out["html"], page(self, document).encode())
        old = out["history"].read_bytes() if out["history"].is_file() else b""
        short = {k: document[k] for k in ("version", "date", "gshead", "commit", "device", "options", "lines")}
        new = json.dumps(short, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        write_atomic(out["history"], old + (b"" if not old or old.endswith(b"\n") else b"\n") + new)
        return out


def read_report(path: Path) -> dict[str, Any]:
    """The document of a report's JSON file, or of the ``report.json`` of a folder. Raises ``ReportError``."""
    path = path / "report.json" if path.is_dir() else path
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ReportError(f"'{path}' is larger than {MAX_BYTES} bytes.")
        document = parse_json(path.read_text("utf-8"), f"'{path}'", max_bytes=MAX_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"'{path}' cannot be read: {error}.") from error
    except FileFormatError as error:
        raise ReportError(error.message) from error
    if document.get("format") != FORMAT or document.get("version") != VERSION:
        raise ReportError(
            f"'{path}' is not a report of version {VERSION}: it says {document.get('format')!r}, "
            f"{document.get('version')!r}.", remedy="Evaluate again with this gshead.",
        )  # fmt: skip
    lines = document.get("lines")
    keys = ("benchmark", "method", "quality")
    if not isinstance(lines, list) or not all(
        isinstance(n, dict) and all(isinstance(n.get(k), str) for k in keys) and isinstance(n.get("metrics"), dict)
        for n in lines
    ):
        raise ReportError(f"'{path}' is damaged: its lines are not what a report holds.")
    return document


def _plain(metrics: Metrics) -> dict[str, float | None]:
    return {k: None if v is None or not math.isfinite(v) else round(float(v), 5) for k, v in metrics.items()}


def _commit() -> str | None:
    """The commit that the installed package was built from, where its metadata say so (PEP 610); no git is called."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        text = distribution("gshead-backend").read_text("direct_url.json")
        origin = json.loads(text) if text else {}
    except (PackageNotFoundError, ValueError):
        return None
    return origin.get("vcs_info", {}).get("commit_id") if isinstance(origin, dict) else None
