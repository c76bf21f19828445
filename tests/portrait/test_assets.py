"""The networks: fetched once, checked always, and missed with a remedy."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from gshead_backend.errors import FileFormatError, MissingAssetError
from gshead_backend.portrait import assets


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GSHEAD_ASSETS", str(tmp_path / "assets"))
    return tmp_path / "assets"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip laid out like the wheel, made from the installed networks."""
    path = tmp_path_factory.mktemp("wheel") / "mediapipe-0.10.21-cp311-cp311-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, (inside, _) in assets.ASSETS.items():
            archive.write(assets.asset_path(name), inside)
        archive.writestr("mediapipe/modules/hand_landmark/hand_landmark_full.tflite", b"not asked for")
    return path


def test_networks_come_out_of_a_given_wheel(empty_cache: Path, wheel: Path) -> None:
    assert len(assets.missing_assets()) == 4
    paths = assets.fetch_assets(wheel)
    assert sorted(p.name for p in empty_cache.iterdir()) == sorted(assets.ASSETS)
    assert all(p.is_file() for p in paths)
    assert assets.missing_assets() == []


def test_a_folder_with_the_wheel_will_do(empty_cache: Path, wheel: Path) -> None:
    assets.fetch_assets(wheel.parent)
    assert assets.missing_assets() == []


def test_what_is_right_is_not_fetched_again(empty_cache: Path, wheel: Path) -> None:
    assets.fetch_assets(wheel)
    before = {p: p.stat().st_mtime_ns for p in empty_cache.iterdir()}
    assets.fetch_assets(Path("/nowhere"))
    assert {p: p.stat().st_mtime_ns for p in empty_cache.iterdir()} == before


def test_a_damaged_network_is_noticed_and_replaced(empty_cache: Path, wheel: Path) -> None:
    assets.fetch_assets(wheel)
    victim = empty_cache / "face_landmark.tflite"
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    with pytest.raises(MissingAssetError, match="damaged") as caught:
        assets.asset_path("face_landmark.tflite")
    assert "gshead assets fetch" in caught.value.remedy
    assets.fetch_assets(wheel)
    assert assets.missing_assets() == []


def test_a_missing_network_names_the_command(empty_cache: Path) -> None:
    with pytest.raises(MissingAssetError, match="not installed") as caught:
        assets.asset_path("iris_landmark.tflite")
    assert "gshead assets fetch" in caught.value.remedy


def test_a_wheel_with_other_networks_is_refused_and_leaves_nothing(empty_cache: Path, tmp_path: Path) -> None:
    fake = tmp_path / "mediapipe-0.10.21-fake.whl"
    with zipfile.ZipFile(fake, "w") as archive:
        for inside, _ in assets.ASSETS.values():
            archive.writestr(inside, b"something else")
    with pytest.raises(FileFormatError, match="sha256"):
        assets.fetch_assets(fake)
    assert list(empty_cache.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"no zip at all"])
def test_what_is_no_wheel_is_refused(empty_cache: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mediapipe.whl"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"not a mediapipe 0\.10\.21 wheel"):
        assets.fetch_assets(path)


def test_a_wrong_path_is_refused(empty_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no file"):
        assets.fetch_assets(tmp_path / "absent.whl")
    with pytest.raises(FileFormatError, match="neither"):
        assets.fetch_assets(tmp_path)
