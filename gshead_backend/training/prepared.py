"""Which part of a folder a training reads: folders of prepared footage hold several."""

from __future__ import annotations

from pathlib import Path

from ..errors import ArgumentError
from .footage import SHARDS

HEADS, CROPS = "heads", "crops"
"""Folders of the samples that ``gshead dataset samples`` makes of footage."""
PAIRS = "gagavatar"
"""The network that learns from pairs of the frames themselves, which need no samples."""
_READS = {"rar": HEADS, "sega_decoders": HEADS, "sega_identity": CROPS}


def is_footage(folder: Path) -> bool:
    """Whether a folder was filled by ``gshead dataset prepare``."""
    return (folder / SHARDS).is_dir()


def material_of(folder: Path, network: str) -> Path:
    """The folder that the training of ``network`` reads: the folder itself, or the part for it of prepared footage.

    Raises ``ArgumentError`` when the samples are not made yet, none is for training, or a network cannot learn from
    footage.
    """
    if not is_footage(folder) or network == PAIRS:
        return folder
    if network not in _READS:
        raise ArgumentError(
            f"The {network} cannot learn from footage: nobody knows the truth of it.",
            remedy="Train it on synthetic people: 'gshead train data'.",
        )
    part = folder / _READS[network]
    if not part.is_dir():
        raise ArgumentError(
            f"'{folder}' holds footage, but no samples of it yet.",
            remedy=f"Make them with 'gshead dataset samples {folder}'.",
        )
    if not any((part / "train").glob("*.safetensors")):
        raise ArgumentError(
            f"All sources in '{folder}' are for validation: with few of them, chance decides so.",
            remedy="Prepare them with '--validation 0', then make the samples again.",
        )
    return part
