"""The outlines of control bones as mesh objects. They stand in no scene: bones draw them, nothing renders them."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from .outlines import SHAPES, Outline, frame, region

MARK = "gshead_widget"
VERSION = 1  # of the outlines: files of another one keep theirs


def widget(name: str) -> Any:
    """The mesh object of an outline, made once per file: a shape, ``region:<title>`` or ``frame``."""
    key = f"{name}@{VERSION}"
    found = next((o for o in bpy.data.objects if o.library is None and o.get(MARK) == key), None)
    return found or _make(name, key)


def _make(name: str, key: str) -> Any:
    outline = _outline(name)
    mesh = bpy.data.meshes.new(f"WGT-gshead {name}")
    mesh.from_pydata(outline.points.tolist(), [] if outline.faces else outline.edges.tolist(), list(outline.faces))
    mesh.update(calc_edges=bool(outline.faces))
    obj = bpy.data.objects.new(mesh.name, mesh)
    obj[MARK] = key
    return obj


def _outline(name: str) -> Outline:
    if name == "frame":
        return frame()
    if name.startswith("region:"):
        return region(name.removeprefix("region:"))
    shape = SHAPES[name]
    return Outline(np.asarray(shape.points, float), shape.edges, shape.faces)
