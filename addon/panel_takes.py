"""Rows of the Animate panel: takes in and out, baking."""

from __future__ import annotations

from typing import Any

from . import bake


def draw(layout: Any, mesh_object: Any) -> None:
    """The rows for a head."""
    column = layout.column(align=True)
    row = column.row(align=True)
    row.operator("gshead.import_take", icon="IMPORT")
    row.operator("gshead.export_take", icon="EXPORT")
    column.operator("gshead.reenact", icon="CAMERA_DATA")
    if mesh_object.data.shape_keys is None:
        return
    if bake.is_baked(mesh_object):
        layout.label(text="Shape keys play from their bake", icon="SHAPEKEY_DATA")
    column = layout.column(align=True)
    row = column.row(align=True)
    row.operator("gshead.bake_shape_keys", icon="SHAPEKEY_DATA")
    if bake.is_baked(mesh_object):
        row.operator("gshead.remove_bake", text="", icon="X")
    column.operator("gshead.bake_controls", icon="ARMATURE_DATA")
