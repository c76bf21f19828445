"""Our GAGAvatar computes what the public network computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small import FILE, NUMBER, SMALL, small_network

from gshead_backend.errors import ArgumentError, FileFormatError
from gshead_backend.methods.gagavatar import parity, recipe
from gshead_backend.methods.gagavatar.lifting import network_camera, opencv_camera
from gshead_backend.methods.gagavatar.raster import Placed, rasterize_features, unit_rotations

ROOT = Path(__file__).resolve().parents[3]
PUBLIC = Path(os.environ.get("GSHEAD_SHARED", ROOT.parent / "shared")) / "data" / "gagavatar"
SETS = sorted(PUBLIC.glob("*.npz"))


def _altered(path: Path, change) -> Path:
    with np.load(FILE) as file:
        arrays = {k: file[k] for k in file.files}
    change(arrays)
    np.savez(path, **arrays)
    return path


def test_small_network_computes_what_it_did(capsys) -> None:
    assert FILE.stat().st_size < 300_000
    assert parity.main([str(FILE)]) == 0
    out = capsys.readouterr().out
    assert "A.rgb|slice" in out
    assert "EXCEEDED" not in out


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not SETS, reason="the public network's numbers are not here (GSHEAD_SHARED)")
@pytest.mark.parametrize("path", SETS or [None], ids=lambda p: p.stem if p else "none")
def test_released_size_equals_the_public_network(path: Path) -> None:
    command = [sys.executable, "-m", "gshead_backend.methods.gagavatar.parity", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "A.rgb|full16" in done.stdout


@pytest.mark.parametrize("name", ["dino.4|slice", "l0.colors|slice", "unit.raster|slice", "B.rgb|pool"])
def test_a_wrong_number_is_found_and_named(tmp_path: Path, capsys, name: str) -> None:
    def change(arrays: dict) -> None:
        arrays[name] = arrays[name] + 0.5 * arrays[name].std()

    assert parity.main([str(_altered(tmp_path / "wrong.npz", change))]) == 1
    assert f"the first is {name}" in capsys.readouterr().out


def test_another_set_number_means_other_weights_and_pictures(tmp_path: Path, capsys) -> None:
    def change(arrays: dict) -> None:
        meta = json.loads(str(arrays["meta"]))
        arrays["meta"] = np.array(json.dumps(meta | {"S": NUMBER + 1}))

    assert parity.main([str(_altered(tmp_path / "other.npz", change))]) == 1
    assert "the first is w.all|sum_abssum" in capsys.readouterr().out


def test_files_that_are_no_goldens_are_refused(tmp_path: Path, capsys) -> None:
    (tmp_path / "text.npz").write_text("not a zip")
    assert parity.main([str(tmp_path / "text.npz")]) == 3
    unknown = _altered(tmp_path / "unknown.npz", lambda a: a.update({"l2.colors|slice": np.zeros(3)}))
    assert parity.main([str(unknown)]) == 3
    assert "l2.colors" in capsys.readouterr().err
    with pytest.raises(FileFormatError, match="cut"):
        parity.read_golden(_altered(tmp_path / "cut.npz", _hostile_cut))


def _hostile_cut(arrays: dict) -> None:
    meta = json.loads(str(arrays["meta"]))
    meta["slices"]["f0"] = "[__import__('os').getcwd()]"
    arrays["meta"] = np.array(json.dumps(meta))


def test_cameras_go_there_and_back() -> None:
    given = recipe.inputs(7, 70, 10)
    camera = opencv_camera(given.driven, 64)
    np.testing.assert_allclose(network_camera(camera), given.driven, atol=1e-6)
    # seen from the front, +x of the world is on the picture's right and +y is up
    front = np.column_stack([np.diag([-1.0, 1, -1]), [0, 0, 10.5]])
    right, up = opencv_camera(front, 512).project(np.array([[0.1, 0, 0], [0, 0.1, 0]]))
    assert right[0] > 256 > up[1]
    with pytest.raises(ArgumentError, match="rotation"):
        opencv_camera(np.ones((3, 4)), 64)


def test_rotations_of_any_length_draw_alike_on_every_rasterizer() -> None:
    fields = recipe.unit_gaussians(3, 400, 8)
    placed = Placed(**{k: torch.from_numpy(v) for k, v in fields.items()})
    camera = opencv_camera(recipe.inputs(3, 70, 10).driven, 96)
    exact = rasterize_features(placed, camera, "exact")
    rotations, _ = unit_rotations(placed.rotations, placed.scales)
    torch.testing.assert_close(rotations.norm(dim=1), torch.ones(400))
    for backend in ("cpu", "reference"):
        drawn = rasterize_features(placed, camera, backend)
        assert float((drawn.color - exact.color).square().mean().sqrt() / exact.color.std()) < 5e-3
        assert float((drawn.alpha - exact.alpha).abs().mean()) < 2e-3
        solid = (drawn.alpha > 0.5) & (exact.alpha > 0.5)
        assert float((drawn.depth - exact.depth)[solid].abs().median()) < 1e-3


def test_people_and_viewports_never_mix() -> None:
    """Two people on one network, drawn in turn from two cameras: the same bytes as each alone."""
    sets = [recipe.inputs(n, SMALL.image, SMALL.points) for n in (1, 2)]

    def draw(network, person, given, camera):
        view = opencv_camera(camera, SMALL.size)
        return network.frame(person, torch.from_numpy(given.points1), view).rgb.numpy().tobytes()

    def build(network, given):
        return network.identity(torch.from_numpy(given.image), given.source)

    alone = []
    for given in sets:
        network = small_network()
        person = build(network, given)
        alone.append([draw(network, person, given, camera) for camera in (given.source, given.driven)])
    network = small_network()
    people = [build(network, given) for given in sets]
    for turn in (0, 1, 1, 0):
        for who in (0, 1):
            camera = (sets[who].source, sets[who].driven)[turn]
            assert draw(network, people[who], sets[who], camera) == alone[who][turn]
    assert len({picture for pair in alone for picture in pair}) == 4


def test_wrong_shapes_are_refused() -> None:
    network, given = small_network(), recipe.inputs(1, SMALL.image, SMALL.points)
    with pytest.raises(ArgumentError, match=r"\(3, 70, 70\)"):
        network.identity(torch.zeros(3, 64, 64), given.source)
    person = network.identity(torch.from_numpy(given.image), given.source)
    with pytest.raises(ArgumentError, match=r"\(300, 3\)"):
        network.frame(person, torch.zeros(299, 3), opencv_camera(given.source, SMALL.size))
    with pytest.raises(ArgumentError, match="64 x 64"):
        network.frame(person, torch.zeros(300, 3), opencv_camera(given.source, 65))
