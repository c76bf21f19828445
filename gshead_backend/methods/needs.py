"""What every method and network needs to run: file by file, where it lies, where it comes from, on whose terms.

``gshead weights`` shows and manages it. Files a user brings lie in ``weights`` in their data folder and never leave it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ArgumentError, ExportError, FileFormatError, GsheadError, MissingWeightsError
from ..files import write_atomic
from ..folders import make_private
from ..head.catalog import heads_folder, installed_heads
from ..head.file import read_meta
from ..portrait.assets import ASSETS, WHEEL, asset_path, assets_folder
from ..portrait.assets import LICENSE as ASSETS_LICENSE
from ..portrait.nets.weights import weights_folder

SHIPPED, FETCHED, BROUGHT, HEAD = "shipped", "fetched", "brought", "head"
GAGAVATAR, FLAME = "gagavatar", "flame"
FLAME_MARK = "FLAME"
OWN_LICENSE = "yours, within the terms of the footage and the head that it was trained on"
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Need:
    """One file.

    Attributes:
        name: what ``gshead weights`` calls it.
        kind: ``SHIPPED`` with the project, ``FETCHED`` by a command, ``BROUGHT`` by the user, or a ``HEAD`` the user
            imports.
        used_by: methods and parts of the project; in brackets when they work without it, but worse.
        license: SPDX name, or in words. source: where it comes from. command: what installs it.
        sha256: that it must have; None where that is recorded at installation.
    """

    name: str
    kind: str
    used_by: tuple[str, ...]
    license: str
    source: str
    command: str
    sha256: str | None = None


@dataclass(frozen=True)
class Status:
    """Whether a file is there. ``sha256`` is the recorded one; ``origin_sha256`` that of the file it was made from."""

    need: Need
    path: Path
    present: bool
    bytes: int = 0
    sha256: str | None = None
    origin_sha256: str | None = None


_NEEDS = (
    Need(
        GAGAVATAR, BROUGHT, (GAGAVATAR,),
        "MIT for the authors' code; for the weights, the terms on the authors' page",
        "GAGAvatar.pt (747 MB) from https://huggingface.co/xg-chu/GAGAvatar, linked by "
        "https://github.com/xg-chu/GAGAvatar",
        "gshead weights import gagavatar PATH/GAGAvatar.pt",
    ),
    Need(
        FLAME, HEAD, (GAGAVATAR,), "FLAME's own licence, which you accept when you register",
        "a FLAME model (.pkl) from https://flame.is.tue.mpg.de",
        "gshead head import PATH/FLAME.pkl",
    ),
    *(
        Need(
            name, SHIPPED, ("(portraits)",) if name == "parser" else ("(portraits)", "(tracking)"), "Apache-2.0",
            "comes with gshead", f"gshead train {name}",
        )
        for name in ("parser", "regressor", "lids")
    ),
    Need("rar", SHIPPED, ("(rar)",), "Apache-2.0", "comes with gshead", "gshead train rar"),
    *(
        Need(
            f"sega_{stage}", SHIPPED, ("(sega)",), "Apache-2.0", "comes with gshead",
            f"gshead train sega --stage {stage}",
        )
        for stage in ("identity", "motion", "decoders")
    ),
    *(
        Need(
            name.removesuffix(".tflite"), FETCHED, ("portraits", "tracking"), ASSETS_LICENSE, WHEEL,
            "gshead assets fetch", digest,
        )
        for name, (_, digest) in ASSETS.items()
    ),
)  # fmt: skip
NAMES = tuple(need.name for need in _NEEDS)


def brought_folder() -> Path:
    """Where files that users bring lie: ``weights`` beside their heads. It need not exist."""
    return heads_folder().with_name("weights")


def find_need(name: str) -> Need:
    """By name; raises ``ArgumentError``."""
    for need in _NEEDS:
        if need.name == name:
            return need
    raise ArgumentError(f"There are no weights '{name}'.", remedy=f"Use one of: {', '.join(NAMES)}.")


def statuses() -> list[Status]:
    """All of them; the hashes of files that users brought are the recorded ones, those files are not read."""
    return [status(need.name) for need in _NEEDS]


def status(name: str) -> Status:
    """One of them. Raises ``ArgumentError`` for an unknown name."""
    need = find_need(name)
    path = _place(need)
    if not path.is_file():
        return Status(need, path, False, sha256=need.sha256)
    size = path.stat().st_size
    if need.kind != BROUGHT:  # small enough to be read for a list
        return Status(need, path, True, size, need.sha256 or sha256_of(path))
    record = _record(path)
    if "head_sha256" in record:
        need = replace(need, license=OWN_LICENSE, source=f"your own training, driven by the head '{record['head']}'")
    return Status(need, path, True, size, record.get("sha256"), record.get("origin_sha256"))


def _place(need: Need) -> Path:
    if need.kind == FETCHED:
        return assets_folder() / f"{need.name}.tflite"
    if need.kind == SHIPPED:
        return weights_folder() / f"{need.name}{_SUFFIX}"
    if need.kind == HEAD:
        return next(iter(flame_heads().values()), heads_folder() / f"{need.name}{_SUFFIX}")
    return brought_folder() / f"{need.name}{_SUFFIX}"


def flame_heads() -> dict[str, Path]:
    """Name to file of the installed heads that were made from a FLAME model."""
    found = {}
    for name, path in installed_heads().items():
        try:
            if FLAME_MARK in str(read_meta(path).get("license", "")):
                found[name] = path
        except GsheadError:  # a damaged head is for 'gshead head list' to report
            continue
    return found


def require(name: str) -> Path:
    """The file's path. Raises ``MissingWeightsError`` that says what is missing, whence, on whose terms, and how."""
    found = status(name)
    need = found.need
    if not found.present:
        what = "A FLAME head" if need.kind == HEAD else f"The file of '{name}'"
        raise MissingWeightsError(
            f"{what} is not installed: {found.path} is missing. It is {need.source} (licence: {need.license}).",
            remedy=f"Install it with '{need.command}'.",
        )
    return found.path


