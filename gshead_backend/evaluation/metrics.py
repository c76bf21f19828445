"""Picture metrics. PSNR and SSIM are torchmetrics'; masks choose the pixels that count."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

MAX_PSNR = 100.0
"""dB; equal pictures have no error, and JSON no infinity."""
MIN_PIXELS = 64
_SSIM_REACH = 5  # pixels; torchmetrics' 11 x 11 Gaussian window
NETWORKS: tuple[str, ...] = ("LPIPS", "CSIM", "AED", "APD", "AKD")


def psnr(picture: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float | None:
    """Peak signal-to-noise ratio in dB over the chosen pixels, at most ``MAX_PSNR``.

    Args:
        picture, truth: (H, W, 3) float 0..1. mask: (H, W) bool; everything when None.
    Returns:
        None when fewer than ``MIN_PIXELS`` pixels are chosen.
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio

    mask = np.ones(picture.shape[:2], bool) if mask is None else mask
    if mask.sum() < MIN_PIXELS:
        return None
    a, b = (_tensor(p[mask]) for p in (picture, truth))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return min(float(peak_signal_noise_ratio(a, b, data_range=1.0)), MAX_PSNR)


def ssim(picture: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float | None:
    """Structural similarity, its map averaged over the chosen pixels; outside the mask both pictures are the truth's
    so that what does not count does not leak through the window. Arguments as :func:`psnr`.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    mask = np.ones(picture.shape[:2], bool) if mask is None else mask
    if mask.sum() < MIN_PIXELS:
        return None
    part = _box(mask, 2 * _SSIM_REACH)
    inside = mask[part]
    b = truth[part]
    a = np.where(inside[..., None], picture[part], b)
    if min(inside.shape) < 2 * _SSIM_REACH + 1:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, full = structural_similarity_index_measure(
            _image(a), _image(b), data_range=1.0, return_full_image=True
        )  # fmt: skip
    return float(full[0].mean(0).numpy()[inside].mean())


def iou(a: np.ndarray, b: np.ndarray) -> float | None:
    """Intersection over union of two boolean arrays; None when both are empty."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else None


def mean_iou(confusion: np.ndarray) -> tuple[float | None, np.ndarray]:
    """Mean over the classes that occur in the truth, and (C,) each class's, NaN where it does not occur.

    Args:
        confusion: (C, C) pixels, rows truth, columns estimate.
    """
    both = np.diag(confusion).astype(float)
    union = confusion.sum(0) + confusion.sum(1) - both
    present = confusion.sum(1) > 0
    each = np.where(present, both / np.maximum(union, 1), np.nan)
    return (float(each[present].mean()) if present.any() else None), each


def confusion_of(truth: np.ndarray, estimate: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) counts of two arrays of class indices."""
    flat = truth.ravel().astype(np.int64) * classes + estimate.ravel().astype(np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def eroded(mask: np.ndarray, pixels: int) -> np.ndarray:
    """A boolean mask without its border."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.erode(mask.astype(np.uint8), disk, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0


def dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    """A boolean mask, wider."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.astype(np.uint8), disk) > 0


def networks_note() -> dict[str, str]:
    """Which metrics of the papers can be computed here: name to "available" or why not. Never downloads anything."""
    note = dict.fromkeys(NETWORKS, "not installed: its standard network is not part of gshead")
    if lpips_metric() is not None:
        note["LPIPS"] = "available: AlexNet features, local weights"
    else:
        note["LPIPS"] = "not installed: torchvision with AlexNet weights in torch's cache is needed"
    return note


@lru_cache(maxsize=1)
def lpips_metric() -> Callable[[np.ndarray, np.ndarray], float] | None:
    """LPIPS (AlexNet) of two (H, W, 3) pictures 0..1; None unless torchvision and its weights lie on this machine."""
    if find_spec("torchvision") is None:
        return None
    import torch

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if not any(folder.glob("alexnet-owt-*.pth")):
        return None
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    metric = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)

    def measure(picture: np.ndarray, truth: np.ndarray) -> float:
        with torch.inference_mode():
            return float(metric(_image(picture), _image(truth)))

    return measure


def _box(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + 1 + margin),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + 1 + margin),
    )


def _tensor(array: np.ndarray):
    import torch

    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def _image(array: np.ndarray):
    return _tensor(array.transpose(2, 0, 1)[None]).clamp(0, 1)
