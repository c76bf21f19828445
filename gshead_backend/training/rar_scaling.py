"""Does a larger reconstructor help, and what does a frame cost then? Sizes of ``rar``, trained for as many steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from ..avatar.drive_fast import drive_fast
from ..head.arkit import ARKIT_NAMES
from ..head.catalog import default_head
from ..head.skinning import pose_from_arkit
from ..methods.common.edits import Edits, residual_of
from ..methods.rar.build import NAME, SIZES, make_net
from ..methods.rar.drive_net import linearised
from ..methods.rar.net import VERSION
from ..portrait.nets.weights import load_weights
from .config import TrainConfig
from .heads import avatar_of
from .loop import train, validation_corpus
from .rar_task import RarTask

_FRAMES, _WARM = 240, 20


@dataclass(frozen=True)
class Row:
    """One size.

    Attributes:
        parameters: of the whole network. steps, minutes: of its training. validation: see ``RarTask.measure``.
        splats: that change with the pose. drive_ms: median time of a frame of an avatar that it made.
    """

    parameters: int
    steps: int
    minutes: float
    validation: dict[str, Any]
    splats: int
    drive_ms: float


def scaling(
    config: TrainConfig, data: Path, out: Path, *, device: str = "cpu",
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> dict[str, Row]:  # fmt: skip
    """Train every size on the same samples, then measure it; goes on where ``out`` stands.

    Args:
        config: of the smallest size. Where it limits the minutes, the others take as many steps as that one did.

    Returns:
        Rows by the names of ``build.SIZES``, smallest first.
    """
    trained: dict[str, tuple[int, float, dict[str, Any]]] = {}
    own = config
    for k, (name, shape) in enumerate(SIZES.items()):
        own = msgspec.structs.replace(own, shape=shape)

        def part(fraction: float, text: str, k: int = k, name: str = name) -> None:
            progress((k + fraction) / len(SIZES), f"{name}: {text}")

        outcome = train(RarTask(own), own, data, out / name, device=device, progress=part)
        trained[name] = outcome.step, outcome.seconds / 60, outcome.metrics
        own = msgspec.structs.replace(own, steps=outcome.step, minutes=0.0)
    times = _drive_times(config, data, out)
    return {
        name: Row(_parameters(out / name), *told, *times[name])
        for name, told in trained.items()
    }  # fmt: skip


def _parameters(folder: Path) -> int:
    weights = load_weights(NAME, VERSION, folder / f"{NAME}.safetensors")
    return sum(a.size for a in weights.arrays.values())


@torch.no_grad()
def _drive_times(config: TrainConfig, data: Path, out: Path) -> dict[str, tuple[int, float]]:
    """(splats that change, median milliseconds of a frame) of one validation person's avatar by every size.

    Every splat that a network of this kind can change is changed by every size, and the sizes take turns.
    """
    head, task = default_head(), RarTask(config)
    sample = validation_corpus(task, data, 1)[0][0]
    avatar = avatar_of(sample, head)
    inputs = {
        k: torch.from_numpy(np.array(sample[f"observed_{k}"], np.float32))[None]
        for k in ("channels", "picture", "facts")
    }
    avatars, index = {}, np.zeros(0, np.int32)
    for name in SIZES:
        weights = load_weights(NAME, VERSION, out / name / f"{NAME}.safetensors")
        net = make_net(head, weights.header.shape)  # it knows of an outside backbone
        net.load_state_dict({k: torch.from_numpy(v) for k, v in weights.arrays.items()})
        said = task.ask(net.eval(), inputs)
        gain = linearised(net.drive, head)[0]
        edits = Edits(said.static[0].numpy(), said.basis[0].numpy(), gain, np.zeros(len(gain), np.float32))
        index = np.flatnonzero(net.groups.any(1).numpy()).astype(np.int32)
        avatars[name] = replace(avatar, dynamic=residual_of(avatar, edits, index))
    rng = np.random.default_rng(0)
    poses = [pose_from_arkit(head, rng.random(len(ARKIT_NAMES)).astype(np.float32) * 0.5) for _ in range(16)]
    spent: dict[str, list[float]] = {name: [] for name in avatars}
    for frame in range(_WARM + _FRAMES):
        for name, one in avatars.items():
            began = time.perf_counter()
            drive_fast(one, poses[frame % len(poses)])
            spent[name].append(time.perf_counter() - began)
    return {k: (int(index.size), 1e3 * float(np.median(v[_WARM:]))) for k, v in spent.items()}


def table(rows: dict[str, Row]) -> str:
    """Markdown: parameters, what was gained beside ``uvfit`` (dB / outlines) by view, and what a frame costs."""
    views = ("source", "sides", "expressions")
    lines = [
        "| size | million parameters | steps | minutes | " + " | ".join(views) + " | splats that move | drive, ms |",
        "|---|" + "---|" * (5 + len(views)),
    ]
    for name, row in rows.items():
        v = row.validation
        gains = [  # footage from one camera has no sides
            f"{v[f'psnr_{k}'] - v[f'uvfit_psnr_{k}']:+.2f} / {v[f'iou_{k}'] - v[f'uvfit_iou_{k}']:+.3f}"
            if f"psnr_{k}" in v else "–" for k in views
        ]  # fmt: skip
        lines.append(
            f"| {name} | {row.parameters / 1e6:.2f} | {row.steps} | {row.minutes:.1f} | "
            + " | ".join(gains) + f" | {row.splats:,} | {row.drive_ms:.2f} |"
        )  # fmt: skip
    return "\n".join(lines)
