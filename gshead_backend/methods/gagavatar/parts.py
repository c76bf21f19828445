"""Self-trained weights in files small enough for any repository: parts of at most 16 MB and an index.

Every tensor is stored in half precision, cut into flat slices that fill the parts one after the other. The index tells
sizes of the network, the head that drives it, how it was trained, and of every part its bytes and SHA-256. Readers
believe nothing of it: every name, shape and hash is compared with what the network needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import safetensors.numpy
import torch
from msgspec import Meta
from safetensors import SafetensorError
from torch import Tensor

from ...errors import FileFormatError
from ...files import make_folder, write_atomic
from .checkpoint import MAX_BYTES
from .config import Config, config_of
from .layout import used_shapes

FORMAT = "gshead-gagavatar-parts-1"
INDEX = "gagavatar.index.json"
PART_BYTES = 16_000_000
SLICE = 2_000_000
"""Numbers of a slice at most."""
MOST_INDEX = 4_000_000
MOST_BLOCKS = 64
_REMEDY = "Copy the whole folder again, or train on: the next save writes it anew."
_HALF = float(np.finfo(np.float16).max)


class Part(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One file beside the index."""

    file: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,80}\.safetensors$")]
    bytes: Annotated[int, Meta(ge=1, le=PART_BYTES)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Index(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a folder of parts holds.

    Attributes:
        config: sizes, see ``config.Config``. head, head_sha256: the head model that drives the network.
        ablate: what was left out on purpose; such a network is for comparisons and is not installed.
        step, seed, training: how far, from which seed and configuration (its sha256) it was trained.
        sha256: of all tensors, name by name. parts: the files.
    """

    config: dict[str, Any]
    head: str
    head_sha256: str
    ablate: str = ""
    step: int = 0
    seed: int = 0
    training: str = ""
    sha256: str
    parts: Annotated[list[Part], Meta(min_length=1, max_length=1000)]
    format: str = FORMAT


_index = msgspec.json.Decoder(Index)


def write_parts(weights: Mapping[str, Tensor], folder: Path, index: Index) -> Path:
    """Write half-precision parts, then the index, which names them; older parts go last. Returns the index's path.

    Args:
        weights: all that the network needs. index: its ``parts`` and ``sha256`` are filled in here.
    Raises:
        ExportError: the folder cannot be written.
    """
    make_folder(folder)
    digest, parts = hashlib.sha256(), []
    for number, arrays in enumerate(_packed(_slices(weights, digest))):
        data = safetensors.numpy.save(arrays)
        name = f"gagavatar-{index.step:07d}-{number:03d}.safetensors"
        write_atomic(folder / name, data)
        parts.append(Part(name, len(data), hashlib.sha256(data).hexdigest()))
    index = msgspec.structs.replace(index, parts=parts, sha256=digest.hexdigest())
    path = folder / INDEX
    write_atomic(path, msgspec.json.format(msgspec.json.encode(index), indent=1))
    kept = {part.file for part in parts}
    for old in folder.glob("gagavatar-*.safetensors"):
        if old.name not in kept:
            old.unlink(missing_ok=True)
    return path


def _slices(weights: Mapping[str, Tensor], digest: Any) -> Iterator[tuple[str, np.ndarray]]:
    for name in sorted(weights):
        half = weights[name].detach().float().clamp(-_HALF, _HALF).half().cpu().contiguous().numpy()
        _tell(digest, name, half)
        flat = half.reshape(-1)
        for k in range(0, flat.size, SLICE):
            yield f"{name}:{k // SLICE}", flat[k : k + SLICE]


def _tell(digest: Any, name: str, half: np.ndarray) -> None:
    digest.update(f"{name} {half.shape}\0".encode())
    digest.update(half.tobytes())


def _packed(slices: Iterator[tuple[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """Groups of slices that fit into a part, its header included."""
    room, part = PART_BYTES, {}
    for key, array in slices:
        takes = array.nbytes + len(key) + 120
        if part and takes > room - 1000:
            yield part
            room, part = PART_BYTES, {}
        part[key] = array
        room -= takes
    yield part


def is_parts(path: Path) -> bool:
    """Whether a path is a folder of parts or an index."""
    return path.is_dir() or path.suffix == ".json"


def read_index(path: Path) -> tuple[Index, Config]:
    """The index of a folder (or by its own path) and the network's sizes. Raises ``FileFormatError``."""
    path = path / INDEX if path.is_dir() else path
    try:
        with path.open("rb") as file:
            data = file.read(MOST_INDEX + 1)
        if len(data) > MOST_INDEX:
            raise ValueError(f"it is longer than {MOST_INDEX} bytes")
        index = _index.decode(data)
        if index.format != FORMAT:
            raise ValueError(f"its format is '{index.format[:40]}'")
        config = config_of(index.config)
        if config.depth > MOST_BLOCKS:
            raise ValueError(f"it says {config.depth} blocks, the most are {MOST_BLOCKS}")
        files = [part.file for part in index.parts]
        if len(set(files)) < len(files) or sum(part.bytes for part in index.parts) > MAX_BYTES:
            raise ValueError("its parts are named twice, or are too large together")
    except (
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:  # msgspec's errors are ValueErrors
        raise FileFormatError(f"{path} is not an index of GAGAvatar's parts: {error}.", remedy=_REMEDY) from error
    return index, config


def read_parts(path: Path) -> tuple[dict[str, Tensor], Index, Config]:
    """Join a folder's parts: float32 tensors by name, the index, the sizes.

    Raises:
        FileFormatError: a part is missing or damaged, or an entry is missing, unknown, of another size or not finite;
            the message names it.
    """
    index, config = read_index(path)
    folder = path if path.is_dir() else path.parent
    shapes = used_shapes(config)
    lengths = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    flat: dict[str, np.ndarray] = {}
    for part in index.parts:
        for key, array in _read_part(folder / part.file, part).items():
            name, _, number = key.rpartition(":")
            size = lengths.get(name, 0)
            start = SLICE * int(number) if number.isdecimal() and len(number) < 6 else size
            if start >= size or array.dtype != np.float16 or array.shape != (min(SLICE, size - start),):
                raise FileFormatError(
                    f"{folder / part.file}: '{key[:120]}' is {array.dtype} {array.shape}, which GAGAvatar has not.",
                    remedy=_REMEDY,
                )
            if not np.isfinite(array).all():
                raise FileFormatError(
                    f"{folder / part.file}: '{key}' holds numbers that are not finite.", remedy=_REMEDY
                )
            whole = flat.setdefault(name, np.full(size, np.nan, np.float16))
            whole[start : start + array.size] = array
    digest = hashlib.sha256()
    for name in sorted(shapes):
        if name not in flat or np.isnan(flat[name]).any():
            raise FileFormatError(f"The parts in {folder} lack '{name}', or a piece of it.", remedy=_REMEDY)
        _tell(digest, name, flat[name].reshape(shapes[name]))
    if digest.hexdigest() != index.sha256:
        raise FileFormatError(
            f"The joined parts in {folder} have another sha256 than their index says.", remedy=_REMEDY
        )
    weights = {name: torch.from_numpy(flat[name].astype(np.float32)).reshape(shape) for name, shape in shapes.items()}
    return weights, index, config


def _read_part(path: Path, part: Part) -> dict[str, np.ndarray]:
    try:
        if path.stat().st_size != part.bytes:
            raise FileFormatError(
                f"{path} has {path.stat().st_size} bytes, its index says {part.bytes}.", remedy=_REMEDY
            )
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"The part {path} cannot be read: {error.strerror or error}.", remedy=_REMEDY) from error
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise FileFormatError(f"{path} is damaged: its sha256 is not that of its index.", remedy=_REMEDY)
    try:
        return safetensors.numpy.load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path} is not a safetensors file: {error}.", remedy=_REMEDY) from error


def new_index(config: Config, head: str, head_sha256: str, **told: Any) -> Index:
    """An index without parts, for ``write_parts``."""
    sizes = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}
    return Index(config=sizes, head=head, head_sha256=head_sha256, sha256="", parts=[], **told)
