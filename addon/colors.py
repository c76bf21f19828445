"""Showing a photograph as it is: what of a scene's colour management changes it, and how to leave it out."""

from __future__ import annotations

from typing import Any


def changes(settings: Any) -> list[str]:
    """What ``scene.view_settings`` do to a photo's colours, in words; empty when they leave them alone."""
    found = []
    if settings.view_transform != "Standard":
        found.append(f"View transform {settings.view_transform}")
    if settings.look != "None":
        found.append(f"Look {settings.look}")
    if abs(settings.exposure) > 1e-6 or abs(settings.gamma - 1.0) > 1e-6:
        found.append(f"Exposure {settings.exposure:g}, gamma {settings.gamma:g}")
    if settings.use_curve_mapping:
        found.append("Curves")
    return found


def keep_photo_colors(scene: Any) -> None:
    """Show and save the scene's pictures so that a photograph's colours come out as they went in."""
    settings = scene.view_settings
    settings.view_transform = "Standard"  # first: each view transform has looks of its own
    settings.look = "None"
    settings.exposure, settings.gamma = 0.0, 1.0
    settings.use_curve_mapping = False