def network_head() -> str | None:
    """The sha256 of the head that drives installed weights of an own training; None for published ones, which want a
    FLAME head, and where none are installed."""
    path = _place(find_need(GAGAVATAR))
    return _record(path).get("head_sha256") if path.is_file() else None


def import_weights(name: str, source: Path) -> Status:
    """Check a published checkpoint, or the parts of an own training, and keep what is needed of it; an older one of
    that name is replaced.

    Args:
        source: the published file; or a folder of parts, or their index (``gshead train gagavatar``).
    Raises:
        ArgumentError: nothing of that name is imported this way, or the parts are those of an ablation.
        FileFormatError, UnsafePickleError: see ``gagavatar.checkpoint.read_released`` and ``gagavatar.parts``.
        ExportError: the data folder cannot be written.
    """
    need = find_need(name)
    if need.kind != BROUGHT:
        raise ArgumentError(f"'{name}' is not imported from a checkpoint.", remedy=f"Use '{need.command}'.")
    from .gagavatar.parts import is_parts

    path = _place(need)
    make_private(path.parent)
    record = _import_parts(source, path) if is_parts(source) else _import_released(need, source, path)
    record = {"sha256": sha256_of(path), "origin": source.name, **record}
    write_atomic(_record_path(path), json.dumps(record, indent=1).encode())
    return status(name)


def _import_released(need: Need, source: Path, path: Path) -> dict[str, str]:
    from .gagavatar.checkpoint import read_released, save_converted

    weights = read_released(source)
    origin = sha256_of(source)
    save_converted(weights, path, {"origin": source.name, "origin_sha256": origin, "license": need.license})
    return {"origin_sha256": origin}


def _import_parts(source: Path, path: Path) -> dict[str, str]:
    from .gagavatar.checkpoint import save_converted
    from .gagavatar.parts import read_parts

    weights, index, config = read_parts(source)
    if index.ablate:
        raise ArgumentError(
            f"{source} was trained without a part of the network ('{index.ablate}'): to be compared, not to be used.",
            remedy="Import the parts of a training without 'ablate'.",
        )
    head = {"head": index.head, "head_sha256": index.head_sha256}
    about = {"origin": source.name, "origin_sha256": index.sha256, "license": OWN_LICENSE, **head}
    save_converted(weights, path, about, config)
    return {"origin_sha256": index.sha256, **head}


def verify(name: str) -> Status:
    """Read the whole file and compare it with its hash.

    Raises:
        MissingWeightsError, MissingAssetError: it is not there. FileFormatError: it is damaged or another one.
    """
    path = require(name)
    found = status(name)
    if found.need.kind == FETCHED:
        asset_path(path.name)
        return found
    if found.need.kind == HEAD:
        from ..head.file import read_head

        read_head(path)
    elif found.need.kind == SHIPPED:
        from ..portrait.nets.weights import read_weights

        read_weights(path)
    elif found.need.kind == BROUGHT:
        from .gagavatar.checkpoint import check_converted

        check_converted(path)
    digest = sha256_of(path)
    if found.sha256 not in (None, digest):
        raise FileFormatError(
            f"{path} is damaged: its sha256 is {digest}, at its import it was {found.sha256}.",
            remedy=f"Install it again: '{found.need.command}'.",
        )
    return Status(found.need, path, True, found.bytes, digest, found.origin_sha256)


def remove(name: str) -> Path:
    """Delete what the user brought. Raises ``ArgumentError`` for anything else, ``MissingWeightsError``."""
    need = find_need(name)
    if need.kind != BROUGHT:
        where = "is part of gshead" if need.kind == SHIPPED else "was not installed by 'gshead weights import'"
        raise ArgumentError(f"'{name}' {where}; it is not removed.", remedy=f"It lies in {_place(need)}.")
    path = require(name)
    try:
        path.unlink()
        _record_path(path).unlink(missing_ok=True)
    except OSError as error:
        raise ExportError(f"{path} cannot be removed: {error.strerror or error}.") from error
    return path


def sha256_of(path: Path) -> str:
    """Of a whole file, read in pieces. Raises ``FileFormatError`` when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileFormatError(f"'{path}' cannot be read: {error.strerror or error}.") from error


def _record_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _record(path: Path) -> dict[str, str]:
    """What the import wrote down; empty when that file is gone or is something else."""
    try:
        record = json.loads(_record_path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in record.items() if isinstance(v, str)} if isinstance(record, dict) else {}
