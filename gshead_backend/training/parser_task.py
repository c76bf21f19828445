"""What the parser learns from: augmented head crops, its loss, and how good it is."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..portrait.crop import face_height
from ..portrait.labels import LABELS
from ..portrait.nets.inputs import PARSER_INPUTS, PARSER_SIZE, parser_input, sample_affine
from ..portrait.nets.mirror import mirror_landmarks
from ..portrait.nets.parser_net import VERSION, ParserNet, packed
from ..portrait.nets.weights import Header
from .augment import covered, moved_points, photographed, similarity
from .config import Augment, TrainConfig
from .crops import STORED, UNKNOWN
from .data import Crops

CLASS_WEIGHTS = {"background": 0.6, "brows": 2.0, "eyes": 3.0, "lips": 2.0, "mouth": 3.0, "ears": 1.5, "glasses": 3.0,
                 "facial_hair": 1.5, "hat": 1.5}  # fmt: skip
"""Small things count more than their pixels; classes not named count 1."""


class ParserTask:
    """See ``loop.Task``."""

    name = "parser"

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.weights = torch.tensor([CLASS_WEIGHTS.get(name, 1.0) for name in LABELS])

    def make_net(self) -> nn.Module:
        return ParserNet(**self.config.shape)

    def header(self, step: int) -> Header:
        c = self.config
        return Header(self.name, VERSION, dict(c.shape), list(LABELS), step, c.seed, c.sha256())

    def look_at(self, crops: Crops) -> None:
        """Raises ArgumentError when they are crops for the regressor alone."""
        crops.need("labels", "the parser")

    def item(self, crops: Crops, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        item = parser_item(crops, index, rng, self.config.augment)
        if self.config.cells < 1:
            item["cells"] = chosen_cells(item["labels"], self.config.cells, rng)
        return item

    def still(self, crops: Crops, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return parser_item(crops, index, rng, Augment.none())

    def loss(self, net: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        """Cross entropy with class weights, soft Dice of the classes, and the matte's cross entropy and L1."""
        parser = cast(ParserNet, net)
        features = parser.features(*(batch[k] for k in PARSER_INPUTS)).flatten(1, 2)
        labels, alphas = (packed(batch[k]).flatten(1, 2) for k in ("labels", "matte"))
        if "cells" in batch:
            which = torch.arange(len(labels), device=labels.device)[:, None], batch["cells"].long()
            features, labels, alphas = features[which], labels[which], alphas[which]
        classes, matte = parser.tell(features)
        rows = classes.float().reshape(-1, len(LABELS))
        truth = labels.long().reshape(-1)
        known = truth != UNKNOWN
        log_p = rows.log_softmax(1)
        entropy = F.nll_loss(log_p, truth, self.weights.to(rows.device), ignore_index=UNKNOWN)
        dice = _dice_loss(log_p.exp(), truth, known)
        alpha = alphas.float().reshape(-1) / 255
        logit = matte.float().reshape(-1)
        each = F.binary_cross_entropy_with_logits(logit, alpha, reduction="none") + (logit.sigmoid() - alpha).abs()
        cut = (each * known).sum() / known.sum().clamp(min=1)
        return entropy + 0.5 * dice + cut, {"entropy": entropy.item(), "dice": dice.item(), "matte": cut.item()}

    @torch.no_grad()
    def measure(self, net: nn.Module, batches: Any, device: torch.device) -> dict[str, Any]:
        """ "score" and "miou": mean intersection over union of the classes that occur; "iou" by class; "matte_mae"."""
        confusion = np.zeros((len(LABELS), len(LABELS)), np.int64)
        errors = []
        for batch in batches:
            logits = net(*(batch[k].to(device) for k in PARSER_INPUTS)).float().cpu()
            seen = logits[:, : len(LABELS)].argmax(1).numpy().ravel()
            truth = batch["labels"].long().numpy().ravel()
            known = truth != UNKNOWN
            pairs = truth[known] * len(LABELS) + seen[known]
            confusion += np.bincount(pairs, minlength=confusion.size).reshape(confusion.shape)
            error = (logits[:, len(LABELS)].sigmoid() - batch["matte"].float() / 255).abs().numpy().ravel()
            errors.append(error[known].mean())
        iou = iou_by_class(confusion)
        miou = round(float(np.mean(list(iou.values()))), 4)
        return {
            "score": miou, "miou": miou, "iou": {k: round(v, 4) for k, v in iou.items()},
            "matte_mae": round(float(np.mean(errors)), 5),
        }  # fmt: skip


