"""What each part of ``sega`` is good for: the same training without it, equally long, and the same measurement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from ...methods.sega.decoders import load_decoders
from ...methods.sega.tuning import Photo, tuned
from ..config import TrainConfig
from ..data import Stream, batches
from ..head_views import draw, nothing, people_of, scores
from ..heads import GROUP_OF_VIEW, GROUPS
from ..loop import train, validation_corpus
from .decoders_task import STILL, DecodersTask

TUNING = 20
"""Steps of tuning to the source view."""
VARIANTS: dict[str, dict[str, Any]] = {
    "sega": {}, "all static": {"ablate": "static"}, "all dynamic": {"ablate": "dynamic"},
    "no 2D prior": {"ablate": "prior"}, "no perceptual term": {"perceptual": 0.0},
    "no identity term": {"identity": 0.0},
}  # fmt: skip
_COLUMNS = tuple(dict.fromkeys(GROUPS[GROUP_OF_VIEW[v]] for v in STILL))

Row = dict[str, tuple[float, float]]
"""By group of views: PSNR inside both outlines (dB), intersection over union of the outlines."""


def ablations(
    config: TrainConfig, data: Path, out: Path, *, device: str = "cpu",
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> dict[str, Row]:  # fmt: skip
    """Train every variant as ``config`` says, goes on where ``out`` stands; measure each on the validation people,
    or, where there are none, on those of the training.

    Returns:
        Rows by name; "untrained" are the splats before any correction, "no tuning" the whole method without that step.
    """
    rows: dict[str, Row] = {}
    for k, (name, changes) in enumerate(VARIANTS.items()):
        own = msgspec.structs.replace(config, **changes)
        folder = out / name.replace(" ", "-")
        part = lambda fraction, text, k=k, name=name: progress((k + fraction) / len(VARIANTS), f"{name}: {text}")  # noqa: E731
        train(DecodersTask(own), own, data, folder, device=device, progress=part)
        if name == "sega":
            rows["untrained"] = measured(own, data, folder, 0, corrected=False)
            rows["no tuning"] = measured(own, data, folder, 0)
        rows[name] = measured(own, data, folder, TUNING)
    return rows


def measured(config: TrainConfig, data: Path, folder: Path, steps: int, *, corrected: bool = True) -> Row:
    """One row, of the weights in ``folder``, tuned to every person's source view in ``steps``."""
    task = DecodersTask(config)
    net = load_decoders(folder / f"{task.name}.safetensors").net
    crops, _ = validation_corpus(task, data, config.validation_samples)
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for batch in batches(Stream(crops, task.still, 0), 1, 0, len(crops), 0, pin=False):
        (person,) = people_of(batch, task.head)
        source = person.targets[0]
        trust = batch["confidence"][0].float()
        photo = Photo(source.pose, source.camera, source.color, source.matte, source.weight, trust)
        own = tuned(net, lambda n, b=batch: task.told(n, b, 0)[0], person.edited, photo, steps)
        with torch.no_grad():
            told = task.told(own, batch, 0)
            for v, target in enumerate(person.targets):
                seen = draw(person, target, told[v] if corrected else nothing(person))
                found[GROUPS[int(batch["group"][0, v])]].append(scores(seen, target))
    mean = {k: np.mean(v, axis=0) for k, v in found.items()}
    return {k: (float(m[0]), float(m[1])) for k, m in mean.items()}


def table(rows: dict[str, Row]) -> str:
    """Markdown: dB / outlines by view."""
    head = "| | " + " | ".join(_COLUMNS) + " |\n|---|" + "---|" * len(_COLUMNS)
    lines = [
        f"| {name} | " + " | ".join("{:.2f} / {:.3f}".format(*row[c]) if c in row else "–" for c in _COLUMNS) + " |"
        for name, row in rows.items()
    ]
    return "\n".join([head, *lines])
