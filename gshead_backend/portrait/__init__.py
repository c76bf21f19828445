"""From a portrait's bytes to a fitted head. Importing this package loads neither OpenCV nor scipy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assets import asset_path, fetch_assets, missing_assets
    from .fit import fit_portrait
    from .image import Photo, decode_image, decode_photo
    from .types import PortraitFit, Progress, no_progress

_HOMES = {
    "PortraitFit": "types", "Progress": "types", "no_progress": "types", "Photo": "image", "decode_image": "image",
    "decode_photo": "image", "asset_path": "assets", "fetch_assets": "assets", "missing_assets": "assets",
    "fit_portrait": "fit",
}  # fmt: skip

__all__ = [
    "Photo",
    "PortraitFit",
    "Progress",
    "asset_path",
    "decode_image",
    "decode_photo",
    "fetch_assets",
    "fit_portrait",
    "missing_assets",
    "no_progress",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
