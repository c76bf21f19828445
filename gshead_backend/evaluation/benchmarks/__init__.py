"""The named benchmarks: ``people``, ``photos``, ``multiview``, ``video``."""

from __future__ import annotations

BENCHMARKS = ("people", "photos", "multiview", "video")
