"""What each part of GAGAvatar is good for, as in its paper: the same training without it, equally long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from ..config import TrainConfig
from ..loop import train
from .forward import LIFTING, PLANE, RENDERER
from .task import GagavatarTask

VARIANTS = {
    "gagavatar": "",
    "no neural renderer": RENDERER,
    "one lifted plane": PLANE,
    "no lifting loss": LIFTING,
}
COLUMNS = {"psnr": "picture, dB", "psnr_face": "face, dB", "psnr_raw": "raster, dB", "lifted_mm": "lifted, mm"}
Row = dict[str, float]


def ablations(
    config: TrainConfig, data: Path, out: Path, *, device: str = "cpu",
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> dict[str, Row]:  # fmt: skip
    """Train every variant as ``config`` says, goes on where ``out`` stands; rows of ``task.measure`` and "steps"."""
    rows: dict[str, Row] = {}
    for k, (name, left_out) in enumerate(VARIANTS.items()):
        own = msgspec.structs.replace(config, ablate=left_out)
        part = lambda fraction, text, k=k, name=name: progress((k + fraction) / len(VARIANTS), f"{name}: {text}")  # noqa: E731
        outcome = train(
            GagavatarTask(own), own, data, out / name.replace(" ", "-"), device=device, progress=part
        )  # fmt: skip
        rows[name] = {**{c: float(outcome.metrics[c]) for c in COLUMNS}, "steps": float(outcome.step)}
    return rows


def table(rows: dict[str, Row]) -> str:
    """Markdown."""
    head = "| | steps | " + " | ".join(COLUMNS.values()) + " |\n|---|---|" + "---|" * len(COLUMNS)
    lines = [f"| {name} | {row['steps']:.0f} | " + " | ".join(f"{row[c]:.2f}" for c in COLUMNS) + " |"
             for name, row in rows.items()]  # fmt: skip
    return "\n".join([head, *lines])
