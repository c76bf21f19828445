"""Weight files: fp16 safetensors with a JSON header that says what they belong to."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from ...errors import FileFormatError, MissingWeightsError
from ...files import write_atomic

MAX_BYTES = 16 * 1024 * 1024
FORMAT = "gshead-weights"


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """Who made a weight file, and for which code.

    Attributes:
        network: whose weights. version: of the network's architecture and inputs; code of another version cannot use
            the file. shape: arguments that the network is built with. labels: names of the outputs.
        step: training steps. seed: of the training. config: sha256 of the training configuration.
        scale: numbers that outputs are multiplied with, by name (empty when there are none).
        backbone: sha256 of the outside image backbone that it stands on; empty when there is none.
    """

    network: str
    version: int
    shape: dict[str, int]
    labels: list[str]
    step: int = 0
    seed: int = 0
    config: str = ""
    scale: dict[str, list[float]] = {}
    backbone: str = ""
    format: str = FORMAT


@dataclass(frozen=True)
class Weights:
    """header, and float32 arrays by name."""

    header: Header
    arrays: dict[str, np.ndarray]


def weights_folder() -> Path:
    """Where the weights lie: ``$GSHEAD_WEIGHTS``, else the folder that comes with the package."""
    chosen = os.environ.get("GSHEAD_WEIGHTS")
    return Path(chosen) if chosen else Path(__file__).parents[2] / "weights"


def load_weights(network: str, version: int, path: Path | None = None) -> Weights:
    """Read ``<network>.safetensors``.

    Raises:
        MissingWeightsError: there is no such file, or it was made for another version of the code.
        FileFormatError: the file is damaged or something else.
    """
    path = weights_folder() / f"{network}.safetensors" if path is None else path
    if not path.is_file():
        method, _, stage = network.partition("_")
        verb = f"{method} --stage {stage}" if stage else f"{network} --help"
        raise MissingWeightsError(
            f"The weights of the {network} are not installed: there is no file {path}.",
            remedy=f"Train them ('gshead train {verb}'), or set GSHEAD_WEIGHTS to a folder that holds them.",
        )
    if path.stat().st_size > MAX_BYTES:
        raise FileFormatError(f"{path} has {path.stat().st_size} bytes; weights have at most {MAX_BYTES}.")
    header, arrays = read_weights(path)
    if header.network != network or header.version != version:
        raise MissingWeightsError(
            f"{path} holds version {header.version} of '{header.network}'; this code needs version {version} of "
            f"'{network}'.",
            remedy="Install the weights that belong to this version of gshead.",
        )
    return Weights(header, arrays)


def read_weights(path: Path) -> tuple[Header, dict[str, np.ndarray]]:
    """A weight file of any network and version. Raises ``FileFormatError`` when it is damaged or something else."""
    data = path.read_bytes()
    try:
        arrays = safetensors.numpy.load(data)
        length = int.from_bytes(data[:8], "little")
        metadata: Any = json.loads(data[8 : 8 + length]).get("__metadata__", {})
        header = msgspec.json.decode(metadata["gshead"], type=Header)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{path} is not a weight file of gshead: {error}.") from error
    if header.format != FORMAT:
        raise FileFormatError(f"{path} has the format '{header.format}', not '{FORMAT}'.")
    for name, array in arrays.items():
        if array.dtype not in (np.float16, np.float32) or not np.isfinite(array).all():
            raise FileFormatError(f"{path}: '{name}' is not made of finite float16 or float32 numbers.")
    return header, {name: array.astype(np.float32) for name, array in arrays.items()}


def save_weights(path: Path, header: Header, arrays: dict[str, np.ndarray]) -> None:
    """Write fp16 weights in one step. Raises ``ExportError``."""
    limit = float(np.finfo(np.float16).max)
    half = {name: np.ascontiguousarray(np.clip(a, -limit, limit).astype(np.float16)) for name, a in arrays.items()}
    write_atomic(path, safetensors.numpy.save(half, {"gshead": msgspec.json.encode(header).decode()}))
