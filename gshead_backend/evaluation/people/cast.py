"""The test people: who they are, what they wear, how they are lit. Frozen: a change needs a new ``VERSION``.

They exist to judge what was trained on ``training/synthetic``, so nothing here or beside it is shared with that room.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 1
SIZE = 512
SAMPLES = 10


@dataclass(frozen=True)
class Role:
    """One test person.

    Attributes:
        name: of the folder. seed: of identity, expressions and everything random. geometry: "default" or "ict".
        melanin: 0 very light .. 1 very dark. hair: "bald", "short", "crop", "long", "bob", "curls", "bun".
        hair_melanin: 0 white/blonde .. 1 black; hair_red: 0..1. beard: "", "stubble", "moustache", "full".
        glasses: "", "thin", "bold", "dark". hat: "", "beanie", "headscarf". clothes: linear colour.
        collar: "round", "shirt", "high". lips: how painted, 0..1. wrinkled: 0..1. iris: linear colour.
        hard: one sun and little else. crowd: somebody stands behind. backdrop: linear colour.
    """

    name: str
    seed: int
    melanin: float
    hair: str
    hair_melanin: float
    hair_red: float = 0.2
    grey: float = 0.0
    beard: str = ""
    glasses: str = ""
    hat: str = ""
    clothes: tuple[float, float, float] = (0.1, 0.1, 0.12)
    collar: str = "round"
    lips: float = 0.0
    wrinkled: float = 0.0
    iris: tuple[float, float, float] = (0.06, 0.03, 0.015)
    hard: bool = False
    crowd: bool = False
    backdrop: tuple[float, float, float] = (0.35, 0.36, 0.38)
    geometry: str = "default"


CREAM, NAVY, BLACK, WHITE = (0.70, 0.60, 0.44), (0.02, 0.03, 0.08), (0.012, 0.012, 0.013), (0.75, 0.75, 0.74)
BLUE, GREEN, GREY = (0.09, 0.15, 0.22), (0.09, 0.11, 0.05), (0.14, 0.16, 0.17)

CAST: tuple[Role, ...] = (
    Role("01-blonde-cream", 101, 0.12, "long", 0.16, 0.25, clothes=CREAM, collar="high", lips=0.35, iris=BLUE),
    Role("02-suit-dark-hair", 102, 0.30, "short", 0.92, clothes=BLACK, collar="shirt", hard=True,
         backdrop=(0.55, 0.5, 0.42)),
    Role("03-crowd-afro", 103, 0.92, "curls", 0.98, clothes=(0.35, 0.04, 0.03), crowd=True, lips=0.15),
    Role("04-full-beard", 104, 0.62, "crop", 0.95, beard="full", clothes=(0.10, 0.16, 0.09), hard=True,
         backdrop=(0.10, 0.13, 0.16)),
    Role("05-glasses-grey", 105, 0.22, "short", 0.45, grey=0.85, glasses="bold", clothes=NAVY, collar="shirt",
         wrinkled=0.8, iris=GREY),
    Role("06-bald-dark", 106, 0.98, "bald", 1.0, clothes=WHITE, hard=True, backdrop=(0.2, 0.3, 0.25)),
    Role("07-headscarf", 107, 0.55, "bald", 0.9, hat="headscarf", clothes=(0.16, 0.07, 0.12), lips=0.3),
    Role("08-red-bob", 108, 0.05, "bob", 0.32, 0.95, clothes=GREEN, lips=0.2, iris=GREEN, hard=True),
    Role("09-white-long", 109, 0.28, "long", 0.2, grey=1.0, clothes=(0.28, 0.10, 0.14), wrinkled=1.0, glasses="thin",
         iris=BLUE),
    Role("10-beanie-stubble", 110, 0.72, "crop", 0.95, beard="stubble", hat="beanie", clothes=(0.14, 0.12, 0.10),
         hard=True, collar="high"),
    Role("11-bun-dark", 111, 0.85, "bun", 0.97, clothes=(0.5, 0.3, 0.05), lips=0.7, crowd=True),
    Role("12-moustache", 112, 0.42, "short", 0.75, beard="moustache", clothes=(0.25, 0.3, 0.4), collar="shirt",
         hard=True, iris=GREEN),
    Role("13-sunglasses", 113, 0.36, "bob", 0.9, glasses="dark", clothes=BLACK, lips=0.8, backdrop=(0.6, 0.62, 0.65)),
    Role("14-young-fair", 114, 0.08, "crop", 0.2, 0.2, clothes=(0.65, 0.2, 0.16), iris=BLUE, hard=True),
    Role("15-curls-brown", 115, 0.66, "curls", 0.8, 0.4, clothes=(0.6, 0.55, 0.5), glasses="thin",
         backdrop=(0.18, 0.12, 0.08)),
    Role("16-ict-dark", 116, 0.95, "crop", 0.98, clothes=(0.08, 0.2, 0.3), hard=True, geometry="ict"),
    Role("17-ict-fair", 117, 0.15, "long", 0.4, 0.4, clothes=CREAM, lips=0.3, iris=GREEN, geometry="ict",
         backdrop=(0.5, 0.4, 0.3)),
    Role("18-ict-beard", 118, 0.58, "short", 0.85, beard="full", glasses="bold", clothes=GREY, hard=True,
         geometry="ict"),
    Role("19-ict-old", 119, 0.78, "short", 0.6, grey=0.8, wrinkled=0.9, clothes=NAVY, collar="shirt", geometry="ict"),
    Role("20-ict-bob", 120, 0.48, "bob", 0.93, clothes=WHITE, lips=0.6, hard=True, geometry="ict"),
)  # fmt: skip

SUIT = "02-suit-dark-hair"
DAILY: tuple[str, ...] = ("01-blonde-cream", "02-suit-dark-hair", "03-crowd-afro", "04-full-beard", "05-glasses-grey")
"""Five for daily use: all on the default head, light to dark, both kinds of light."""
