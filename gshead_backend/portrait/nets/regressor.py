"""What a face does in a photo: expression, gaze, head pose and the light on it, each with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ...errors import ArgumentError
from .weights import load_weights, weights_folder

if TYPE_CHECKING:
    from .face_inputs import FaceInput
    from .regressor_net import RegressorNet

NAME = "regressor"


@dataclass(frozen=True)
class FaceReading:
    """Angles in radians; ``*_sd`` are standard deviations of the same shape.

    Attributes:
        arkit: (52,) 0..1; where nothing moves rather too strong (training rewards reading too much over too little), so
            a fit takes them ``beliefs.toned``.
        gaze: (2, 2) rows left and right eye, columns yaw (toward the person's left) and pitch (up), in head space.
        head: (3,) yaw, pitch, roll as ``angles.head_angles``.
        light: (9, 3) spherical harmonics of linear radiance in head space.
    """

    arkit: np.ndarray
    arkit_sd: np.ndarray
    gaze: np.ndarray
    gaze_sd: np.ndarray
    head: np.ndarray
    head_sd: np.ndarray
    light: np.ndarray


def read_face(image: np.ndarray, landmarks: np.ndarray, K: np.ndarray | None = None) -> FaceReading:
    """Read the face of a photo or of a head crop.

    Args:
        image: (H, W, 3) uint8 sRGB. landmarks: (478, 3) pixels in it and their depth, as ``Landmarks.solid``.
        K: (3, 3) intrinsics of the image. With them ``head`` is in the frame of the camera, as ``angles.head_angles``
            of its viewmat; without, as if the camera looked straight at the face.
    Raises:
        MissingWeightsError: the regressor's weights are not installed. MissingAssetError: the landmark networks are
            not. ArgumentError: wrong shapes.
    """
    if image.ndim != 3 or image.dtype != np.uint8 or landmarks.shape != (478, 3):
        raise ArgumentError(
            f"The regressor takes a uint8 picture and 478 landmarks with depth, not {image.dtype} {image.shape} and "
            f"{landmarks.shape}."
        )
    from .face_inputs import face_window, regressor_input  # OpenCV comes with it; the types of this module do without
    from .lids import with_lids

    net, scale = load_regressor()
    window, local, roll = face_window(image, landmarks)
    out = run_regressor(net, regressor_input(window, local, roll))
    out["arkit"] = with_lids(out["arkit"], window, local)
    return finish(out, scale, roll, landmarks[:, :2], K)


def run_regressor(net: RegressorNet, seen: FaceInput) -> dict[str, np.ndarray]:
    """One forward pass; the outputs of ``regressor_net.split`` without the batch."""
    import torch

    from .regressor_net import split

    with torch.inference_mode():
        raw = net(*(torch.from_numpy(a)[None] for a in seen.arrays().values()))
        return {name: value[0].float().numpy() for name, value in split(raw).items()}


def finish(
    out: dict[str, np.ndarray], scale: np.ndarray, roll: float, landmarks: np.ndarray, K: np.ndarray | None
) -> FaceReading:
    """Network outputs to a reading; ``scale`` (9, 3) is the light's unit."""
    from ..angles import head_angles, rotation_of, toward_ray

    head = out["head"].astype(np.float64) + np.array([0, 0, roll])
    if K is not None:
        R = toward_ray(face_ray(landmarks, K)).T @ rotation_of(head)
        head = np.array(head_angles(R))
    sd = np.exp(out["log_sd"])
    return FaceReading(
        out["arkit"], sd[:52], out["gaze"], sd[52:56].reshape(2, 2), head.astype(np.float32), sd[56:59],
        out["light"] * scale,
    )  # fmt: skip


def face_ray(landmarks: np.ndarray, K: np.ndarray) -> np.ndarray:
    """(3,) direction in camera space in which the middle of the face is seen."""
    x, y = (landmarks[:468].min(0) + landmarks[:468].max(0)) / 2
    return np.linalg.solve(K, np.array([x, y, 1.0]))


def load_regressor(path: Path | None = None) -> tuple[RegressorNet, np.ndarray]:
    """The network with its weights and the unit of its light (9, 3), read once.

    Raises:
        MissingWeightsError, FileFormatError: as ``weights.load_weights``.
    """
    path = weights_folder() / f"{NAME}.safetensors" if path is None else path
    return _load(str(path), path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=2)
def _load(path: str, stamp: int) -> tuple[RegressorNet, np.ndarray]:
    from .build import build
    from .regressor_net import VERSION, RegressorNet

    net = cast(RegressorNet, build(RegressorNet, load_weights(NAME, VERSION, Path(path))))
    return net, net.light_unit.numpy()[:, None]
