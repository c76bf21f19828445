"""Parametric heads with FLAME's parameters: model, pose, numpy skinning, files. Only numpy and safetensors.

Names are loaded on first use: Blender enables the extension without reading safetensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .arkit import ARKIT_INDEX, ARKIT_NAMES
    from .catalog import default_head, find_head, heads_folder, installed_heads, load_head
    from .file import head_from_tensors, head_to_tensors, read_head, save_head
    from .model import JOINT_NAMES, PARENTS, HeadModel, SparseMatrix
    from .pose import HeadPose
    from .skinning import PersonalHead, joint_transforms, pose_from_arkit

__all__ = [
    "ARKIT_INDEX",
    "ARKIT_NAMES",
    "JOINT_NAMES",
    "PARENTS",
    "HeadModel",
    "HeadPose",
    "PersonalHead",
    "SparseMatrix",
    "default_head",
    "find_head",
    "head_from_tensors",
    "head_to_tensors",
    "heads_folder",
    "installed_heads",
    "joint_transforms",
    "load_head",
    "pose_from_arkit",
    "read_head",
    "save_head",
]

__getattr__ = lazy_names(__name__, {
    "arkit": ("ARKIT_INDEX", "ARKIT_NAMES"),
    "catalog": ("default_head", "find_head", "heads_folder", "installed_heads", "load_head"),
    "file": ("head_from_tensors", "head_to_tensors", "read_head", "save_head"),
    "model": ("JOINT_NAMES", "PARENTS", "HeadModel", "SparseMatrix"),
    "pose": ("HeadPose",),
    "skinning": ("PersonalHead", "joint_transforms", "pose_from_arkit"),
})  # fmt: skip
