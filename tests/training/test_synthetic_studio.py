"""Photographs of synthetic people: the same again from the same seed, true in every detail, kept in shards."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gshead_backend.avatar.drive import drive
from gshead_backend.cli import main
from gshead_backend.errors import FileFormatError
from gshead_backend.portrait.labels import LABEL_INDEX
from gshead_backend.training.crops import crop_sample
from gshead_backend.training.synthetic import shards, workers
from gshead_backend.training.synthetic.balance import report, survey
from gshead_backend.training.synthetic.light import Light, irradiance, lobe, sh_basis
from gshead_backend.training.synthetic.people import Person, make_person
from gshead_backend.training.synthetic.photograph import photograph, render, shade
from gshead_backend.training.synthetic.sample import Drawing, Sample, draw
from gshead_backend.training.synthetic.shadow import sphere_directions, visibility
from gshead_backend.training.synthetic.sheet import LAYERS, cell, sheet

SIZE = 128


@pytest.fixture(scope="module")
def person() -> Person:
    return make_person(3, splats=40_000)


@pytest.fixture(scope="module")
def sample(person: Person) -> Sample:
    return photograph(person, 1, SIZE)


def same(a: Sample, b: Sample) -> bool:
    plain = all(
        np.array_equal(getattr(a, f), getattr(b, f)) for f in ("image", "matte", "labels", "albedo", "landmarks")
    )
    return plain and a.about == b.about and np.array_equal(a.camera.viewmat, b.camera.viewmat)


def test_the_same_seed_gives_the_same_bytes_in_other_processes_too() -> None:
    here = [draw(seed, Drawing(96)) for seed in (16, 17)]
    there = [s for s in workers.each_sample([16, 17], Drawing(96), workers=2) if isinstance(s, Sample)]
    assert all(same(a, b) for a, b in zip(here, there, strict=True))
    assert not np.array_equal(here[0].image, here[1].image)


def test_a_photograph_without_maps_is_the_same_picture(person: Person, sample: Sample) -> None:
    bare = photograph(person, 1, SIZE, maps=False)
    np.testing.assert_array_equal(bare.image, sample.image)
    np.testing.assert_array_equal(bare.matte, sample.matte)
    assert bare.labels.size == bare.albedo.size == 0
    assert bare.about | {"seen": 0} == sample.about | {"seen": 0}


def test_crops_without_maps_hold_what_the_regressor_learns_from(person: Person) -> None:
    whole, face = (crop_sample(photograph(person, 1, 320, maps=maps)) for maps in (True, False))
    assert whole is not None
    assert face is not None
    assert set(whole) - set(face) == {"image", "person", "labels", "matte", "marks"}
    for key, value in face.items():
        np.testing.assert_array_equal(value, whole[key], err_msg=key)


def test_everything_is_there_and_of_one_size(sample: Sample) -> None:
    assert sample.image.shape == (SIZE, SIZE, 3)
    assert sample.image.dtype == np.uint8
    assert sample.matte.shape == sample.labels.shape == (SIZE, SIZE)
    assert sample.landmarks.shape == (478, 2)
    assert sample.arkit.shape == (52,)
    assert sample.gaze.shape == (2, 2)
    assert sample.light.shape == (9, 3)
    assert all(np.isfinite(getattr(sample, f.name)).all() for f in fields(sample) if f.name in ("albedo", "light"))


def test_labels_agree_with_the_matte(sample: Sample) -> None:
    assert np.array_equal(sample.labels > 0, sample.matte >= 0.5)
    skin = (sample.labels == LABEL_INDEX["skin"]).mean()
    assert 0.01 < skin < 0.6


def test_landmarks_lie_on_the_splats_of_their_feature(person: Person) -> None:
    shots = [photograph(person, k, 256) for k in range(6)]
    shot = min(shots, key=lambda s: abs(s.about["yaw"]))
    splats = drive(person.avatar, shot.pose)
    seen = shot.camera.project(splats.means)[:, :2]
    lips = seen[person.surfels.labels == LABEL_INDEX["lips"]]
    for mark in (61, 291, 0, 17):  # corners and edges of the lips
        nearest = np.linalg.norm(lips - shot.landmarks[mark], axis=1).min()
        assert nearest < 0.03 * 256
    eyes = seen[person.surfels.labels == LABEL_INDEX["eyes"]]
    for mark in (468, 473):
        assert np.linalg.norm(eyes - shot.landmarks[mark], axis=1).min() < 2.5


def test_a_constant_sky_gives_pi_times_its_radiance() -> None:
    sh = np.zeros((9, 3))
    sh[0] = 0.7 * np.sqrt(4 * np.pi)
    assert irradiance(sh, sphere_directions(20)) == pytest.approx(np.full((20, 3), 0.7 * np.pi), rel=1e-4)


def test_a_soft_source_has_the_harmonics_that_integration_gives() -> None:
    toward, directions = np.array([0.6, 0.0, 0.8]), sphere_directions(20_000)
    radiance = np.exp((directions @ toward - 1) / 0.6**2)
    integral = (sh_basis(directions) * radiance[:, None]).mean(0) * 4 * np.pi
    assert lobe(toward, np.ones(3), 0.6)[:, 1] == pytest.approx(integral, abs=2e-3)


def test_a_sun_from_the_left_lights_the_left(person: Person, sample: Sample) -> None:
    splats = drive(person.avatar, sample.pose)
    toward = np.array([1.0, 0.0, 0.15]) / np.hypot(1.0, 0.15)  # the person's left is +X
    dark = np.zeros((9, 3))
    sun = Light("sun", dark, toward, np.full(3, 3.0), 0.02, toward, np.zeros(3))
    radiance = shade(person, splats, sample.camera, sun)
    skin = person.surfels.labels == LABEL_INDEX["skin"]
    x = person.surfels.means[:, 0]
    assert radiance[skin & (x > 0.03)].mean() > 5 * radiance[skin & (x < -0.03)].mean()
    off = shade(person, splats, sample.camera, replace(sun, sun=np.zeros(3)))
    assert np.abs(off).max() == 0


def test_what_stands_before_the_sun_casts_a_shadow() -> None:
    grid = np.stack(np.meshgrid(np.linspace(-0.1, 0.1, 60), np.linspace(-0.1, 0.1, 60)), -1).reshape(-1, 2)
    wall = np.concatenate([grid, np.zeros((len(grid), 1))], 1)
    disc = wall[np.linalg.norm(grid, axis=1) < 0.03] + [0, 0, 0.05]
    points = np.concatenate([wall, disc])
    flat = np.full(len(points), 0.004)
    seen = visibility(points, flat, np.ones(len(points)), np.array([0, 0, 1.0]), flat)[: len(wall)]
    radius = np.linalg.norm(grid, axis=1)
    assert seen[radius < 0.025].max() < 0.05
    assert seen[radius > 0.04].min() > 0.95


def test_the_albedo_does_not_know_the_light(person: Person, sample: Sample) -> None:
    splats = drive(person.avatar, sample.pose)
    black = np.zeros((len(person), 3), np.float32)
    linear, albedo, _, _ = render(person, splats, black, sample.camera)
    assert np.abs(linear).max() < 1e-6
    assert np.array_equal(albedo, sample.albedo)


def test_uv_maps_cover_the_face(person: Person) -> None:
    maps = person.uv_maps(64)
    assert maps["albedo"].shape == (64, 64, 3)
    assert 0.2 < maps["covered"].mean() <= 1
    assert {LABEL_INDEX["skin"], LABEL_INDEX["lips"]} <= set(np.unique(maps["label"]))
    assert (maps["scale"][maps["covered"]] > 0).all()


def test_a_shard_gives_back_what_went_in(tmp_path: Path, sample: Sample) -> None:
    shards.write(tmp_path / "a.safetensors", [sample, sample])
    first, second = shards.read(tmp_path / "a.safetensors")
    assert same(first, second)
    assert np.array_equal(first.labels, sample.labels)
    assert np.array_equal(first.landmarks, sample.landmarks)
    assert first.about == json.loads(json.dumps(sample.about))
    assert np.abs(first.matte - sample.matte).max() <= 0.5 / 255 + 1e-6
    assert np.abs(first.image.astype(int) - sample.image).mean() < 4
    assert np.array_equal(first.pose.to_vector(), sample.pose.to_vector())
    (tmp_path / "b.safetensors").write_bytes(b"nonsense")
    with pytest.raises(FileFormatError):
        list(shards.read(tmp_path / "b.safetensors"))


def test_shards_go_on_where_they_were(tmp_path: Path, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def each(seeds: list[int], *_: object, **__: object) -> object:
        asked.extend(seeds)
        return iter([sample] * len(seeds))

    monkeypatch.setattr(shards, "SHARD", 2)
    monkeypatch.setattr(shards, "each_sample", each)
    assert shards.make(tmp_path, 100, 4)["made"] == 4
    next(tmp_path.glob("0000000102*")).unlink()
    again = shards.make(tmp_path, 100, 6)
    assert (again["made"], again["found"]) == (4, 2)
    assert asked == [100, 101, 102, 103, 102, 103, 104, 105]


def test_sheet_and_report(sample: Sample) -> None:
    cells = [cell(sample, LAYERS, 32)] * 3
    assert sheet(cells, 2).shape == (64, 2 * 32 * len(LAYERS), 3)
    seen = survey([16], Drawing(96))
    text = report(seen)
    assert "skin tone (ITA)" in text
    assert "| glasses |" in text


def test_the_command_makes_a_sheet_and_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "s.jpg")
    assert (
        main(["synthetic", "sheet", "--seed", "2", "--count", "1", "--size", "96", "--cell", "48", "--out", out]) == 0
    )
    assert (tmp_path / "s.jpg").stat().st_size > 500
    folder = str(tmp_path / "shards")
    words = ["synthetic", "make", "--split", "test", "--seed", "16", "--count", "2", "--size", "96", "--out", folder]
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made"] == 2
    assert main(["synthetic", "sheet", "--layers", "nonsense"]) == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_sees_the_same(person: Person, sample: Sample) -> None:
    again = photograph(person, 1, SIZE, device="cuda")
    assert np.abs(again.matte - sample.matte).mean() < 0.01
