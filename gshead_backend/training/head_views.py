"""What learned heads train on: a stored person, some of their true pictures, and how a rendering differs from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..avatar.types import Splats
from ..head.model import HeadModel
from ..head.pose import HeadPose
from ..methods.common.edits import STATIC, EditedAvatar
from ..methods.uvfit.losses import ssim_map
from ..portrait.labels import LABEL_INDEX
from ..raster import rasterize
from .crops import UNKNOWN
from .data import Crops
from .heads import GROUP_OF_VIEW, SIDES, VIEW, VIEWS, avatar_of, camera_of

_PERSON = ("betas", "vertex_offsets", "base_triangle", "base_bary", "base_offset", "base_rotation", "base_log_scale",
           "base_color", "base_logit", "confidence", "light", "uv_color", "uv_label")  # fmt: skip
_VIEW = ("K", "viewmat", "pose", "color", "matte", "labels")
CLOTHES_COUNT = 0.25
"""Below the neck a pixel counts this much: what is wanted there is a bust, not a wardrobe."""
CHANCE = np.array([2.0] + [2.0] * len(SIDES) + [0.7] + [1.3] * (VIEWS - 2 - len(SIDES)))


def head_item(crops: Crops, index: int, views: np.ndarray, rng: np.random.Generator | None) -> dict[str, np.ndarray]:
    """Arrays of one stored person with the chosen ``views``.

    Args:
        rng: draws one change of colour for everything; None changes nothing.

    Returns:
        "channels" (M, C), "picture" (6, P, P), "facts" (G,) float32: the network's inputs; "group" of every view
        (``heads.GROUPS``); "lit" 1 where light and albedo are known, 0 in footage; then what
        :func:`people_of` needs, float32 where it was half precision.
    """
    sample = crops[index]
    item: dict[str, np.ndarray] = {k: np.array(sample[k]) for k in _PERSON}
    item |= {k: np.array(sample[k][views]) for k in _VIEW}
    for name in ("channels", "picture", "facts"):
        item[name] = np.array(sample[f"observed_{name}"])
    item = {k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in item.items()}
    item["group"] = np.array(sample.get("group", GROUP_OF_VIEW)[views])
    item["lit"] = np.array(sample.get("lit", 1), np.float32)
    item["photo_pose"] = np.array(sample["pose"][0])
    item["seed"], item["views"] = np.array(sample["seed"]), np.asarray(views)
    if rng is not None:
        _tint(item, rng)
    return item


def chosen_views(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count,) different views, those from the sides more often than the one from behind."""
    return np.sort(rng.choice(VIEWS, count, replace=False, p=CHANCE / CHANCE.sum()))


def _tint(item: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    gain = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.05, 3)).astype(np.float32)

    def tinted(color: np.ndarray) -> np.ndarray:
        return np.clip(color * gain, 0, 1)

    trust = item["channels"][:, 6:7]
    item["channels"][:, :3] = tinted(item["channels"][:, :3] + 0.5) - 0.5
    item["channels"][:, 3:6] = item["channels"][:, :3] * trust
    item["picture"][:3] = tinted((item["picture"][:3] + 0.5).transpose(1, 2, 0)).transpose(2, 0, 1) - 0.5
    item["base_color"] = tinted(item["base_color"])
    item["light"] = item["light"] * gain**2.2
    item["color"] = (tinted(item["color"].astype(np.float32) / 255) * 255 + 0.5).astype(np.uint8)


@dataclass(frozen=True)
class Target:
    """One true picture. color: (S, S, 3) straight 0..1. matte, weight: (S, S) 0..1. labels: (S, S) uint8."""

    pose: HeadPose
    camera: Any
    color: Tensor
    matte: Tensor
    weight: Tensor
    labels: Tensor


@dataclass(frozen=True)
class TrainingPerson:
    """One person of a batch. edited: ``uvfit``'s splats, the first M of them to be corrected. targets: the pictures."""

    edited: EditedAvatar
    targets: list[Target]


