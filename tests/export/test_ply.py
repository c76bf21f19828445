"""PLY: an asymmetric three-splat scene lands where a 3DGS viewer expects it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from readers import ply_columns

from gshead_backend.avatar.types import Splats
from gshead_backend.errors import ArgumentError, ExportError
from gshead_backend.export.ply import FIELDS, SH_C0, export_ply
from gshead_backend.head.rotation import quat_to_matrix


@pytest.fixture
def three() -> Splats:
    return Splats(
        means=np.array([[0.1, 0, 0], [0, 0.2, 0], [0, 0, 0.3]], np.float32),
        quats=np.array([[1, 0, 0, 0], [0.8, 0.6, 0, 0], [0.1, 0.3, -0.5, 0.8]], np.float32),
        scales=np.array([[0.01, 0.02, 0.03], [0.001, 0.001, 0.004], [0.005, 0.005, 0.005]], np.float32),
        opacities=np.array([0.5, 1.0, 0.0], np.float32),
        colors=np.array([[1, 0, 0], [0, 0.5, 0], [0.2, 0.4, 0.6]], np.float32),
    )


def test_values_are_stored_the_way_3dgs_stores_them(three: Splats, tmp_path: Path) -> None:
    assert export_ply(tmp_path / "a.ply", three, axes="head") == (tmp_path / "a.ply").stat().st_size
    got = ply_columns(tmp_path / "a.ply")
    assert tuple(got) == FIELDS
    assert np.allclose(np.stack([got["x"], got["y"], got["z"]], 1), three.means)
    assert np.allclose(np.exp(np.stack([got[f"scale_{i}"] for i in range(3)], 1)), three.scales)
    assert np.allclose(1 / (1 + np.exp(-got["opacity"])), three.opacities, atol=1e-6)
    rgb = np.stack([got[f"f_dc_{i}"] for i in range(3)], 1) * SH_C0 + 0.5
    assert np.allclose(rgb, three.colors, atol=1e-6)
    quats = np.stack([got[f"rot_{i}"] for i in range(4)], 1)
    assert np.allclose(np.linalg.norm(quats, axis=1), 1, atol=1e-6)
    assert all(np.isfinite(v).all() for v in got.values())


def test_by_default_the_head_stands_upright_in_a_viewer(three: Splats, tmp_path: Path) -> None:
    export_ply(tmp_path / "a.ply", three)
    got = ply_columns(tmp_path / "a.ply")
    turn = np.diag([1.0, -1.0, -1.0])  # Y up, face to +Z  ->  y down, face to -z, still right-handed
    assert np.allclose(np.stack([got["x"], got["y"], got["z"]], 1), three.means @ turn.T)
    stored = quat_to_matrix(np.stack([got[f"rot_{i}"] for i in range(4)], 1))
    axes = quat_to_matrix(three.quats)
    for i in range(3):
        size = np.diag(three.scales[i] ** 2)
        want = turn @ axes[i] @ size @ axes[i].T @ turn.T
        assert np.allclose(stored[i] @ size @ stored[i].T, want, atol=1e-9)


def test_bad_splats_and_places_are_refused(three: Splats, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="NaN"):
        export_ply(tmp_path / "a.ply", replace(three, means=three.means * np.nan))
    with pytest.raises(ArgumentError, match=r"\(3, 32\)"):
        export_ply(tmp_path / "a.ply", replace(three, colors=np.zeros((3, 32))))
    with pytest.raises(ArgumentError, match="axes"):
        export_ply(tmp_path / "a.ply", three, axes="blender")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError):
        export_ply(tmp_path / "file" / "a.ply", three)


def test_a_quaternion_of_zeros_is_refused(three: Splats, tmp_path: Path) -> None:
    """It has no direction; divided by its length it would fill the file with NaN."""
    for bad in (0.0, 1e30):
        with pytest.raises(ArgumentError, match="quaternion"):
            export_ply(tmp_path / "a.ply", replace(three, quats=np.full((3, 4), bad, np.float32)))
    assert not (tmp_path / "a.ply").exists()
