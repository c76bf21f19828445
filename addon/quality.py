"""Methods and quality presets of reconstruction, and what they cost. No bpy here."""

from __future__ import annotations

QUALITIES = (
    ("draft", "Draft", "For a first look: 20,000 splats, some 5 seconds on two cores"),
    ("standard", "Standard", "For most shots: 60,000 splats, some 20 seconds on two cores"),
    ("high", "High", "For close-ups: 150,000 splats, about a minute on two cores; slower to play without a GPU"),
)
"""Identifier, label and tooltip, in the order of cost. Times are of a machine without a GPU."""
COSTS = {"draft": "20,000 splats, 5 s", "standard": "60,000 splats, 20 s", "high": "150,000 splats, 1 min"}
METHODS = (
    ("uvfit", "Splats", "Splats fitted to the photo: plays at full speed anywhere, and can be exported"),
    (
        "rar",
        "RAR (Experimental)",
        "As Splats, but a trained network corrects what the photo hides; without its weights "
        "on the backend's machine it is Splats",
    ),
    (
        "sega",
        "SEGA (Experimental)",
        "As Splats, but trained networks correct them, are tuned to the photo and move them with the face; without "
        "their weights on the backend's machine it is Splats",
    ),
    (
        "gagavatar",
        "GAGAvatar",
        "A published network draws the head: needs its weights and a FLAME head on the backend's machine, and a GPU to "
        "play; cannot be exported",
    ),
)
"""Identifier, label and tooltip."""
PORTRAITS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
"""Endings of files that may be dropped into the viewport."""
