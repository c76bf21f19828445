"""What reading a recording had to mend, and saying so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_SHOWN = 4


@dataclass(frozen=True)
class Notes:
    """What was not taken as it stands.

    Attributes:
        ignored: columns that mean nothing here. missing: ARKit channels without a column.
        clamped: values outside 0..1. unreadable: values that are no numbers. rows: lines that were left out: cut off,
            without a timecode, or out of order. repeated: lines with the timecode of the one before.
        filled: frames of the take without a line of their own, or without a face in it.
        assumed_rate: frames a second that were assumed because the timecodes do not tell; 0 when they do.
    """

    ignored: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    clamped: int = 0
    unreadable: int = 0
    rows: int = 0
    repeated: int = 0
    filled: int = 0
    assumed_rate: float = 0.0

    def text(self) -> str:
        """One line; empty when there is nothing to say."""
        said = [
            f"ignored {_list(self.ignored)}" if self.ignored else "",
            f"no column for {_list(self.missing)}" if self.missing else "",
            f"{_count(self.clamped, 'value')} clamped to 0..1" if self.clamped else "",
            f"{_count(self.unreadable, 'value')} unreadable" if self.unreadable else "",
            f"{_count(self.rows, 'line')} left out" if self.rows else "",
            f"{_count(self.repeated, 'repeated line')}" if self.repeated else "",
            f"{_count(self.filled, 'frame')} filled in" if self.filled else "",
            f"{self.assumed_rate:g} frames per second assumed" if self.assumed_rate else "",
        ]
        return "; ".join(part for part in said if part)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