def iou_by_class(confusion: np.ndarray) -> dict[str, float]:
    """(12, 12) pixel counts, rows truth, to intersection over union of the classes that occur in the truth."""
    both = confusion.diagonal()
    either = confusion.sum(0) + confusion.sum(1) - both
    present = confusion.sum(1) > 0
    return {name: float(both[i] / either[i]) for i, name in enumerate(LABELS) if present[i]}


def _dice_loss(p: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """1 - mean Dice of the classes in the batch (Milletari et al. 2016)."""
    weight = known.to(p.dtype)
    place = truth.masked_fill(~known, 0)
    count = torch.zeros(p.shape[1], dtype=p.dtype, device=p.device).scatter_add(0, place, weight)
    hit = torch.zeros_like(count).scatter_add(0, place, p.gather(1, place[:, None])[:, 0] * weight)
    dice = (2 * hit + 1) / (weight @ p + count + 1)
    present = count > 0
    return 1 - dice[present].mean()


def parser_item(crops: Crops, index: int, rng: np.random.Generator, how: Augment) -> dict[str, np.ndarray]:
    """``ParserInput``'s arrays, labels (S, S) uint8, matte (S, S) uint8."""
    sample = crops[index]
    image, person, matte = sample["image"], sample["person"], sample["matte"]
    if how.paste and rng.random() < how.paste:
        image, person = _before(image, person, matte, crops[int(rng.integers(len(crops)))], rng)
    move, _ = similarity(rng, how, STORED)
    move[:, 2] -= (STORED - PARSER_SIZE) / 2
    image = sample_affine(image, move, PARSER_SIZE)
    two = sample_affine(np.dstack([person, matte]), move, PARSER_SIZE)
    person, matte = two[..., 0], two[..., 1]
    labels = sample_affine(sample["labels"], move, PARSER_SIZE, nearest=True, border=cv2.BORDER_CONSTANT, fill=UNKNOWN)
    marks = sample["marks"] @ move[:, :2].T + move[:, 2]
    if how.flip and rng.random() < how.flip:
        image, person, matte, labels = (np.ascontiguousarray(a[:, ::-1]) for a in (image, person, matte, labels))
        marks = mirror_landmarks(marks, PARSER_SIZE)
    image = photographed(image, rng, how)
    if how.cover and rng.random() < how.cover:
        where, color = covered(image.shape[:2], rng)
        image, matte, labels = image.copy(), matte.copy(), labels.copy()
        image[where], matte[where] = color, 0
        labels[where & (labels != UNKNOWN)] = 0
    if how.blind and rng.random() < how.blind:
        person = np.full_like(person, 127)
    marks = moved_points(marks, rng, how, face_height(marks))
    return {**parser_input(image, person, marks).arrays(), "labels": labels, "matte": matte}


def chosen_cells(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Indices of a share of the cells of 2x2 pixels, int32: half of them where classes meet, half anywhere."""
    h, w = labels.shape[0] // 2, labels.shape[1] // 2
    kernel = np.ones((5, 5), np.uint8)
    edge = (cv2.dilate(labels, kernel) != cv2.erode(labels, kernel))[::2, ::2].ravel()
    near, count = np.flatnonzero(edge), max(2, round(share * h * w))
    first = rng.choice(near, min(count // 2, len(near)), replace=False) if len(near) else near
    rest = rng.choice(h * w, count - len(first), replace=False)
    return np.concatenate([first, rest]).astype(np.int32)


def _before(
    image: np.ndarray, person: np.ndarray, matte: np.ndarray, other: dict[str, np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The person in front of another picture, people in it included: those are background for this head."""
    shift = rng.uniform(-0.55, 0.55, 2) * STORED * np.array([1, 0.4])
    zoom = float(rng.uniform(0.5, 1.4))
    move = np.array([[zoom, 0, 0], [0, zoom, 0.0]])
    move[:, 2] = STORED / 2 * (1 - zoom) + shift
    if rng.random() < 0.5:
        move = np.array([[-1.0, 0], [0, 1.0]]) @ move
        move[0, 2] += STORED
    behind = sample_affine(other["image"], move, STORED, border=cv2.BORDER_REFLECT_101)
    people = sample_affine(other["person"], move, STORED, border=cv2.BORDER_REFLECT_101)
    alpha = matte.astype(np.float32)[..., None] / 255
    mixed = alpha * image + (1 - alpha) * behind
    return (mixed + 0.5).astype(np.uint8), np.maximum(person, (people * (1 - alpha[..., 0])).astype(np.uint8))
