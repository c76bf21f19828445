"""What stands behind people: studios, rooms, gardens, skies, streets and plain colours, in linear light."""

from __future__ import annotations

import cv2
import numpy as np

from .face_spec import HAIRS, skin_albedo


def draw_backdrop(rng: np.random.Generator, size: int) -> np.ndarray:
    """(size, size, 3) float32 linear background, out of focus by varying amounts."""
    makers = (_studio, _room, _leaves, _lights, _sky, _blobs, _street)
    maker = makers[rng.choice(len(makers), p=[0.24, 0.22, 0.14, 0.10, 0.10, 0.12, 0.08])]
    low = min(size, 192)
    image = maker(rng, low)
    blur = rng.choice([0.0, rng.uniform(0.003, 0.01), rng.uniform(0.01, 0.05)], p=[0.2, 0.3, 0.5]) * low
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    image = cv2.resize(image.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(image * np.exp(rng.normal(-0.2, 0.5)), 0.001, 4).astype(np.float32)


def _color(rng: np.random.Generator) -> np.ndarray:
    """Any colour, often that of hair, skin or a wall."""
    kind = rng.random()
    if kind < 0.15:
        return np.array(HAIRS[str(rng.choice(list(HAIRS)))]) * rng.uniform(0.7, 1.5)
    if kind < 0.3:
        return skin_albedo(rng.random(), 0.4) * rng.uniform(0.6, 1.2)
    if kind < 0.65:
        return rng.uniform(0.03, 0.85) * np.exp(rng.normal(0, 0.08, 3))
    return rng.dirichlet([2.0, 2.0, 2.0]) * rng.uniform(0.1, 1.3)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    v = (np.arange(size) + 0.5) / size - 0.5
    x, y = np.meshgrid(v, v)
    return x[..., None], y[..., None]


def _clouds(rng: np.random.Generator, size: int, cells: int, octaves: int = 4) -> np.ndarray:
    """(size, size, 1) fractal value noise of about unit variance."""
    out = np.zeros((size, size), np.float32)
    for k in range(octaves):
        n = min(cells * 2**k + 2, size)
        out += (
            cv2.resize(rng.normal(size=(n, n)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC) / 1.7**k
        )
    return (out / max(out.std(), 1e-6))[..., None]


def _studio(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = _grid(size)
    a, b = _color(rng), _color(rng)
    if rng.random() < 0.6:
        b = a * rng.uniform(0.2, 1.6)
    centre = rng.uniform(-0.3, 0.3, 2)
    t = np.clip(np.hypot(x - centre[0], y - centre[1]) * rng.uniform(0.6, 2), 0, 1)
    if rng.random() < 0.4:
        angle = rng.uniform(0, 2 * np.pi)
        t = np.clip(0.5 + x * np.cos(angle) + y * np.sin(angle), 0, 1)
    return (a + (b - a) * t) * np.exp(0.04 * _clouds(rng, size, 4))


def _room(rng: np.random.Generator, size: int) -> np.ndarray:
    """A wall with things on it: windows, doors, shelves with books, pictures."""
    image = np.tile(_color(rng) * 0.8, (size, size, 1)) * np.exp(0.05 * _clouds(rng, size, 3))
    if rng.random() < 0.5:
        corner = rng.integers(size)
        image[:, corner:] *= rng.uniform(0.4, 0.85)
    for _ in range(rng.integers(1, 7)):
        w, h = (rng.uniform(0.06, 0.6, 2) * size).astype(int) + 2
        x, y = rng.integers(-w // 2, size, 2)
        color = _color(rng) * (rng.choice([1, 3.0]) if rng.random() < 0.3 else 1)
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), color.tolist(), -1)
        if rng.random() < 0.4:  # books, slats, panes
            for at in np.arange(x, x + w, max(3, int(rng.uniform(0.015, 0.08) * size))):
                shade = (_color(rng) if rng.random() < 0.5 else color * rng.uniform(0.3, 0.9)).tolist()
                cv2.rectangle(image, (int(at), int(y)), (int(at + 0.02 * size), int(y + h)), shade, -1)
    return image


def _leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    base = np.array([0.05, 0.10, 0.02]) * np.exp(rng.normal(0, 0.4, 3))
    light = np.array([0.55, 0.65, 0.25]) * np.exp(rng.normal(0, 0.3, 3))
    t = np.clip(0.35 + 0.3 * _clouds(rng, size, int(rng.integers(6, 26))) + 0.15 * _clouds(rng, size, 3), 0, 1)
    return base + (light - base) * t**2


def _lights(rng: np.random.Generator, size: int) -> np.ndarray:
    """A dark place with discs of light."""
    image = np.tile(_color(rng) * 0.08 + 0.004, (size, size, 1)) * np.exp(0.4 * _clouds(rng, size, 3))
    for _ in range(rng.integers(8, 50)):
        x, y = rng.integers(0, size, 2)
        disc = np.zeros((size, size), np.float32)
        cv2.circle(disc, (int(x), int(y)), int(rng.uniform(0.01, 0.06) * size) + 1, 1.0, -1, cv2.LINE_AA)
        image += disc[..., None] * _color(rng) * rng.uniform(0.5, 3)
    return image


def _sky(rng: np.random.Generator, size: int) -> np.ndarray:
    _, y = _grid(size)
    blue = np.array([0.20, 0.42, 0.85]) * rng.uniform(0.5, 1.2)
    pale = np.array([0.85, 0.88, 0.95]) * rng.uniform(0.6, 1.2)
    sky = blue + (pale - blue) * np.clip(0.5 + y + 0.25 * _clouds(rng, size, 3), 0, 1)
    ground = _color(rng) * np.exp(0.25 * _clouds(rng, size, 8))
    horizon = rng.uniform(-0.2, 0.7)
    return np.where(y < horizon + 0.02 * _clouds(rng, size, 5, 2), sky, ground)


def _blobs(rng: np.random.Generator, size: int) -> np.ndarray:
    """Patches of a few colours at any scale: posters, crowds, wallpaper."""
    field = _clouds(rng, size, int(rng.integers(3, 16)))
    out = np.tile(_color(rng), (size, size, 1))
    for level in (-0.6, 0.1, 0.8):
        out = np.where(field > level, _color(rng), out)
    return out * np.exp(0.12 * _clouds(rng, size, 20))


def _street(rng: np.random.Generator, size: int) -> np.ndarray:
    """Facades with rows of windows."""
    image = _sky(rng, size).copy()
    x = 0
    while x < size:
        w, top = int(rng.uniform(0.12, 0.4) * size) + 2, int(rng.uniform(-0.1, 0.5) * size)
        wall = _color(rng) * 0.6
        cv2.rectangle(image, (x, max(top, 0)), (x + w, size), wall.tolist(), -1)
        pitch, lit = max(4, int(rng.uniform(0.04, 0.1) * size)), _color(rng)
        for wy in range(max(top, 0) + 2, size, pitch):
            for wx in range(x + 2, x + w - 2, pitch):
                shade = (lit if rng.random() < 0.3 else wall * 0.3).tolist()
                cv2.rectangle(image, (wx, wy), (wx + pitch // 2, wy + pitch // 2), shade, -1)
        x += w
    return image
