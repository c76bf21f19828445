"""Whether the eyes are shut, seen in their pixels: landmark networks, used to open eyes, do not always tell."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ...head.arkit import ARKIT_INDEX
from .weights import load_weights, weights_folder

if TYPE_CHECKING:
    from .lids_net import LidsNet

NAME = "lids"
BLINKS = (ARKIT_INDEX["eyeBlinkRight"], ARKIT_INDEX["eyeBlinkLeft"])
"""In the order of the network's outputs."""
BELIEVED = 0.6
"""Share of what the pixels say in eyeBlink: they know better whether an eye is shut, the regressor how far
(benchmarks/RESULTS.md)."""
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601


def with_lids(arkit: np.ndarray, window: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """ARKit weights (52,) as the regressor reads them, with what the lids' network says of both blinks; as they are
    where it is not installed.

    Args:
        window, landmarks: from ``face_inputs.face_window``.
    Raises:
        FileFormatError: the network's file is damaged.
    """
    path = weights_folder() / f"{NAME}.safetensors"
    if not path.is_file():
        return arkit
    import torch

    from .lids_net import blink_of

    net = _load(str(path), path.stat().st_mtime_ns)
    with torch.inference_mode():
        read = blink_of(net(torch.from_numpy(grey(eye_pictures(window, landmarks)))[None]))[0].numpy()
    out = arkit.copy()
    out[list(BLINKS)] = (1 - BELIEVED) * arkit[list(BLINKS)] + BELIEVED * read
    return out


def eye_pictures(window: np.ndarray, landmarks: np.ndarray, jitter: np.ndarray | None = None) -> np.ndarray:
    """(2, HEIGHT, WIDTH, 3) uint8 as the window: the right eye and the mirrored left one.

    Args:
        window, landmarks: from ``face_inputs.face_window``. jitter: as ``face_inputs.eye_crop``.
    """
    from .face_inputs import LEFT_EYE, RIGHT_EYE, eye_crop
    from .lids_net import HEIGHT, WIDTH

    crops = np.stack([eye_crop(window, landmarks[:, :2], corners, jitter) for corners in (RIGHT_EYE, LEFT_EYE)])
    top, left = (crops.shape[1] - HEIGHT) // 2, (crops.shape[2] - WIDTH) // 2
    return crops[:, top : top + HEIGHT, left : left + WIDTH]


def grey(pictures: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 to float32 0..1."""
    return (pictures @ np.array(GREY) / 255).astype(np.float32)


@lru_cache(maxsize=2)
def _load(path: str, stamp: int) -> LidsNet:
    from .build import build
    from .lids_net import VERSION, LidsNet

    return cast("LidsNet", build(LidsNet, load_weights(NAME, VERSION, Path(path))))
