"""Drivers that work with Python auto-run disabled: plain sums, and Blender's "simple expressions"."""

from __future__ import annotations

from typing import Any

EXPRESSION_LIMIT = 250  # Blender keeps 255 characters of a driver expression


def drive_by_property(owner: Any, data_path: str, target: Any, prop: str, *, index: int = -1) -> Any:
    """Make ``owner.data_path`` follow the custom property ``prop`` of ``target`` one to one; returns the F-curve."""
    curve = _fresh(owner, data_path, index)
    curve.driver.type = "SUM"
    _variable(curve.driver, "value", target, prop)
    return curve


def drive_by_sum(owner: Any, data_path: str, target: Any, terms: dict[str, float], *, index: int = -1) -> Any:
    """Make ``owner.data_path`` follow ``sum(weight * property)`` over custom properties of ``target``.

    Sums too long for one expression go through hidden helper properties on ``target``.
    """
    chunks = _chunks(terms)
    if len(chunks) > 1:
        helpers = {}
        stem = "".join(c if c.isalnum() else "_" for c in f"{data_path}_{index}")
        for k, chunk in enumerate(chunks):
            helper = f"_sum_{stem}_{k}"[-60:]
            target[helper] = 0.0
            drive_by_sum(target, f'["{helper}"]', target, chunk)
            helpers[helper] = 1.0
        return drive_by_sum(owner, data_path, target, helpers, index=index)
    curve = _fresh(owner, data_path, index)
    curve.driver.type = "SCRIPTED"
    for k, prop in enumerate(terms):
        _variable(curve.driver, f"v{k}", target, prop)
    curve.driver.expression = _expression(list(terms.values()))
    return curve


def drive_by_rotation(owner: Any, data_path: str, rig: Any, bone: str, expression: str) -> Any:
    """Make ``owner.data_path`` follow an expression in w, x, y, z: a bone's local quaternion with constraints."""
    curve = _fresh(owner, data_path, -1)
    curve.driver.type = "SCRIPTED"
    for component in "wxyz":
        if component not in expression:
            continue
        variable = curve.driver.variables.new()
        variable.name, variable.type = component, "TRANSFORMS"
        target = variable.targets[0]
        target.id, target.bone_target = rig, bone
        target.transform_space, target.rotation_mode = "LOCAL_SPACE", "QUATERNION"
        target.transform_type = f"ROT_{component.upper()}"
    curve.driver.expression = expression
    return curve


def drive_by_expression(
    owner: Any, data_path: str, rig: Any, expression: str, paths: dict[str, str],
    rotations: dict[str, tuple[str, str]] | None = None,
) -> Any:  # fmt: skip
    """Make ``owner.data_path`` follow an expression.

    Args:
        paths: variable to a data path of ``rig``.
        rotations: variable to (bone, Euler axis "X", "Y" or "Z") of a bone's local rotation with constraints, order
            ZXY: then x and y are the pitch and yaw of where the bone's z axis points.
    """
    curve = _fresh(owner, data_path, -1)
    curve.driver.type = "SCRIPTED"
    for name, path in paths.items():
        variable = curve.driver.variables.new()
        variable.name, variable.type = name, "SINGLE_PROP"
        variable.targets[0].id, variable.targets[0].data_path = rig, path
    for name, (bone, axis) in (rotations or {}).items():
        variable = curve.driver.variables.new()
        variable.name, variable.type = name, "TRANSFORMS"
        target = variable.targets[0]
        target.id, target.bone_target = rig, bone
        target.transform_space, target.rotation_mode = "LOCAL_SPACE", "ZXY"
        target.transform_type = f"ROT_{axis}"
    curve.driver.expression = expression
    return curve


def _fresh(owner: Any, data_path: str, index: int) -> Any:
    owner.driver_remove(data_path, index)
    curve = owner.driver_add(data_path, index)
    while curve.modifiers:  # Blender adds a generator that would scale the result
        curve.modifiers.remove(curve.modifiers[0])
    return curve


def _variable(driver: Any, name: str, target: Any, prop: str) -> None:
    variable = driver.variables.new()
    variable.name, variable.type = name, "SINGLE_PROP"
    variable.targets[0].id = target
    variable.targets[0].data_path = f'["{prop}"]'


def _expression(weights: list[float]) -> str:
    return " ".join(f"{w:+.7g}*v{k}" for k, w in enumerate(weights)) or "0"


def _chunks(terms: dict[str, float]) -> list[dict[str, float]]:
    chunks: list[dict[str, float]] = [{}]
    for prop, weight in terms.items():
        if len(_expression([*chunks[-1].values(), weight])) > EXPRESSION_LIMIT:
            chunks.append({})
        chunks[-1][prop] = weight
    return chunks
