"""docs/images/lighting.jpg and shadows.jpg: ``python tests/blender/make_light_sheet.py HEAD.gshead [HEAD.gshead…]``."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from harness import ROOT, Blender
from PIL import Image

VERSION, CELL = "5.2", 176
ROW = ("photo", "-80", "-40", "0", "40", "80", "top", "back")
SHADOWS = ("none", "blind", "blind_soft", "cycles", "brim")
IMAGES = ROOT / "docs" / "images"


def main(avatars: list[str]) -> None:
    """Lights: a row of the engine a head, and one of Cycles of the first. Shadows: the first alone."""
    rows = []
    with TemporaryDirectory(prefix="gsh-") as folder, TemporaryDirectory(prefix="gsh-") as runtime:
        out = Path(folder)
        for avatar in avatars:
            _draw("light_sheet", avatar, out, runtime)
            rows.append([_cell(out / f"engine_{name}.png", CELL) for name in ROW])
            if len(rows) == 1:
                wide = -(-CELL * len(ROW) // 3)
                last = [_cell(out / f"cycles_{yaw}.png", wide) for yaw in (-60, 0, 60)]
        _draw("shadow_sheet", avatars[0], out, runtime)
        shadows = [_cell(out / f"shadow_{name}.png", 280) for name in SHADOWS]
    band = np.concatenate(last, 1)[wide // 8 : -wide // 12, : CELL * len(ROW)]
    _save(np.concatenate([*(np.concatenate(row, 1) for row in rows), band], 0), IMAGES / "lighting.jpg")
    _save(np.concatenate(shadows, 1), IMAGES / "shadows.jpg")


def _draw(script: str, avatar: str, out: Path, runtime: str) -> None:
    Blender(VERSION, out, Path(runtime)).run(script, avatar=str(Path(avatar).resolve()), out=str(out), timeout=590)


def _save(sheet: np.ndarray, target: Path) -> None:
    Image.fromarray(sheet).save(target, quality=85, optimize=True)
    print(f"{target}: {target.stat().st_size} bytes")


def _cell(path: Path, size: int) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB").resize((size, size), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main(sys.argv[1:])
