"""``import_head``: a FLAME-shaped file becomes a usable head; a pickle that wants to run something does not."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from flame_file import flame_tables, write_chumpy_pickle

from gshead_backend.errors import ArgumentError, FileFormatError, MissingAssetError, UnsafePickleError
from gshead_backend.head import (
    ARKIT_INDEX,
    HeadModel,
    PersonalHead,
    default_head,
    find_head,
    installed_heads,
    load_head,
    pose_from_arkit,
)
from gshead_backend.head.bake.atlas import flipped
from gshead_backend.head.importing import import_head
from gshead_backend.head.importing.flame import read_flame


@pytest.fixture(scope="module")
def tables() -> dict[str, np.ndarray]:
    return flame_tables()


@pytest.fixture(scope="module")
def imported(tables: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> HeadModel:
    folder = tmp_path_factory.mktemp("data")
    write_chumpy_pickle(tables, folder / "flame_test.pkl")
    assert "chumpy" not in sys.modules
    before = os.environ.get("GSHEAD_DATA_DIR")
    os.environ["GSHEAD_DATA_DIR"] = str(folder)
    try:
        path = import_head(folder / "flame_test.pkl", "flame-test")
        assert path == folder / "heads" / "flame-test.safetensors"
        assert installed_heads()["flame-test"] == path
        head = load_head("flame-test")
        assert find_head(head.sha256).name == "flame-test"
        return head
    finally:
        del os.environ["GSHEAD_DATA_DIR"]
        if before is not None:
            os.environ["GSHEAD_DATA_DIR"] = before


def test_tables_survive(imported: HeadModel, tables: dict[str, np.ndarray]):
    own = len(tables["v_template"])  # the mouth's parts come after FLAME's own vertices
    np.testing.assert_allclose(imported.template[:own], tables["v_template"], atol=1e-6)
    np.testing.assert_array_equal(imported.faces[: len(tables["f"])], tables["f"])
    np.testing.assert_allclose(imported.joints, tables["J_regressor"] @ tables["v_template"], atol=1e-5)
    assert (imported.identity_count, imported.expression_count) == (300, tables["shapedirs"].shape[2] - 300)
    assert imported.license == "LicenseRef-FLAME"


def test_landmarks_land_where_the_default_heads_do(imported: HeadModel):
    """The fabricated head is the default one scaled and moved, so its landmarks are known."""
    own = default_head()
    places = []
    for head in (own, imported):
        rest = PersonalHead.create(head, np.zeros(head.identity_count)).rest
        places.append((rest[head.faces[head.landmark_triangles]] * head.landmark_bary[:, :, None]).sum(1))
    expected = places[0] * 1.04 + [0.0, -0.02, -0.03]
    error = np.linalg.norm(places[1] - expected, axis=1)
    assert np.median(error) < 0.003
    assert np.percentile(error, 90) < 0.008


def test_arkit_channels_are_transferred(imported: HeadModel):
    """Displacements of the mouth and lids match the default head's on the same (scaled) surface."""
    own = default_head()
    reference = PersonalHead.create(own, np.zeros(own.identity_count))
    person = PersonalHead.create(imported, np.zeros(imported.identity_count))
    keep = own.region_mask("skin", "scalp", "ear", "neck", "lips", "lids", "eye_left", "eye_right")
    used = np.unique(own.faces[keep[own.faces].all(1)])
    for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkRight", "mouthPucker", "browInnerUp"):
        channels = np.zeros(52)
        channels[ARKIT_INDEX[name]] = 1
        wanted = 1.04 * (reference.vertices(pose_from_arkit(own, channels)) - reference.rest)[used]
        got = (person.vertices(pose_from_arkit(imported, channels)) - person.rest)[: len(used)]
        strong = np.linalg.norm(wanted, axis=1) > 0.002
        error = np.linalg.norm(got - wanted, axis=1)[strong].mean() / np.linalg.norm(wanted, axis=1)[strong].mean()
        assert error < 0.25, f"{name}: {error:.2f}"
    assert 0.3 < imported.arkit_jaw[ARKIT_INDEX["jawOpen"], 0] < 0.5


MOUTH = ("mouth_cavity", "gums", "teeth_upper", "teeth_lower", "tongue")


def test_the_mouth_is_grafted_behind_the_lips(imported: HeadModel):
    """FLAME has no teeth: the default head's come along, where they are on the default head."""
    own = default_head()
    reference = PersonalHead.create(own, np.zeros(own.identity_count)).rest * 1.04 + [0.0, -0.02, -0.03]
    person = PersonalHead.create(imported, np.zeros(imported.identity_count))
    for name in MOUTH:
        there, wanted = person.rest[imported.region_mask(name)], reference[own.region_mask(name)]
        assert len(there) > 0.9 * len(wanted), name
        assert np.linalg.norm(there.mean(0) - wanted.mean(0)) < 0.004, name
    opened = np.zeros(52)
    opened[ARKIT_INDEX["jawOpen"]] = 1
    moved = person.vertices(pose_from_arkit(imported, opened)) - person.rest
    assert moved[imported.region_mask("teeth_lower"), 1].mean() < -0.012
    assert np.abs(moved[imported.region_mask("teeth_upper")]).max() < 1e-4


