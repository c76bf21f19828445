"""Model cards: what a weight file is, written beside it by the training that made it."""

from __future__ import annotations

import json
import math
import os
import platform
from pathlib import Path
from typing import Any

import msgspec
import torch

from ..files import write_atomic
from ..methods.gagavatar.layout import used_shapes
from ..methods.gagavatar.parts import read_index
from ..methods.needs import OWN_LICENSE
from ..portrait.nets.weights import load_weights
from .config import TrainConfig
from .loop import LOG, Outcome

_ABOUT = {
    "parser": "Tells what every pixel of a head crop shows (12 classes) and how much of it is this person. It stands "
    "on feature maps of MediaPipe's selfie segmentation (Apache-2.0), which are not trained further.",
    "regressor": "Reads 52 ARKit weights, gaze, head pose and light from a face, with uncertainties. It stands on "
    "features of MediaPipe's face landmark, iris and Attention Mesh networks (Apache-2.0), which are not trained "
    "further.",
    "lids": "Says which eyes are shut, from a small grey picture of both; blinks are read by it and the regressor.",
    "sega_identity": "Says who is to be seen: a VQ-VAE of head crops on grey, whose latents method sega's decoders "
    "start from. Its perceptual loss uses the portrait parser's first levels.",
    "sega_motion": "Says what a head's expression is: a VAE of the deformation of the head's surface in UV space. The "
    "mean of its code is what method sega's dynamic decoder starts from.",
    "sega_decoders": "Corrects the splats that uvfit places on a portrait's head: a static decoder for the whole head, "
    "a dynamic one for the face under an expression. Made for one sega_identity and one sega_motion.",
    "gagavatar": "Paints a head: GAGAvatar's network (Chu and Harada, NeurIPS 2024) in its released layout, from one "
    "photograph and a driven head. Its perceptual loss uses the portrait parser's first levels.",
    "rar": "Reads one fitted portrait (the head crop, and what it shows on the head's UV map) and corrects the splats "
    "that uvfit places: shape, above all of hair, colours of what the photo hides, how they change with the face; also "
    "it tells the light as spherical harmonics. The avatar is fitted to the photo afterwards.",
}
_SYNTHETIC = "Trained on rendered synthetic people only"
_LIMITS = (
    f"{_SYNTHETIC} (what MediaPipe's networks were trained on, their own cards tell). It "
    "reads one upright face per picture, turned at most about 60 degrees. Its classes and angles are estimates for "
    "building avatars, not a means to identify or to judge anybody."
)
_AVATAR_LIMITS = (
    f"{_SYNTHETIC}, drawn by the project's own generator. What it tells of places that a photo does not show is a "
    "guess. It builds avatars, and is not a means to identify or to judge anybody."
)
_SAMPLES = {
    "parser": "crops", "regressor": "crops", "lids": "crops", "sega_identity": "crops", "sega_motion": "deformed heads",
}  # fmt: skip
"""What a training's samples are, where they are not whole people."""
_PAINTER_LIMITS = (
    "It knows no more people, light and expressions than its footage shows. Driven by one head model alone. It paints "
    "heads of people, and is not a means to identify or to judge anybody."
)


_FOOTAGE = (
    "Trained on footage of people beside or instead of synthetic ones, see the table: what it was allowed for, whoever "
    "trained it knows"
)


def _data(network: str, outcome: Outcome) -> str:
    what = f"{_SAMPLES[network]} of synthetic people" if network in _SAMPLES else "synthetic people"
    made = "{} {what}, seeds {} to {}".format(*outcome.seeds, what=what) if outcome.seeds[0] else ""
    real = f"{outcome.footage} samples of the trainer's own footage" if outcome.footage else ""
    return "; ".join(part for part in (made, real) if part)


def _others(network: str, outcome: Outcome) -> str:
    whose = "other synthetic people" if outcome.seeds[0] else "other people in that footage"
    return f"{_SAMPLES[network]} of {whose}" if network in _SAMPLES else whose


def _limits(network: str, outcome: Outcome) -> str:
    limits = _LIMITS if network in ("parser", "regressor", "lids") else _AVATAR_LIMITS
    return limits.replace(_SYNTHETIC, _FOOTAGE) if outcome.footage else limits


def write_card(out: Path, config: TrainConfig, outcome: Outcome, version: int, device: str, command: str) -> Path:
    """Write ``<network>.md``; returns its path."""
    own = config.network == "gagavatar"
    if own:
        index, sizes = read_index(out / "parts")
        count = sum(math.prod(shape) for shape in used_shapes(sizes).values())
        data = f"{outcome.footage} frames of footage, driven by the head '{index.head}'"
        seen, limits = "frames of other people in that footage", _PAINTER_LIMITS
    else:
        weights = load_weights(config.network, version, out / f"{config.network}.safetensors")
        count = sum(a.size for a in weights.arrays.values())
        data, seen, limits = (say(config.network, outcome) for say in (_data, _others, _limits))
    rows = [
        ("architecture", f"version {version}, {_json(dict(config.shape))}, {count / 1e6:.2f} M parameters, fp16"),
        ("licence", OWN_LICENSE if own else "Apache-2.0, as the code"),
        ("training data", data),
        ("steps", f"{outcome.step} of {config.batch} samples = {outcome.step * config.batch} samples"),
        ("time", f"{outcome.seconds / 60:.1f} minutes, {outcome.samples_per_second:.0f} samples/s"),
        ("hardware", f"{_hardware(device)}; torch {torch.__version__}"),
        ("seed", str(config.seed)),
        ("configuration", f"`{_json(msgspec.to_builtins(config))}`, sha256 {config.sha256()[:16]}"),
        ("command", f"`{command}`"),
    ]
    table = "\n".join(f"| {k} | {v} |" for k, v in rows)
    text = (
        f"# {config.network}\n\n{_ABOUT[config.network]}\n\n| | |\n|---|---|\n{table}\n\n"
        f"## Validation\n\n{outcome.metrics.get('samples')} {seen} "
        f"(split '{outcome.metrics.get('split')}'), averaged weights:\n\n{_metrics(outcome.metrics)}\n"
        f"{_history(out / LOG)}\n## Limits\n\n{limits}\n"
    )
    path = out / f"{config.network}.md"
    write_atomic(path, text.encode())
    return path


def _json(value: Any) -> str:
    return json.dumps(value, separators=(", ", ": "))


def _metrics(metrics: dict[str, Any]) -> str:
    single = {k: v for k, v in metrics.items() if isinstance(v, float)}
    lines = ["| measure | value |", "|---|---|", *(f"| {k} | {v:.4g} |" for k, v in single.items())]
    for key, values in metrics.items():
        if isinstance(values, dict):
            lines.append(f"| {key} | {', '.join(f'{k} {v:.3g}' for k, v in values.items())} |")
    return "\n".join(lines) + "\n"


def _history(log: Path) -> str:
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    scores = [(line["step"], line["validation"]["score"]) for line in lines if "validation" in line]
    if len(scores) < 2:
        return ""
    kept = scores[:: max(1, len(scores) // 12)]
    return "\nScore by step: " + ", ".join(f"{step}: {score:.3f}" for step, score in kept) + ".\n"


def _hardware(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(torch.device(device))
    return f"{torch.get_num_threads()} of {os.cpu_count()} CPU cores ({platform.machine()})"
