"""``import_head`` on ICT-FaceKit's folder of OBJ files (a fabricated one, from the tables of ``test_ict``)."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from test_ict import ict_tables

from gshead_backend.cli import main
from gshead_backend.errors import FileFormatError
from gshead_backend.head import ARKIT_INDEX, HeadModel, PersonalHead, default_head, load_head, pose_from_arkit
from gshead_backend.head.importing import import_head
from gshead_backend.head.importing.ict_folder import NEUTRAL, read_ict_folder

MATERIALS = ("M_Face", "M_GumsTongue", "M_Teeth", "M_ScleraLeft", "M_ScleraRight")


def vertex_lines(points: np.ndarray) -> str:
    return "".join(f"v {x:.6g} {y:.6g} {z:.6g}\n" for x, y, z in points * 100)


def write_folder(folder: Path) -> dict[str, np.ndarray]:
    """As released: centimetres, quads among the faces, lashes that nobody asked for, sides as _L and _R."""
    tables = ict_tables()
    folder.mkdir(parents=True)
    template = np.asarray(tables["v_template"], float)
    lash = np.array([[0.0, 0.3, 0.0], [0.1, 0.3, 0.0], [0.0, 0.3, 0.1]])

    def morph(name: str, moved: np.ndarray) -> None:
        points = np.concatenate([template + moved, lash])
        (folder / f"{name}.obj").write_text("# a comment\n" + vertex_lines(points))

    for k, name in enumerate(tables["expression_names"]):
        morph(str(name), tables["expression_dirs"][:, :, k].astype(float))
    for k in range(tables["identity_dirs"].shape[2]):
        morph(f"identity{k:03d}", tables["identity_dirs"][:, :, k].astype(float))
    morph("PupilDilate_L", np.zeros_like(template))
    text = ["mtllib ICT.mtl\n", vertex_lines(np.concatenate([template, lash]))]
    text += [f"vt {u:.6f} {v:.6f}\n" for u, v in tables["uv"]]
    kind = tables["region"][tables["faces"][:, 0]]
    for k, material in enumerate(MATERIALS):
        text.append(f"usemtl {material}\n")
        for face, corner in zip(tables["faces"][kind == k] + 1, tables["uv_faces"][kind == k] + 1, strict=True):
            text.append("f " + " ".join(f"{v}/{t}" for v, t in zip(face, corner, strict=True)) + "\n")
    n = len(template)
    text += ["usemtl M_EyeLashes\n", f"f {n + 1}/1 {n + 2}/2 {n + 3}/3\n"]
    (folder / NEUTRAL).write_text("".join(text))
    return tables


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("release") / "ICT-FaceKit" / "FaceXModel"
    return folder, write_folder(folder)


@pytest.fixture(scope="module")
def imported(released: tuple[Path, dict[str, np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> HeadModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSHEAD_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        return load_head(import_head(released[0].parent))  # the folder that holds it will do


def test_the_tables_are_those_of_the_release(released: tuple[Path, dict[str, np.ndarray]]) -> None:
    folder, truth = released
    got = read_ict_folder(folder)
    np.testing.assert_allclose(got["v_template"], truth["v_template"], atol=1e-6)
    np.testing.assert_array_equal(got["region"], truth["region"])
    assert list(got["expression_names"]) == sorted(truth["expression_names"])  # and no PupilDilate
    order = np.argsort(truth["expression_names"])
    np.testing.assert_allclose(got["expression_dirs"], truth["expression_dirs"][:, :, order], atol=2e-5)
    np.testing.assert_allclose(got["identity_dirs"], truth["identity_dirs"], atol=2e-5)
    assert len(got["faces"]) == len(truth["faces"])  # without the lash


def test_the_rig_is_found_in_the_shapes(released: tuple[Path, dict[str, np.ndarray]]) -> None:
    got, source = read_ict_folder(released[0]), default_head()
    weights = got["skin_weights"]
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
    assert weights.min() >= 0
    assert weights[source.region_mask("teeth_lower"), 2].min() > 0.95
    assert weights[source.region_mask("teeth_upper", "scalp"), 2].max() == 0
    lowest = got["v_template"][:, 1] < _lowest(got) + 0.005
    assert weights[lowest, 0].min() > 0.9
    for eye, name in ((3, "eye_left"), (4, "eye_right")):
        assert weights[source.region_mask(name), eye].min() == 1
        assert np.linalg.norm(got["joints"][eye] - source.joints[eye]) < 0.002
    # The jaw turns about an axis through the source's joint, so that joint moves least.
    assert np.linalg.norm((got["joints"][2] - source.joints[2])[1:]) < 0.004


def _lowest(tables: dict[str, np.ndarray]) -> float:
    return float(tables["v_template"][:, 1].min())


def test_it_becomes_a_head_that_moves(imported: HeadModel) -> None:
    assert imported.name == "ICT-FaceKit"
    person = PersonalHead.create(imported, np.zeros(imported.identity_count))
    values = np.zeros(52)
    values[ARKIT_INDEX["jawOpen"]] = 1
    moved = person.vertices(pose_from_arkit(imported, values)) - person.rest
    assert np.linalg.norm(moved[imported.region_mask("teeth_lower")], axis=1).min() > 0.003
    assert np.abs(moved[imported.region_mask("teeth_upper")]).max() < 1e-4


def test_eyes_have_a_place_of_their_own_in_the_texture(imported: HeadModel) -> None:
    boxes = []
    for name in ("eye_left", "eye_right"):
        uv = imported.uv[imported.uv_faces[imported.region_mask(name)[imported.faces].all(1)]].reshape(-1, 2)
        boxes.append((uv.min(0), uv.max(0)))
    others = imported.uv[imported.uv_faces[~imported.region_mask("eye_left", "eye_right")[imported.faces].any(1)]]
    middles = others.mean(1)
    for low, high in boxes:
        assert not ((middles > low) & (middles < high)).all(1).any()
    assert (boxes[0][0] >= boxes[1][1]).any() or (boxes[1][0] >= boxes[0][1]).any()


@pytest.mark.parametrize(
    ("file", "change", "what"),
    [
        (NEUTRAL, None, "has no generic_neutral_mesh.obj"),
        ("jawOpen.obj", None, "jawOpen are needed"),
        ("jawOpen.obj", "v 1 2 3\n", "1 vertices, the neutral mesh"),
        ("identity002.obj", "v 1 2 three\n", "not three numbers"),
        ("identity002.obj", "v 1 2 nan\n", "not finite"),
        (NEUTRAL, "usemtl M_Face\nv 1 2 3\nvt 0 0\nf 1/1 1/1 9/1\n", "points outside the 1 vertices"),
        (NEUTRAL, "usemtl M_Face\nv 1 2 3\nvt 0 0\nf 1/1 1/1 x/1\n", "line 4 is not OBJ"),
        (NEUTRAL, "v 1 2 3\nf 1/1 1/1 1/1\n", "no faces of ICT-FaceKit's materials"),
    ],
)
def test_a_broken_folder_is_refused(
    released: tuple[Path, dict[str, np.ndarray]], tmp_path: Path, file: str, change: str | None, what: str
) -> None:
    folder = tmp_path / "FaceXModel"
    shutil.copytree(released[0], folder)
    if change is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(change)
    with pytest.raises(FileFormatError, match=what):
        import_head(folder, "broken")


def test_a_huge_file_is_not_read(released: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    folder = tmp_path / "FaceXModel"
    shutil.copytree(released[0], folder)
    with (folder / "identity000.obj").open("r+b") as f:
        f.truncate(65 * 2**20)
    with pytest.raises(FileFormatError, match="larger than 64 MiB"):
        read_ict_folder(folder)


def test_the_command_names_what_it_did_not_find(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["head", "import", str(tmp_path)]) != 0
    assert "it is not ICT-FaceKit's folder" in capsys.readouterr().err
