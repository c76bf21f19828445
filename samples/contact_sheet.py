"""Lay frames of the demo out on one picture, ``contact_sheet.png``: the photograph, then what the take shows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

# Frames of take_demo.json in which one thing is at its height.
SHOWN = {1: "rest", 15: "left +35°", 25: "right -35°", 6: "blink", 35: "jaw open", 47: "smile", 38: "gaze"}
COLUMNS, CELL, BAND = 4, 384, 30
PAPER, INK = (28, 29, 31), (225, 225, 225)


def make_sheet(cells: list[tuple[str, Image.Image]]) -> Image.Image:
    """A grid of square pictures, each with its name under it."""
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL, rows * (CELL + BAND)), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=18)
    for index, (name, picture) in enumerate(cells):
        x, y = index % COLUMNS * CELL, index // COLUMNS * (CELL + BAND)
        sheet.paste(picture.convert("RGB").resize((CELL, CELL), Image.Resampling.LANCZOS), (x, y))
        draw.text((x + CELL / 2, y + CELL + BAND / 2), name, INK, font, anchor="mm")
    return sheet


def main(out: Path) -> None:
    """Write the sheet for the demo in ``out``."""
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    photo = ImageOps.exif_transpose(Image.open(report["portrait"]))
    cells = [("photo", ImageOps.fit(photo, (CELL, CELL), centering=(0.5, 0.25)))]
    cells += [(name, Image.open(out / "frames" / f"{frame:04d}.png")) for frame, name in SHOWN.items()]
    make_sheet(cells).save(out / "contact_sheet.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
