"""Who a synthetic person is: everything about the bare face that is drawn from the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...head.catalog import default_head
from ...head.model import HeadModel

BEARDS = ("none", "stubble", "moustache", "goatee", "full", "long")
IRISES: dict[str, tuple[float, float, float]] = {
    "dark brown": (0.030, 0.014, 0.008), "brown": (0.075, 0.036, 0.016), "hazel": (0.11, 0.075, 0.030),
    "green": (0.085, 0.105, 0.055), "blue": (0.085, 0.145, 0.21), "grey": (0.14, 0.16, 0.175),
}  # fmt: skip
"""Linear albedo of the middle of the iris."""
HAIRS: dict[str, tuple[float, float, float]] = {
    "black": (0.009, 0.008, 0.008), "dark brown": (0.028, 0.017, 0.011), "brown": (0.075, 0.042, 0.024),
    "light brown": (0.17, 0.10, 0.055), "blonde": (0.40, 0.27, 0.14), "light blonde": (0.58, 0.46, 0.30),
    "red": (0.21, 0.062, 0.022), "grey": (0.27, 0.265, 0.26), "white": (0.62, 0.61, 0.59),
}  # fmt: skip
_TONES = np.array(
    [[0.66, 0.455, 0.375], [0.585, 0.375, 0.285], [0.475, 0.285, 0.195], [0.325, 0.178, 0.108], [0.178, 0.088, 0.051],
     [0.078, 0.038, 0.024]]
)  # fmt: skip
"""Linear skin albedo from very light to very dark: the ITA classes of Chardon et al. 1991 from 60 to -65 degrees."""


@dataclass(frozen=True)
class FaceSpec:
    """One person's face.

    Attributes:
        betas: (B,). femininity: 0..1. age: years. melanin, haemoglobin: 0..1. tone_ita: degrees, the individual
            typology angle of ``skin_color``. Colours are linear albedo (3,).
        freckles, moles, makeup, wrinkles, mottling, blush: 0..1 strengths.
        brow_thickness: 0.3..1.7. brow_density: 0..1. lip_color: (3,). lip_strength: 0..1.
        beard: of ``BEARDS``. iris, hair: names of ``iris_color`` and ``hair_color``. brow_color: (3,) darker than that.
        seed: of the noise that paints this skin. teeth: 0 yellow .. 1 white.
        pupil: radians of half opening seen from the eyeball's centre.
    """

    seed: int
    betas: np.ndarray
    femininity: float
    age: float
    melanin: float
    haemoglobin: float
    tone_ita: float
    skin_color: np.ndarray
    freckles: float
    moles: float
    makeup: float
    wrinkles: float
    mottling: float
    blush: float
    brow_thickness: float
    brow_density: float
    brow_color: np.ndarray
    lip_color: np.ndarray
    lip_strength: float
    beard: str
    iris: str
    iris_color: np.ndarray
    pupil: float
    hair: str
    hair_color: np.ndarray
    teeth: float


def draw_face(rng: np.random.Generator, head: HeadModel | None = None) -> FaceSpec:
    """A person for ``head`` (the default one when None); skin tones are spread evenly, not as in any population."""
    count = (default_head() if head is None else head).identity_count
    betas = (rng.standard_normal(count) * rng.choice([0.75, 1.0, 1.25], p=[0.3, 0.5, 0.2])).astype(np.float32)
    femininity = float(np.clip(rng.choice([0.15, 0.85]) + 0.15 * rng.standard_normal(), 0, 1))
    age = float(np.clip(16 + 70 * rng.beta(1.25, 2.0), 16, 86))
    melanin, haemoglobin = float(rng.random()), float(rng.beta(2, 2.5))
    skin = skin_albedo(melanin, haemoglobin)
    hair = _hair(rng, melanin, age)
    hair_color = np.array(HAIRS[hair]) * np.exp(rng.normal(0, 0.18)) * np.exp(rng.normal(0, 0.02, 3) * [1, 1, 2])
    makeup = float(rng.beta(1.3, 2.0)) if femininity > 0.5 and rng.random() < 0.6 else 0.0
    light = 1 - melanin
    iris = _iris(rng, melanin)
    lip = skin * np.array([0.80, 0.42, 0.44]) * np.exp(rng.normal(0, 0.08, 3))
    if makeup > 0.25 and rng.random() < 0.8:
        painted = np.array([[0.42, 0.02, 0.03], [0.50, 0.12, 0.13], [0.28, 0.03, 0.06], [0.55, 0.20, 0.17]])
        lip = painted[rng.integers(4)] * np.exp(rng.normal(0, 0.2)) * (0.55 + 0.45 * light)
    darker = hair_color * min(0.75, 0.16 / float(hair_color.max()))  # darkened as a whole, so that it keeps its hue
    if hair in ("white", "grey"):
        darker = np.array([0.16, 0.125, 0.10]) * rng.uniform(0.4, 1.4) * (0.5 + 0.5 * light)
    return FaceSpec(
        seed=int(rng.integers(2**31)), betas=betas, femininity=femininity, age=age, melanin=melanin,
        haemoglobin=haemoglobin,
        tone_ita=individual_typology_angle(skin), skin_color=skin,
        freckles=float(rng.beta(1, 3) * light * (rng.random() < 0.35)), moles=float(rng.beta(1.2, 3)), makeup=makeup,
        wrinkles=float(np.clip((age - 28) / 50, 0, 1) ** 1.2 * rng.uniform(0.6, 1.1)),
        mottling=float(rng.uniform(0.3, 1.0)), blush=float(rng.beta(1.5, 2.5)),
        brow_thickness=float(np.clip(rng.normal(1.08 - 0.35 * femininity, 0.25), 0.3, 1.7)),
        brow_density=float(np.clip(rng.normal(0.68, 0.2), 0.2, 1)), brow_color=darker.astype(np.float64),
        lip_color=np.clip(lip, 0.01, 0.8),
        lip_strength=float(np.clip(rng.normal(0.62 + 0.3 * (makeup > 0.25), 0.15), 0.2, 1)),
        beard=_beard(rng, femininity, age), iris=iris,
        iris_color=np.array(IRISES[iris]) * np.exp(rng.normal(0, 0.15, 3)), pupil=float(rng.uniform(0.11, 0.21)),
        hair=hair, hair_color=np.clip(hair_color, 0.004, 0.8), teeth=float(rng.beta(2.5, 1.6)),
    )  # fmt: skip


def skin_albedo(melanin: float, haemoglobin: float) -> np.ndarray:
    """(3,) linear albedo; both arguments 0..1. Blood absorbs green and blue, the more visibly the less melanin."""
    at = np.clip(melanin, 0, 1) * (len(_TONES) - 1)
    i = min(int(at), len(_TONES) - 2)
    log = np.log(_TONES[i]) * (i + 1 - at) + np.log(_TONES[i + 1]) * (at - i)
    return np.exp(log - (haemoglobin - 0.4) * (1 - 0.6 * melanin) * np.array([0.06, 0.34, 0.28]))


def individual_typology_angle(albedo: np.ndarray) -> float:
    """Degrees; arctan((L* - 50) / b*) of a linear albedo under D65 (Chardon et al. 1991).

    Above 55 is very light, below -30 dark.
    """
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ albedo
    t = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return float(np.degrees(np.arctan2(116 * f[1] - 66, 200 * (f[1] - f[2]))))


def _hair(rng: np.random.Generator, melanin: float, age: float) -> str:
    if rng.random() < np.clip((age - 38) / 45, 0, 0.9):
        return "white" if rng.random() < np.clip((age - 50) / 40, 0.1, 0.8) else "grey"
    if melanin > 0.55 and rng.random() < 0.92:
        return str(rng.choice(["black", "dark brown"], p=[0.75, 0.25]))
    names = ["black", "dark brown", "brown", "light brown", "blonde", "light blonde", "red"]
    return str(rng.choice(names, p=[0.14, 0.2, 0.18, 0.15, 0.15, 0.09, 0.09]))


def _iris(rng: np.random.Generator, melanin: float) -> str:
    if melanin > 0.5 and rng.random() < 0.95:
        return str(rng.choice(["dark brown", "brown"], p=[0.7, 0.3]))
    return str(rng.choice(list(IRISES), p=[0.12, 0.25, 0.15, 0.12, 0.24, 0.12]))


def _beard(rng: np.random.Generator, femininity: float, age: float) -> str:
    if femininity > 0.45 or rng.random() < 0.3:
        return "none"
    return str(rng.choice(BEARDS[1:], p=[0.27, 0.23, 0.14, 0.26, 0.10]))
