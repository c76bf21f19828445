"""The released checkpoint: read without running anything in it, checked entry by entry, kept as safetensors.

The released file is a pickle in a zip, ``{meta_cfg, model}`` with 597 float32 tensors. It is read once, by the
reader of torch that builds tensors and nothing else. What is kept is what inference needs, in a format that cannot run
anything.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...errors import FileFormatError, MissingWeightsError, UnsafePickleError
from ...files import atomic_path
from .config import RELEASED, Config, config_of
from .layout import PERCEPTUAL, unused_shapes, used_shapes
from .network import Network

MAX_BYTES = 2_000_000_000
FORMAT = "gshead-gagavatar-1"
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_REMEDY = "Get GAGAvatar.pt again from where its authors publish it; 'gshead weights list' says where."


def read_released(path: Path, config: Config = RELEASED) -> dict[str, Tensor]:
    """What inference needs of a released checkpoint, float32.

    The perceptual part is never looked at; everything else must be there by name and shape, also what is not used.

    Raises:
        FileFormatError: no such file, too large, damaged, or an entry is missing, unknown, of another shape or type, or
            not finite; the message names it.
        UnsafePickleError: the file asks for more than tensors when it is read; nothing of it has run.
    """
    model = _model(_load(path), path)
    wanted = used_shapes(config)
    _check_names(set(model), wanted.keys() | unused_shapes(config).keys(), path)
    for name, shape in {**wanted, **unused_shapes(config)}.items():
        _check_entry(name, model[name], shape, path)
    return {name: model[name].float().contiguous() for name in wanted}


def _load(path: Path) -> Any:
    if not path.is_file():
        raise FileFormatError(f"There is no file '{path}'.")
    try:
        size = path.stat().st_size
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # entries may be compressed: what counts is what they become
                size = max(size, sum(entry.file_size for entry in archive.infolist()))
        if size > MAX_BYTES:
            raise FileFormatError(f"{path} unpacks to {size} bytes; a checkpoint has at most {MAX_BYTES}.")
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileFormatError:
        raise
    except pickle.UnpicklingError as error:
        raise _unsafe(path, str(error)) from None
    except Exception as error:  # a pickle can fail in any way; all of them mean the same to the user
        text = (str(error).splitlines() or [""])[0][:200]
        raise FileFormatError(f"{path} is not a readable checkpoint: {type(error).__name__}: {text}.") from error


def _unsafe(path: Path, text: str) -> FileFormatError | UnsafePickleError:
    """torch says which name was asked for somewhere in many lines."""
    match = re.search(r"(?:GLOBAL|[Cc]lass|global)\s+'?([\w.]+\.[\w.]+)", text)
    if match is None:
        return FileFormatError(f"{path} is not a readable checkpoint: its pickle is damaged.", remedy=_REMEDY)
    return UnsafePickleError(
        f"The checkpoint {path} asks for '{match[1]}', which is not a tensor; it was not loaded.", remedy=_REMEDY
    )


def _model(content: Any, path: Path) -> dict[str, Any]:
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, Mapping) or not all(isinstance(name, str) for name in model):
        raise FileFormatError(f"{path} has no entry 'model' that holds named tensors.", remedy=_REMEDY)
    return {name: value for name, value in model.items() if not name.startswith(PERCEPTUAL)}


def _check_names(found: set[str], wanted: set[str], path: Path) -> None:
    problems = []
    if missing := sorted(wanted - found):
        problems.append(f"lacks {_some(missing)}")
    if unknown := sorted(found - wanted):
        problems.append(f"holds {_some(unknown)}, which GAGAvatar has not")
    if problems:
        raise FileFormatError(f"{path} {' and '.join(problems)}.", remedy=_REMEDY)


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"'{n[:120]}'" for n in names[:3]) + rest


def _check_entry(name: str, value: Any, shape: tuple[int, ...], path: Path) -> None:
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.dtype not in _FLOATS:
        what = f"a tensor of {value.dtype}" if isinstance(value, Tensor) else f"of type {type(value).__name__}"
        raise FileFormatError(f"{path}: '{name}' is {what}, not a tensor of float numbers.", remedy=_REMEDY)
    if tuple(value.shape) != shape:
        raise FileFormatError(f"{path}: '{name}' has shape {tuple(value.shape)}, not {shape}.", remedy=_REMEDY)
    if not bool(torch.isfinite(value).all()):
        raise FileFormatError(f"{path}: '{name}' holds numbers that are not finite.", remedy=_REMEDY)


def save_converted(
    weights: Mapping[str, Tensor], path: Path, about: Mapping[str, str], config: Config = RELEASED
) -> None:
    """Write weights as safetensors; ``about`` becomes part of the header, and sizes other than the released ones.

    Raises ``ExportError``.
    """
    sizes = {} if config == RELEASED else {"config": json.dumps(asdict(config))}
    with atomic_path(path) as temporary:
        safetensors.torch.save_file(dict(weights), temporary, {**about, **sizes, "format": FORMAT})


def read_config(path: Path) -> Config:
    """The sizes that a converted file is for, from its header alone. Raises ``FileFormatError``."""
    text = read_about(path).get("config")
    if text is None:
        return RELEASED
    try:
        return config_of(json.loads(text))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{path} describes a network that cannot be: {error}.", remedy=_REMEDY) from error


def read_about(path: Path) -> dict[str, str]:
    """What ``save_converted`` wrote about a file, from its header alone. Raises ``FileFormatError``."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > 1_000_000:
                raise FileFormatError(f"{path} is not a converted checkpoint: its header has {length} bytes.")
            about = json.loads(file.read(length)).get("__metadata__", {})
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{path} is not a converted checkpoint: {error}.") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise FileFormatError(f"{path} is not a checkpoint that 'gshead weights import' wrote.")
    return {str(k): str(v) for k, v in about.items()}


def check_converted(path: Path) -> Config:
    """The sizes of a converted file, after a look at names and shapes in its header. Raises ``FileFormatError``."""
    config = read_config(path)
    try:
        with safe_open(path, "pt") as file:
            names: Iterable[str] = file.keys()
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except (OSError, SafetensorError) as error:
        raise FileFormatError(f"{path} is damaged: {error}.") from error
    wanted = used_shapes(config)
    _check_names(set(shapes), set(wanted), path)
    for name, shape in wanted.items():
        if shapes[name] != shape:
            raise FileFormatError(f"{path}: '{name}' has shape {shapes[name]}, not {shape}.")
    return config


def load_network(path: Path, device: str = "cpu") -> Network:
    """The network with the weights of a converted file.

    Raises ``MissingWeightsError`` when there is no such file, ``FileFormatError`` when it is another or damaged.
    """
    if not path.is_file():
        raise MissingWeightsError(f"GAGAvatar's weights are not installed: there is no file {path}.", remedy=_REMEDY)
    config = check_converted(path)
    try:
        weights = safetensors.torch.load_file(path, device=device)
    except (OSError, SafetensorError) as error:
        raise FileFormatError(f"{path} is damaged: {error}.") from error
    return Network.with_weights(weights, config)
