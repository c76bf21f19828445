"""The pose of a head in a USD stage that Blender wrote: what a trained avatar's splats change with beside the mesh.

No bpy here; ``pxr`` is handed in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gshead_backend.avatar.types import Avatar
from gshead_backend.head import HeadPose
from gshead_backend.head.rotation import matrix_to_axis_angle

_LOST = (
    "its splats keep the look of the neutral face, since the file has no {what}. Export with Armatures and Shape Keys, "
    "or use the Export USD button in the sidebar for all of it."
)


class PoseReader:
    """Reads expression and jaw of a head from its skeleton and its blend shapes, for avatars with a residual.

    ``lost`` says why there is no pose, when the avatar would have needed one.
    """

    def __init__(self, usd: Any, mesh: Any, avatar: Avatar) -> None:
        self._usd, self._head = usd, avatar.head
        self.lost = ""
        self._player: Any = None
        if avatar.dynamic is None:
            return
        self._player = _player(usd, mesh)
        animation = self._player.GetAnimQuery() if self._player else None
        if not animation:
            self.lost = _LOST.format(what="armature")
            self._player = None
            return
        valid = usd.Tf.MakeValidIdentifier
        shapes = {valid(str(name)): i for i, name in enumerate(animation.GetBlendShapeOrder())}
        self._shapes = [shapes.get(valid(name), -1) for name in self._head.expression_names]
        joints = [str(path).split("/")[-1] for path in self._player.GetJointOrder()]
        if max(self._shapes, default=-1) < 0 or not {"neck", "jaw"} <= set(joints):
            self.lost = _LOST.format(what="shape keys, or none of the head's bones,")
            self._player = None
            return
        self._neck, self._jaw = joints.index("neck"), joints.index("jaw")
        bind = usd.UsdSkel.BindingAPI(mesh.GetPrim()).GetGeomBindTransformAttr()
        self._turned = _rotation(bind.Get()) if bind and bind.HasAuthoredValue() else np.eye(3)

    def at(self, time: Any) -> HeadPose | None:
        """The pose on a frame, without the movement of the whole head; None where there is none to read."""
        if self._player is None:
            return None
        weights = np.asarray(self._player.GetAnimQuery().ComputeBlendShapeWeights(time), np.float32)
        expression = np.array([weights[i] if i >= 0 else 0.0 for i in self._shapes], np.float32)
        moved = self._player.ComputeSkinningTransforms(time)
        turn = _rotation(moved[self._neck]).T @ _rotation(moved[self._jaw])  # of the jaw in the neck
        jaw = matrix_to_axis_angle(self._turned.T @ turn @ self._turned)
        still = np.zeros(3, np.float32)
        return HeadPose(expression, still, still, jaw.astype(np.float32), np.zeros(6, np.float32), still)


def _player(usd: Any, mesh: Any) -> Any:
    """The skeleton's query, None for a mesh that no skeleton moves."""
    root = usd.UsdSkel.Root.Find(mesh.GetPrim())
    if not root:
        return None
    skel = usd.UsdSkel.Cache()
    skel.Populate(root, usd.Usd.TraverseInstanceProxies())
    skeleton = usd.UsdSkel.BindingAPI(mesh.GetPrim()).GetInheritedSkeleton()
    return skel.GetSkelQuery(skeleton) if skeleton else None


def _rotation(matrix: Any) -> np.ndarray:
    """(3, 3) for column vectors of a ``Gf.Matrix4d``, without its scale."""
    u, _, vt = np.linalg.svd(np.array(matrix, np.float64)[:3, :3].T)
    return u @ vt
