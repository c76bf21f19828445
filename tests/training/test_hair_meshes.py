"""Hair from OBJ files of another head, in another unit, somewhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gshead_backend.errors import ArgumentError, FileFormatError
from gshead_backend.head import HeadModel, PersonalHead, default_head
from gshead_backend.portrait.labels import LABEL_INDEX
from gshead_backend.training.synthetic.face_spec import draw_face
from gshead_backend.training.synthetic.hair import CANVAS, hair_surfels
from gshead_backend.training.synthetic.hair_meshes import choose_mesh, fitted, hair_mesh_files, read_hair
from gshead_backend.training.synthetic.people import make_person
from gshead_backend.training.synthetic.style_spec import StyleSpec, draw_style
from gshead_backend.training.synthetic.surface import canvas

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"


def style(hair: str) -> StyleSpec:
    rng = np.random.default_rng(1)
    return replace(draw_style(rng, draw_face(rng)), hair=hair, hat="none")


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return default_head()


@pytest.fixture(scope="module")
def cap(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A swimming cap 4 mm over the mean head's scalp, in decimetres, half a metre too high; v runs down."""
    c = canvas(head, CANVAS)
    mesh = head.faces
    rest = c.surface.vertices
    top = rest[:, 1] > c.surface.landmarks[10, 1] - 0.01
    top &= c.surface.skin
    faces = mesh[top[mesh].all(1)]
    out = rest - c.surface.crown
    moved = rest + 0.004 * out / np.linalg.norm(out, axis=1, keepdims=True) + np.array([0.0, 0.5, 0.02])
    path = tmp_path_factory.mktemp("hair") / "cap.obj"
    with path.open("w") as file:
        file.write("# a cap\no cap\n")
        file.writelines(f"v {x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in 10 * moved)
        file.writelines(f"vt {x:.5f} {1 - y:.5f}\n" for x, y, _ in rest)
        file.writelines(f"f {a}/{a} {b}/{b} {c}/{c}\n" for a, b, c in faces + 1)
    return path


def test_hair_of_another_unit_and_place_lands_on_the_skull(head: HeadModel, cap: Path) -> None:
    c = canvas(head, CANVAS)
    mesh = read_hair(cap)
    at = fitted(mesh, c)[np.unique(mesh.faces)]
    own = c.surface.vertices[np.unique(mesh.faces)]
    assert np.linalg.norm(at - own, axis=1).mean() < 0.008  # lies 6 mm over the skin
    assert (mesh.along[:, 1] < 0.3).mean() > 0.95  # strands do not run up


def test_a_mesh_is_worn_as_hair_by_another_person(head: HeadModel, cap: Path) -> None:
    betas = np.zeros(head.identity_count, np.float32)
    betas[:3] = 1.5
    person = PersonalHead.create(head, betas)
    made, covered = hair_surfels(head, person, style(hair="short"), np.random.default_rng(0), splats=3000,
                                 mesh=read_hair(cap))  # fmt: skip
    assert len(made) == 3000
    assert set(made.labels) == {LABEL_INDEX["hair"]}
    assert np.isfinite(made.means).all()
    np.testing.assert_allclose(np.linalg.norm(made.quats, axis=1), 1, atol=1e-6)
    crown = person.rest[:, 1].max()
    assert abs(made.means[:, 1].max() - crown) < 0.02
    assert covered.max() == pytest.approx(1, abs=0.05)


def test_half_of_those_with_hair_wear_one(cap: Path) -> None:
    files = hair_mesh_files(cap.parent)
    worn = [choose_mesh(files, style(hair="short"), np.random.default_rng(k)) is not None for k in range(200)]
    assert 70 < sum(worn) < 130
    assert choose_mesh(files, style(hair="bald"), np.random.default_rng(0)) is None
    assert choose_mesh((), style(hair="short"), np.random.default_rng(0)) is None


def test_a_person_with_a_mesh_says_so_and_is_the_same_each_time(cap: Path) -> None:
    files = hair_mesh_files(cap.parent)
    seeds = (n for n in range(40) if make_person(n, splats=3000, hair_meshes=files).style.hair == "mesh cap")
    seed = next(seeds)
    a, b = (make_person(seed, splats=3000, hair_meshes=files) for _ in range(2))
    np.testing.assert_array_equal(a.avatar.offset, b.avatar.offset)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no triangles"),
        (TRIANGLE, "no triangles"),
        (TRIANGLE + "f 1 2 9\n", "line 4"),
        (TRIANGLE + "f 1 2 x\n", "line 4"),
        ("v 0 0 zero\n", "line 1"),
        (TRIANGLE + "vt 0 0\nf 1/2 2/1 3/1\n", "points at nothing"),
    ],
)
def test_other_files_are_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.obj"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=said):
        read_hair(path)


def test_negative_indices_and_polygons(tmp_path: Path) -> None:
    path = tmp_path / "quad.obj"
    path.write_text(TRIANGLE + "v 1 1 0\nf -4 -3 -1 -2\n")
    assert read_hair(path).faces.tolist() == [[0, 1, 3], [0, 3, 2]]


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no OBJ"):
        hair_mesh_files(tmp_path)