def test_the_mouth_follows_the_identity(imported: HeadModel):
    """Eight random people: the teeth stay where the lips are, and behind them."""
    rng = np.random.default_rng(4)
    mean = PersonalHead.create(imported, np.zeros(300))
    lips, teeth = imported.region_mask("lips"), imported.region_mask("teeth_upper", "teeth_lower")
    for _ in range(8):
        betas = np.zeros(300, np.float32)
        betas[:8] = rng.normal(size=8)
        rest = PersonalHead.create(imported, betas).rest
        before = mean.rest[teeth].mean(0) - mean.rest[lips].mean(0)
        after = rest[teeth].mean(0) - rest[lips].mean(0)
        assert np.linalg.norm(after - before) < 0.003
        assert rest[teeth, 2].max() < rest[lips, 2].max() - 0.002


def test_uv_does_not_fold_on_the_face(imported: HeadModel):
    assert imported.uv.min() >= 0
    assert imported.uv.max() <= 1
    area = flipped(imported.uv.astype(np.float64), imported.uv_faces)
    face = imported.region_mask("skin", "lips", "lids")[imported.faces].all(1)
    assert (np.sign(area[face]) != np.sign(np.median(area[face]))).mean() < 0.003


def test_npz_gives_the_same_tables(tables: dict[str, np.ndarray], tmp_path: Path):
    np.savez(tmp_path / "flame.npz", **tables)  # type: ignore[arg-type]
    write_chumpy_pickle(tables, tmp_path / "flame.pkl")
    one, other = read_flame(tmp_path / "flame.npz"), read_flame(tmp_path / "flame.pkl")
    for key in ("template", "identity", "expression", "correctives", "weights", "faces"):
        np.testing.assert_array_equal(getattr(one, key), getattr(other, key))
    np.testing.assert_allclose(one.regressor, other.regressor, atol=1e-12)


class _Runs:
    """Pickles to a call."""

    def __init__(self, function: object, *args: object) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("where", ["top", "value", "inside an array", "nested", "as state"])
def test_code_is_refused_and_not_run(tmp_path: Path, protocol: int, where: str):
    witness = tmp_path / "witness"
    for attack in (
        _Runs(os.system, f"touch {witness}"),
        _Runs(eval, f"open({str(witness)!r}, 'w')"),
        _Runs(open, str(witness), "w"),
        _Runs(getattr, [], "append"),
        _Runs(pickle.loads, pickle.dumps(_Runs(os.system, f"touch {witness}"))),
    ):
        content: object = attack
        if where == "value":
            content = {"v_template": np.zeros((3, 3)), "f": [attack]}
        elif where == "inside an array":
            content = {"v_template": np.array([attack, None], dtype=object)}
        elif where == "nested":
            content = {"a": np.zeros(2), "b": {"x": attack}}
        elif where == "as state":
            content = {"a": (np.float64(1.0), [{"deep": attack}])}
        path = tmp_path / "evil.pkl"
        path.write_bytes(pickle.dumps(content, protocol=protocol))
        with pytest.raises(UnsafePickleError, match="not plain data"):
            read_flame(path)
        assert not witness.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x80\x02", b"not a pickle at all", pickle.dumps([1, 2]), pickle.dumps({"v_template": 3}),
        b"cos\nsystem\n(S'true'\ntR.", b"\x80\x02cnumpy\nndarray\n(K\x05tR.", b"(" * 100_000,
        b"\x80\x04\x8e" + b"\xff" * 8, b"\x80\x02r" + b"\xff" * 4, b"\x80\x02cchumpy.ch\nCh\n)\x81}b.",
        b"\x80\x02\x82\x01.", b"\x80\x02U\x01aQ.",
    ],
)  # fmt: skip
def test_broken_files_are_named(tmp_path: Path, data: bytes):
    path = tmp_path / "flame.pkl"
    path.write_bytes(data)
    with pytest.raises((FileFormatError, UnsafePickleError)):
        read_flame(path)


def test_wrong_tables_are_named(tables: dict[str, np.ndarray], tmp_path: Path):
    small = {k: v for k, v in tables.items() if k != "shapedirs"}
    path = tmp_path / "flame.npz"
    np.savez(path, **small)  # type: ignore[arg-type]
    with pytest.raises(FileFormatError, match="shapedirs"):
        read_flame(path)
    v = len(tables["v_template"])
    for key, value, message in (
        ("f", tables["f"] + v, "faces index"),
        ("kintree_table", tables["kintree_table"][:, ::-1], "joint tree"),
        ("weights", tables["weights"][:, :4], "weights"),
        ("v_template", tables["v_template"] * np.nan, "NaN"),
        ("shapedirs", tables["shapedirs"][:, :, :100], "100 shape components"),
    ):
        np.savez(path, **{**tables, key: value})  # type: ignore[arg-type]
        with pytest.raises(FileFormatError, match=message):
            read_flame(path)
    with pytest.raises(FileFormatError, match="no file"):
        read_flame(tmp_path / "absent.pkl")
    (tmp_path / "model.obj").write_text("v 0 0 0")
    with pytest.raises(FileFormatError, match="neither"):
        read_flame(tmp_path / "model.obj")


def test_bad_names_and_missing_network(tables: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("gshead-default", "../up", "a b", ".hidden"):
        with pytest.raises(ArgumentError):
            import_head(tmp_path / "x.pkl", name)
    monkeypatch.setenv("GSHEAD_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("GSHEAD_ASSETS", str(tmp_path / "nothing"))
    np.savez(tmp_path / "flame.npz", **tables)  # type: ignore[arg-type]
    with pytest.raises(MissingAssetError, match="face_landmark"):
        import_head(tmp_path / "flame.npz")
    assert not (tmp_path / "heads").exists()
