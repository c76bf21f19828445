"""docs/images/lighting.jpg from an avatar: ``python tests/blender/make_light_sheet.py HEAD.gshead [HEAD.gshead…]``."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from harness import ROOT, Blender
from PIL import Image

VERSION, CELL = "5.2", 176
ROW = ("photo", "-80", "-40", "0", "40", "80", "top", "back")


def main(avatars: list[str], target: Path) -> None:
    """One row of the engine's pictures a head, and one of Cycles' of the first."""
    rows = []
    for avatar in avatars:
        with (
            TemporaryDirectory(prefix="gsh-") as folder,
            TemporaryDirectory(prefix="gsh-") as runtime,
        ):
            out = Path(folder)
            blender = Blender(VERSION, out, Path(runtime))
            blender.run("light_sheet", avatar=str(Path(avatar).resolve()), out=folder, timeout=590)
            rows.append([_cell(out / f"engine_{name}.png", CELL) for name in ROW])
            if len(rows) == 1:
                wide = -(-CELL * len(ROW) // 3)
                last = [_cell(out / f"cycles_{yaw}.png", wide) for yaw in (-60, 0, 60)]
    band = np.concatenate(last, 1)[wide // 8 : -wide // 12, : CELL * len(ROW)]
    sheet = np.concatenate([*(np.concatenate(row, 1) for row in rows), band], 0)
    Image.fromarray(sheet).save(target, quality=85, optimize=True)
    print(f"{target}: {target.stat().st_size} bytes")


def _cell(path: Path, size: int) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB").resize((size, size), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main(sys.argv[1:], ROOT / "docs" / "images" / "lighting.jpg")
