"""Log lines with ids: which process of which backend, which session, job and task. Standard library only.

Text for people, or with ``GSHEAD_LOG=json`` one JSON object a line for programs. Neither holds keys or session tokens.
"""

from __future__ import annotations

import json
import logging
import os
import time

VARIABLE = "GSHEAD_LOG"
IDS = ("boot", "role", "session", "job", "task", "code")
_ids: dict[str, str] = {}


def configure_logs(**ids: str) -> None:
    """Send the log to stderr; ``ids`` (of ``IDS``) hold for every line of this process."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if os.environ.get(VARIABLE) == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    identify(**ids)


def identify(**ids: str) -> None:
    """More ids for every line of this process."""
    _ids.update(ids)


def ids_of(record: logging.LogRecord) -> dict[str, str | int]:
    """The ids of a line: those of the process, and what it was given as ``extra``."""
    own = {name: getattr(record, name) for name in IDS if isinstance(getattr(record, name, None), int | str)}
    return {**_ids, **own}


def _stamp(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"


class TextFormatter(logging.Formatter):
    """``time LEVEL logger: message [boot=… session=3]``"""

    def format(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in ids_of(record).items())
        lines = f"{_stamp(record.created)} {record.levelname} {record.name}: {record.getMessage()}"
        lines += f" [{ids}]" if ids else ""
        return f"{lines}\n{self.formatException(record.exc_info)}" if record.exc_info else lines


class JsonFormatter(logging.Formatter):
    """One object a line: ``time``, ``level``, ``logger``, ``pid``, ids, ``message``, and perhaps ``trace``."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _stamp(record.created), "level": record.levelname, "logger": record.name, "pid": os.getpid(),
            **ids_of(record), "message": record.getMessage(),
        }  # fmt: skip
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
