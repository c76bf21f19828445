"""Test people that the training's generator did not make: meshes and hair curves, rendered by Blender's Cycles."""

from .cast import CAST, DAILY
from .clip import render_clip
from .render import find_blender, render_people

__all__ = ["CAST", "DAILY", "find_blender", "render_clip", "render_people"]
