"""Training configurations: presets by name, or JSON/TOML files; a key that nobody knows is an error."""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ..errors import ArgumentError, FileFormatError

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=100_000_000)]
Positive = Annotated[float, Meta(gt=0, le=1e6)]


class Augment(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How training pictures are changed. Shares are probabilities; the others are standard deviations or limits.

    Attributes:
        flip: mirrored left to right. paste: put in front of another training picture, with the people in it.
        shade: a shadow cast over a part of the picture.
        turn: degrees. zoom: relative. shift: of the picture's side. light: exposure, white balance, gamma.
        grey, blur, noise, jpeg, small: colours removed, softened, noise, compressed, shrunk and enlarged again.
        cover: a patch over the picture. blind: the person network's answer is withheld. points: landmark noise in
            face heights.
    """

    flip: Share = 0.5
    paste: Share = 0.25
    turn: Annotated[float, Meta(ge=0, le=90)] = 8.0
    zoom: Share = 0.1
    shift: Share = 0.04
    light: Share = 0.16
    shade: Share = 0.3
    grey: Share = 0.1
    blur: Share = 0.15
    noise: Share = 0.3
    jpeg: Share = 0.25
    small: Share = 0.15
    cover: Share = 0.08
    blind: Share = 0.15
    points: Share = 0.004

    @classmethod
    def none(cls) -> Augment:
        return cls(**dict.fromkeys(cls.__struct_fields__, 0.0))


class HeadTraining(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How a learned head is trained.

    Attributes:
        views: pictures of a person a step. pixels: of their side; fewer show the large things first.
        structure: weight of 1 - SSIM. backbone: a vision transformer's .safetensors file in DINOv2's layout that reads
            the photo instead of a transformer trained here; frozen.
    """

    views: Annotated[int, Meta(ge=1, le=8)] = 3
    pixels: Annotated[int, Meta(ge=32, le=192)] = 192
    structure: Annotated[float, Meta(ge=0, le=10)] = 0.2
    backbone: str = ""


class ReenactTraining(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How ``gagavatar`` is trained; the defaults are its paper's.

    Attributes:
        face: weight of the face box's L1. lifting: weight of the lifting loss, units² (five units to a metre).
        momentum: Adam's first beta. noise: fresh noise in the decoder at every step, as the public code; else the
            stored noise.
        backbone: a DINOv2 .safetensors file that the encoder starts from; empty: from scratch. freeze: it stays as it
            is.
    """

    face: Annotated[float, Meta(ge=0, le=100)] = 1.0
    lifting: Annotated[float, Meta(ge=0, le=1000)] = 10.0
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    noise: bool = True
    backbone: str = ""
    freeze: bool = True


class TrainConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One training.

    Attributes:
        network: what is trained. shape: arguments of its class. seed: of initial weights, order and augmentation.
        batch: samples a step. steps: at most so many. minutes: when above 0, the learning rate falls with the time
            used instead of with the steps, and training ends after so long, all pieces together.
        lr: peak learning rate of AdamW. warmup: steps in which it rises, at the start and after a warm start.
        decay: weight decay. clip: of the gradient's norm. ema: decay of the averaged weights a step.
        cells: share of the pixels that a step of the parser looks at, half of it where classes meet.
        perceptual: weight of the loss on frozen features, where a network has one; 0 leaves it out.
        identity: the same for features of the identity network. ablate: a part of ``sega`` to leave out: "static",
            all texels static; "dynamic", all dynamic; "prior", no identity network; "tuning", no tuning to
            the photo; or of ``gagavatar``: "renderer", no neural renderer; "plane", one lifted plane; "lifting", no
            lifting loss.
        only: the part of a network that alone is trained, the rest stays as ``--resume`` brought it; "" for all.
        copies: each sample is changed at random so often and what the network is shown of it kept in memory (a tenth of
            a megabyte); 0 = changed anew at every step.
        restyle: share of the samples whose feature maps take on another one's style and have channels made stronger or
            weaker. The last three of ``regressor`` only.
        amp: bfloat16 on CUDA. workers: processes that prepare batches, 0 = none.
        validate_every: steps. validation_samples: at most so many. heads: of learned heads only.
        reenact: of ``gagavatar`` only.
        footage: share of the samples that are of a user's own footage, where both are given.
    """

    network: Literal[
        "parser", "regressor", "lids", "rar", "sega_identity", "sega_motion", "sega_decoders", "gagavatar"
    ]  # fmt: skip
    shape: dict[str, Count]
    seed: Annotated[int, Meta(ge=0)] = 0
    batch: Count = 16
    steps: Count = 4000
    minutes: Annotated[float, Meta(ge=0, le=10_000)] = 0.0
    lr: Positive = 1.5e-3
    warmup: Count = 100
    decay: Annotated[float, Meta(ge=0, le=1)] = 0.02
    clip: Positive = 1.0
    ema: Share = 0.998
    cells: Annotated[float, Meta(gt=0, le=1)] = 1.0
    perceptual: Annotated[float, Meta(ge=0, le=100)] = 0.0
    identity: Annotated[float, Meta(ge=0, le=100)] = 0.0
    ablate: Literal["", "static", "dynamic", "prior", "tuning", "renderer", "plane", "lifting"] = ""
    only: str = ""
    copies: Annotated[int, Meta(ge=0, le=100)] = 0
    restyle: Share = 0.0
    amp: bool = True
    workers: Annotated[int, Meta(ge=0, le=64)] = 0
    validate_every: Count = 500
    validation_samples: Count = 256
    augment: Augment = Augment()
    heads: HeadTraining | None = None
    reenact: ReenactTraining | None = None
    footage: Share = 0.3

    def sha256(self) -> str:
        """Of everything that shapes the result but what it learns from, so not of how long or with how many processes
        it is computed."""
        kept = {k: v for k, v in msgspec.to_builtins(self).items() if k not in _TECHNICAL and v is not None}
        for key in _LATER:  # trainings that began before these keys existed go on
            if not kept[key]:
                del kept[key]
        if "heads" in kept:  # what is not used changes nothing
            kept["heads"] = {k: v for k, v in kept["heads"].items() if v != ""}
        return hashlib.sha256(msgspec.json.encode(kept, order="deterministic")).hexdigest()


_LATER = ("perceptual", "identity", "ablate", "only", "copies", "restyle")
_TECHNICAL = ("steps", "minutes", "workers", "validate_every", "validation_samples", "amp", "footage")

PRESETS: dict[str, dict[str, Any]] = {
    "parser-cpu": {
        "network": "parser", "shape": {"w0": 16, "w1": 24, "w2": 48, "w3": 96, "w4": 128},
        "batch": 12, "steps": 20_000, "minutes": 45, "lr": 2e-3, "ema": 0.998, "cells": 0.2, "validate_every": 400,
        "validation_samples": 160,
    },
    "parser-gpu": {
        "network": "parser", "shape": {"w0": 24, "w1": 32, "w2": 56, "w3": 112, "w4": 104},
        "batch": 64, "steps": 30_000, "lr": 2e-3, "warmup": 500, "ema": 0.9995, "workers": 14, "validate_every": 2000,
        "validation_samples": 1024,
    },
    "regressor-cpu": {
        "network": "regressor", "shape": {"face": 64, "eye": 32, "hidden": 256, "region": 32},
        "restyle": 0.7, "batch": 48, "steps": 20_000, "minutes": 30, "lr": 1.2e-3, "decay": 0.15, "ema": 0.997,
        "validate_every": 400, "validation_samples": 320,
        "augment": {"cover": 0.1, "turn": 4.0, "zoom": 0.06, "shift": 0.02},
    },
    "regressor-closer-cpu": {
        "network": "regressor", "shape": {"face": 64, "eye": 32, "hidden": 256, "region": 32}, "only": "closer",
        "copies": 3, "restyle": 0.7, "batch": 48, "steps": 4000, "lr": 1.5e-3, "decay": 0.3, "ema": 0.997,
        "validate_every": 1000, "validation_samples": 480,
        "augment": {"cover": 0.1, "turn": 4.0, "zoom": 0.06, "shift": 0.02},
    },
    "regressor-gpu": {
        "network": "regressor", "shape": {"face": 64, "eye": 32, "hidden": 256, "region": 32},
        "restyle": 0.7, "batch": 128, "steps": 30_000, "lr": 1.5e-3, "warmup": 500, "ema": 0.9995, "workers": 14,
        "validate_every": 2000, "validation_samples": 2048,
        "augment": {"cover": 0.1, "turn": 4.0, "zoom": 0.06, "shift": 0.02},
    },
    "lids-cpu": {
        "network": "lids", "shape": {"width": 12, "features": 48, "hidden": 32},
        "batch": 32, "steps": 10_000, "lr": 2e-3, "decay": 0.05, "ema": 0.995, "validate_every": 1000,
        "validation_samples": 1472, "augment": {"turn": 14, "points": 0.02, "light": 0.22, "small": 0.0},
    },
    "lids-gpu": {
        "network": "lids", "shape": {"width": 12, "features": 48, "hidden": 32},
        "batch": 128, "steps": 10_000, "lr": 3e-3, "warmup": 200, "decay": 0.05, "ema": 0.998, "workers": 14,
        "validate_every": 1000, "validation_samples": 2048,
        "augment": {"turn": 14, "points": 0.02, "light": 0.22, "small": 0.0},
    },
    "sega-identity-cpu": {
        "network": "sega_identity", "shape": {"w0": 32, "w1": 80, "w2": 128, "dim": 32, "codes": 512},
        "batch": 8, "steps": 40_000, "minutes": 35, "lr": 1.5e-3, "decay": 0.0, "ema": 0.998, "validate_every": 500,
        "validation_samples": 128, "perceptual": 0.04,
        "augment": {"turn": 5, "zoom": 0.08, "paste": 0, "grey": 0, "blur": 0, "noise": 0, "jpeg": 0, "small": 0},
    },
    "sega-motion-cpu": {
        "network": "sega_motion", "shape": {"size": 128, "w0": 24, "w1": 48, "w2": 64, "latent": 32},
        "batch": 16, "steps": 20_000, "minutes": 8, "lr": 2e-3, "decay": 0.0, "ema": 0.997, "validate_every": 400,
        "validation_samples": 256,
    },
    "sega-decoders-cpu": {
        "network": "sega_decoders", "shape": {"inputs": 21, "facts": 33, "dim": 32, "latent": 32, "code": 64},
        "batch": 2, "steps": 20_000, "minutes": 30, "lr": 1e-3, "decay": 0.0, "ema": 0.99, "warmup": 30,
        "validate_every": 200, "validation_samples": 12, "perceptual": 0.03, "identity": 0.05,
        "heads": {"views": 2, "pixels": 128, "structure": 0.1},
    },
    "rar-cpu": {
        "network": "rar", "shape": {"width": 16, "dim": 96, "depth": 2, "heads": 4, "codes": 12},
        "batch": 2, "steps": 60_000, "minutes": 60, "lr": 2e-3, "decay": 0.01, "ema": 0.99, "validate_every": 400,
        "validation_samples": 16, "heads": {"views": 2, "pixels": 128, "structure": 0.1},
    },
    "rar-cpu-fine": {
        "network": "rar", "shape": {"width": 16, "dim": 96, "depth": 2, "heads": 4, "codes": 12},
        "batch": 2, "steps": 60_000, "minutes": 60, "lr": 8e-4, "decay": 0.01, "ema": 0.995, "validate_every": 400,
        "validation_samples": 16, "heads": {"views": 2, "pixels": 192, "structure": 0.2},
    },
    "sega-identity-gpu": {
        "network": "sega_identity", "shape": {"w0": 32, "w1": 80, "w2": 128, "dim": 32, "codes": 512},
        "batch": 48, "steps": 20_000, "lr": 2e-3, "warmup": 500, "decay": 0.0, "ema": 0.9995, "workers": 14,
        "validate_every": 2000, "validation_samples": 512, "perceptual": 0.04,
        "augment": {"turn": 5, "zoom": 0.08, "paste": 0, "grey": 0, "blur": 0, "noise": 0, "jpeg": 0, "small": 0},
    },
    "sega-motion-gpu": {
        "network": "sega_motion", "shape": {"size": 128, "w0": 24, "w1": 48, "w2": 64, "latent": 32},
        "batch": 64, "steps": 10_000, "lr": 2e-3, "warmup": 300, "decay": 0.0, "ema": 0.999, "workers": 14,
        "validate_every": 1000, "validation_samples": 512,
    },
    "sega-decoders-gpu": {
        "network": "sega_decoders", "shape": {"inputs": 21, "facts": 33, "dim": 32, "latent": 32, "code": 64},
        "batch": 8, "steps": 30_000, "lr": 1e-3, "warmup": 300, "decay": 0.0, "ema": 0.999, "workers": 14,
        "validate_every": 2000, "validation_samples": 64, "perceptual": 0.03, "identity": 0.05,
        "heads": {"views": 3, "pixels": 192, "structure": 0.2},
    },
    "rar-gpu": {
        "network": "rar", "shape": {"width": 24, "dim": 192, "depth": 4, "heads": 6, "codes": 12},
        "batch": 8, "steps": 40_000, "lr": 1e-3, "decay": 0.01, "ema": 0.999, "workers": 8, "validate_every": 2000,
        "validation_samples": 64, "heads": {"views": 3, "pixels": 192, "structure": 0.2},
    },
    "gagavatar-cpu": {
        "network": "gagavatar",
        "shape": {"image": 112, "width": 96, "depth": 6, "heads": 4, "level0": 24, "level1": 48, "level2": 96,
                  "level3": 96, "fused": 48, "embedding": 32, "features": 16, "lift_hidden": 32, "point_hidden": 32,
                  "size": 128, "style": 64, "unet_most": 48, "unet_total": 2048},
        "batch": 4, "steps": 200_000, "minutes": 60, "lr": 5e-4, "decay": 0.0, "ema": 0.995, "warmup": 50,
        "validate_every": 500, "validation_samples": 32, "perceptual": 0.01, "reenact": {},
    },
    "gagavatar-gpu": {
        "network": "gagavatar", "shape": {}, "batch": 8, "steps": 200_000, "lr": 1e-4, "decay": 0.0, "ema": 0.9995,
        "warmup": 500, "workers": 12, "validate_every": 4000, "validation_samples": 64, "perceptual": 0.01,
        "reenact": {},
    },
}  # fmt: skip
"""The ``-gpu`` presets are wider and see more; the ``-cpu`` ones reach something useful in under an hour on a core."""


def load_config(name: str, network: str | None = None) -> TrainConfig:
    """A preset's name or a ``.json``/``.toml`` file to a configuration.

    A file may name a preset as ``"base"`` and change some of its keys.

    Raises:
        ArgumentError: no such preset, an unknown key or a value outside its range; or it trains another network.
        FileFormatError: the file cannot be read.
    """
    path = Path(name)
    if path.suffix in (".json", ".toml"):
        values = _read(path)
        base = values.pop("base", None)
        values = {**_preset(str(base)), **values} if base is not None else values
    else:
        values = _preset(name)
    try:
        config = msgspec.convert(values, TrainConfig)
    except msgspec.ValidationError as error:
        raise ArgumentError(
            f"The configuration '{name}' is wrong: {error}.", remedy="docs/training.md lists the keys."
        ) from error
    if network is not None and config.network != network:
        raise ArgumentError(f"The configuration '{name}' trains the {config.network}, not the {network}.")
    return config


def _preset(name: str) -> dict[str, Any]:
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, 1)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        raise ArgumentError(
            f"There is no training preset '{name}'.", remedy=f"{hint}Presets: {', '.join(PRESETS)}; or give a file."
        )
    return dict(PRESETS[name])


def _read(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
        decoder = msgspec.toml.decode if path.suffix == ".toml" else msgspec.json.decode
        return decoder(data, type=dict[str, Any])
    except OSError as error:
        raise FileFormatError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    except msgspec.DecodeError as error:
        raise FileFormatError(f"'{path}' is not a {path.suffix[1:].upper()} object: {error}.") from error
