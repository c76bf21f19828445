"""What a synthetic person wears and how the hair is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .face_spec import HAIRS, FaceSpec

HAIRSTYLES = ("bald", "balding", "buzz", "short", "fringe", "curly", "afro", "bob", "long", "wavy", "tied", "bun")
HATS = ("none", "cap", "beanie", "brim", "headscarf", "band", "turban")
GLASSES = ("none", "round", "square", "rimless", "thick", "sunglasses")
CLOTHES = ("t-shirt", "shirt", "suit", "sweater", "turtleneck", "hoodie", "v-neck", "scarf", "scoop", "tank",
           "bare")  # fmt: skip
PATTERNS = ("plain", "stripes", "checks", "knit", "print")


@dataclass(frozen=True)
class StyleSpec:
    """Hair, headwear, glasses and clothes. Colours are linear albedo (3,).

    Attributes:
        hair: of ``HAIRSTYLES``. hair_color, length: metres of the strands. curl: 0..1. parting: metres from the middle,
            to the person's left. hairline: 0 low .. 1 receding. density: 0 thinning .. 1 thick. volume: 0..1.
        hat, glasses, clothes, pattern: of the tuples above. clothes_color, second_color: of the cloth and its pattern.
        seed: of everything that is random about them.
    """

    hair: str
    hair_color: np.ndarray
    length: float
    curl: float
    parting: float
    hairline: float
    density: float
    volume: float
    hat: str
    hat_color: np.ndarray
    glasses: str
    frame_color: np.ndarray
    clothes: str
    pattern: str
    clothes_color: np.ndarray
    second_color: np.ndarray
    earrings: bool
    seed: int


def draw_style(rng: np.random.Generator, face: FaceSpec) -> StyleSpec:
    """A style that goes with a face, and often with colours that are easily taken for hair or skin."""
    hair = _hairstyle(rng, face)
    length = {"buzz": 0.005, "balding": 0.018, "short": rng.uniform(0.022, 0.05), "fringe": rng.uniform(0.05, 0.08),
              "curly": rng.uniform(0.05, 0.12), "afro": rng.uniform(0.05, 0.10), "bob": rng.uniform(0.17, 0.23),
              "long": rng.uniform(0.2, 0.42), "wavy": rng.uniform(0.2, 0.36)}.get(hair, 0.1)  # fmt: skip
    color = face.hair_color
    if hair not in ("bald", "balding") and rng.random() < 0.06:  # dyed
        color = rng.dirichlet([0.6, 0.6, 0.6]) * rng.uniform(0.15, 0.7) + 0.01
    curl = {"curly": rng.uniform(0.5, 1), "afro": 1.0, "wavy": rng.uniform(0.3, 0.6)}.get(hair, rng.uniform(0, 0.15))
    hat = "none" if rng.random() > 0.22 else str(rng.choice(HATS[1:], p=[0.17, 0.2, 0.09, 0.38, 0.07, 0.09]))
    glasses = "none" if rng.random() > 0.36 else str(rng.choice(GLASSES[1:], p=[0.22, 0.2, 0.12, 0.31, 0.15]))
    clothes = str(rng.choice(CLOTHES, p=[0.15, 0.15, 0.14, 0.12, 0.08, 0.08, 0.08, 0.07, 0.06, 0.03, 0.04]))
    if hat == "headscarf" and rng.random() < 0.8:  # whose cloth lies over what is worn below
        clothes = str(rng.choice(["t-shirt", "sweater", "v-neck"]))
    pattern = "plain" if clothes == "suit" else str(rng.choice(PATTERNS, p=[0.5, 0.14, 0.11, 0.14, 0.11]))
    frames = np.array([[0.01, 0.01, 0.01], [0.08, 0.04, 0.02], [0.3, 0.3, 0.32], [0.25, 0.17, 0.06], [0.2, 0.02, 0.02]])
    return StyleSpec(
        hair=hair, hair_color=np.asarray(color, float), length=float(length), curl=float(curl),
        parting=float(rng.choice([0, rng.uniform(0.015, 0.04), -rng.uniform(0.015, 0.04)])),
        hairline=float(np.clip(rng.beta(1.5, 4) + 0.4 * max(0, face.age - 35) / 50 * (1 - face.femininity), 0, 1)),
        density=float(rng.beta(2.0, 1.2)), volume=float(rng.random()), hat=hat, hat_color=_cloth(rng, face),
        glasses=glasses,
        frame_color=frames[rng.integers(len(frames))], clothes=clothes, pattern=pattern,
        clothes_color=_suit(rng) if clothes == "suit" else _cloth(rng, face), second_color=_cloth(rng, face),
        earrings=bool(rng.random() < 0.5 * face.femininity), seed=int(rng.integers(2**31)),
    )  # fmt: skip


def _hairstyle(rng: np.random.Generator, face: FaceSpec) -> str:
    if face.femininity < 0.5:
        loss = np.clip((face.age - 30) / 60, 0, 0.55)
        rest = [0.15, 0.46, 0.12, 0.08, 0.03, 0.02, 0.06, 0.04, 0.03, 0.01]
        chance = np.array([0.5 * loss + 0.03, 0.5 * loss + 0.02, *rest])
    else:
        chance = np.array([0.015, 0.005, 0.03, 0.13, 0.11, 0.09, 0.04, 0.15, 0.18, 0.11, 0.08, 0.06])
    return str(rng.choice(HAIRSTYLES, p=chance / chance.sum()))


def _cloth(rng: np.random.Generator, face: FaceSpec) -> np.ndarray:
    kind = rng.random()
    if kind < 0.12:
        color = face.hair_color * rng.uniform(0.8, 1.3)
    elif kind < 0.22:
        color = face.skin_color * rng.uniform(0.75, 1.2)
    elif kind < 0.34:
        color = np.array([0.66, 0.56, 0.42]) * rng.uniform(0.6, 1.2)  # cream and beige
    elif kind < 0.48:
        color = np.full(3, rng.choice([0.012, 0.03, 0.7, 0.35]))
    elif kind < 0.56:
        color = np.array(HAIRS[str(rng.choice(list(HAIRS)))])
    else:
        color = rng.dirichlet([2.5, 2.5, 2.5]) * rng.uniform(0.05, 1.3)
    return np.clip(color, 0.006, 0.85)


def _suit(rng: np.random.Generator) -> np.ndarray:
    suits = np.array([[0.010, 0.010, 0.011], [0.012, 0.016, 0.035], [0.06, 0.06, 0.065], [0.07, 0.05, 0.035]])
    return suits[rng.integers(len(suits))] * rng.uniform(0.7, 1.6)