def people_of(batch: dict[str, Tensor], head: HeadModel, pixels: int = VIEW) -> list[TrainingPerson]:
    """The persons of a batch that ``head_item`` made items for, their pictures ``pixels`` a side."""
    out = []
    for i in range(batch["channels"].shape[0]):
        sample = {k: batch[k][i].cpu().numpy() for k in (*_PERSON, *_VIEW)}
        edited = EditedAvatar(avatar_of(sample, head), batch["channels"].shape[1], batch["channels"].device)
        targets = []
        for k in range(sample["pose"].shape[0]):
            pose, camera = HeadPose.from_vector(sample["pose"][k]), camera_of(sample, k).resized(pixels, pixels)
            labels = batch["labels"][i, k]
            weight = torch.where(labels == LABEL_INDEX["clothes"], CLOTHES_COUNT, 1.0) * (labels != UNKNOWN)
            color, matte = batch["color"][i, k].float() / 255, batch["matte"][i, k].float() / 255
            if pixels != VIEW:
                color, matte, weight, labels = _smaller(color, matte, weight, labels, pixels)
            targets.append(Target(pose, camera, color, matte, weight, labels))
        out.append(TrainingPerson(edited, targets))
    return out


def _smaller(color: Tensor, matte: Tensor, weight: Tensor, labels: Tensor, pixels: int) -> tuple[Tensor, ...]:
    layers = torch.cat([color * matte[..., None], matte[..., None], weight[..., None]], -1)
    small = F.interpolate(layers.permute(2, 0, 1)[None], (pixels, pixels), mode="area")[0].permute(1, 2, 0)
    matte = small[..., 3]
    near = F.interpolate(labels[None, None].float(), (pixels, pixels), mode="nearest")[0, 0].to(labels.dtype)
    return small[..., :3] / matte.clamp(min=1e-3)[..., None], matte, small[..., 4], near


def nothing(person: TrainingPerson) -> Tensor:
    """(M, 10) corrections that leave ``uvfit``'s splats as they are."""
    return torch.zeros(person.edited.count, STATIC, device=person.targets[0].color.device)


def draw(person: TrainingPerson, target: Target, static: Tensor, moved: Tensor | None = None) -> Any:
    """The corrected splats as the target's camera sees them: see ``raster.rasterize``. In full precision under autocast
    too: bfloat16 knows a place 0.1 m from the origin to 0.4 mm."""
    with torch.autocast(static.device.type, enabled=False):
        edits = person.edited.overrides(static.float(), None if moved is None else moved.float())
        splats: Splats = person.edited.drive(target.pose, edits)
        return rasterize(splats, target.camera)


def picture_loss(seen: Any, target: Target, grey: float, *, structure: float = 0.2, mask: float = 0.5) -> Tensor:
    """``.8 L1 + structure (1 - SSIM) + mask |alpha - matte|`` over one grey, clothes counting less; full precision."""
    with torch.autocast(seen.color.device.type, enabled=False):
        return _picture_loss(seen, target, grey, structure, mask)


def _picture_loss(seen: Any, target: Target, grey: float, structure: float, mask: float) -> Tensor:
    shown = seen.color + (1 - seen.alpha)[..., None] * grey
    wanted = target.color * target.matte[..., None] + (1 - target.matte)[..., None] * grey
    busy = F.max_pool2d((target.matte + seen.alpha.detach())[None, None], 9, 1, 4)[0, 0] > 0.02
    weight = target.weight * busy
    total = weight.sum().clamp(min=1)
    l1 = ((shown - wanted).abs().mean(-1) * weight).sum() / total
    cut = ((seen.alpha - target.matte).abs() * weight).sum() / total
    like = ssim_map(shown.mean(-1)[None, None], wanted.mean(-1)[None, None])[0, 0]
    inner = weight[3:-3, 3:-3]
    unlike = ((1 - like) * inner).sum() / inner.sum().clamp(min=1)
    return 0.8 * l1 + structure * unlike + mask * cut


@torch.no_grad()
def scores(seen: Any, target: Target) -> tuple[float, float]:
    """(PSNR in dB inside both outlines, intersection over union of the outlines), without clothes."""
    head = (target.labels != LABEL_INDEX["clothes"]) & (target.labels != UNKNOWN)
    a, b = (seen.alpha > 0.5) & head, (target.matte > 0.5) & head
    both = a & b
    union = int((a | b).sum())
    if union == 0 or not both.any():
        return 0.0, 0.0
    error = ((seen.color / seen.alpha.clamp(min=1e-3)[..., None] - target.color) ** 2)[both].mean()
    return float(-10 * torch.log10(error.clamp(min=1e-8))), float(both.sum()) / union
