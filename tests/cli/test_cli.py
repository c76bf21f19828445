"""The ``gshead`` command as a user meets it: in a process of its own."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from pxr import Usd
from run_cli import ROOT, TAKE, gshead

from gshead_backend.avatar import load_avatar
from gshead_backend.protocol import Client
from gshead_backend.protocol.launcher import start_backend

SAMPLE = str(Path(ROOT) / "samples" / "astronaut.png")


def test_version_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from gshead_backend.cli import main; assert main(['version', '--json']) == 0;"
        "heavy = {'torch', 'cv2', 'scipy', 'numba', 'numpy', 'pxr'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    from gshead_backend import __version__

    assert json.loads(done.stdout)["gshead"] == __version__


@pytest.mark.parametrize(
    ("arguments", "code", "where", "text"),
    [
        ([], 2, "stderr", "usage: gshead"),
        (["--help"], 0, "stdout", "usage: gshead"),
        (["--version"], 0, "stdout", "gshead 0."),
        (["rendr"], 2, "stderr", "Did you mean 'render'?"),
        (["render"], 2, "stderr", "Missing"),
        (["render", "--help"], 0, "stdout", "--take"),
        (["render", "a.gshead", "-o", "x", "--frobnicate"], 2, "stderr", "frobnicate"),
        (["render", "a.gshead", "-o", "x", "--size", "12by9"], 2, "stderr", "GSH-E100: The size '12by9'"),
        (["render", "a.gshead", "-o", "x", "--background", "mauve"], 2, "stderr", "GSH-E100: 'mauve'"),
        (["render", "a.gshead", "-o", "x", "--format", "exr", "--background", "white"], 2, "stderr", "GSH-E100"),
        (["render", "absent.gshead", "-o", "x"], 3, "stderr", "GSH-E101: 'absent.gshead' cannot be read"),
        (["render", __file__, "-o", "x"], 3, "stderr", "GSH-E101"),
        (["export", "absent.gshead", "-o", "x.fbx"], 2, "stderr", "must end in"),
        (["reconstruct", "absent.jpg", "-o", "x.gshead"], 3, "stderr", "GSH-E101: 'absent.jpg' cannot be read"),
        (["reconstruct", __file__, "-o", f"{__file__}/x.gshead"], 1, "stderr", "GSH-E700"),
        (["reconstruct", "absent.jpg", "-o", "x.jpg"], 2, "stderr", "must end in .gshead"),
        (["reconstruct", SAMPLE, "-o", "x.gshead", "--seed", "-5"], 2, "stderr", "GSH-E100: A seed is 0 to"),
        (["reconstruct", SAMPLE, "-o", "x.gshead", "--splats", "5"], 2, "stderr", "GSH-E100: An avatar has 2000"),
        (["reconstruct", str(Path(SAMPLE).parent), "-o", "x", "--seed", "-5"], 2, "stderr", "GSH-E100: A seed is"),
        (["reconstruct", str(Path(SAMPLE).parent), "-o", "x", "--head", "nobody"], 2, "stderr", "of an installed head"),
        (["reconstruct", "a" * 300 + ".jpg", "-o", "x.gshead"], 3, "stderr", "cannot be used: File name too long"),
        (
            ["farm", "template", "slurm", "a.blend", "-o", "x", "--frames", "1-2", "--job", f"{__file__}/a.sh"],
            1,
            "stderr",
            "GSH-E700",
        ),
        (["train", "sega", "--stage", "motion", "--out", f"{__file__}/out"], 1, "stderr", "GSH-E700"),
        (["train", "data", "--data", f"{__file__}/out"], 1, "stderr", "GSH-E700"),
        (["dataset", "prepare", __file__, "-o", f"{__file__}/out"], 1, "stderr", "GSH-E700"),
        (["head"], 2, "stderr", "import"),
        (["serve", "--name", "no spaces"], 2, "stderr", "1 to 40 letters"),
    ],
)
def test_exit_codes_and_one_clear_line(arguments: list[str], code: int, where: str, text: str, tmp_path: Path) -> None:
    done = gshead(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert text in getattr(done, where)
    assert "Traceback" not in done.stderr
    if "GSH-E" in done.stderr:
        assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == "" or code == 0, "results alone go to stdout"
    assert not list(tmp_path.iterdir())


def test_errors_are_json_when_asked_for_and_tracebacks_when_debugging(tmp_path: Path) -> None:
    done = gshead("render", "absent.gshead", "-o", "x", "--json", cwd=tmp_path)
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "GSH-E101"
    assert set(error) == {"code", "message", "remedy"}
    done = gshead("--debug", "render", "absent.gshead", "-o", "x", cwd=tmp_path)
    assert done.returncode == 3
    assert "Traceback" in done.stderr


def test_output_may_be_cut_off_by_its_reader() -> None:
    done = subprocess.run(
        f"'{sys.executable}' -m gshead_backend.cli --help | head -1", shell=True, capture_output=True, text=True,
        check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.startswith("usage: gshead")
    assert done.stderr == ""


def test_a_photo_becomes_an_avatar_frames_and_usd(tmp_path: Path) -> None:
    """The whole way on the real portrait, on the CPU."""
    avatar = tmp_path / "eileen.gshead"
    photo = ROOT / "samples" / "astronaut.png"
    done = gshead("reconstruct", photo, "-o", avatar, "--quality", "draft", "--name", "Eileen Collins", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["name"] == "Eileen Collins"
    assert made["head"] == "gshead-default"
    assert made["splats"] > 10_000
    assert made["bytes"] == avatar.stat().st_size
    done = gshead("render", avatar, "-o", tmp_path / "out", "--take", TAKE, "--frames", "1,6,15,25,35", "--size", "256")
    assert done.returncode == 0, done.stderr
    front, blink, left, right, jaw = (
        cv2.imread(str(tmp_path / "out" / f"{n:04d}.png"), cv2.IMREAD_UNCHANGED).astype(int) for n in (1, 6, 15, 25, 35)
    )
    assert 0.2 < (front[..., 3] > 128).mean() < 0.7, "the head fills a good part of the frame"
    face = front[95:150, 120:170]
    assert (face[..., 3] > 250).mean() > 0.99, "no holes in the face"
    assert (face[..., 2] > face[..., 0]).mean() > 0.8, "skin is redder than blue"
    for moved in (blink, left, right, jaw):
        assert np.abs(moved - front)[..., :3].max() > 60
    done = gshead("export", avatar, "-o", tmp_path / "eileen.usdc", "--take", TAKE, "--frames", "1-3")
    assert done.returncode == 0, done.stderr
    stage = Usd.Stage.Open(str(tmp_path / "eileen.usdc"))
    assert len(stage.GetPrimAtPath("/Avatar/Splats").GetAttribute("positions").Get(2)) == made["splats"]


def test_a_photo_without_a_face_says_so_and_writes_nothing(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "sky.png"), np.full((400, 400, 3), (230, 160, 90), np.uint8))
    done = gshead("reconstruct", tmp_path / "sky.png", "-o", tmp_path / "sky.gshead", "--quality", "draft")
    assert done.returncode == 3
    assert "GSH-E303" in done.stderr
    assert done.stdout == ""
    assert [p.name for p in tmp_path.iterdir()] == ["sky.png"]


def test_reduce_writes_a_smaller_avatar_and_says_what_it_refuses(avatar_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.gshead"
    done = gshead("reduce", avatar_file, "-o", out, "--splats", 500, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["splats"] == len(load_avatar(out)) == 500 < told["of"]
    again = gshead("reduce", out, "-o", tmp_path / "again.gshead", "--splats", 500)
    assert again.returncode == 2
    assert "no more than the 500 asked for" in again.stderr
    assert not (tmp_path / "again.gshead").exists()


def test_doctor_passes_here_without_a_gpu_and_reports_every_area() -> None:
    done = gshead("doctor", "--json")
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["ok"]
    names = {c["name"] for c in report["checks"]}
    assert {
        "Python", "packages", "OpenCV", "OpenUSD", "torch", "CPU rasterizer", "portrait networks", "default head",
        "runtime folder", "backend", "cache folder",
    } <= names  # fmt: skip
    assert all(c["detail"] for c in report["checks"])
    assert all(c["fix"] for c in report["checks"] if c["status"] != "ok")


def test_doctor_says_how_to_fix_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    done = gshead("doctor", GSHEAD_ASSETS=str(tmp_path / "empty"), GSHEAD_RUNTIME_DIR=str(tmp_path / "shared"))
    assert done.returncode == 1
    assert "gshead assets fetch" in done.stdout
    assert "GSHEAD_RUNTIME_DIR" in done.stdout or "0700" in done.stdout
    assert done.stderr == ""


def test_serve_answers_and_ends_with_its_starter(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gshead_backend.cli", "serve", "--grace", "0.2", "--device", "cpu"]
    with tempfile.TemporaryDirectory(prefix="gsh-") as runtime:
        backend = start_backend(command, directory=runtime, env={"PYTHONPATH": str(ROOT)})
        with Client(backend.endpoint, name="test") as client:
            assert client.hello().pid == backend.endpoint.pid
            second = gshead("serve", "--runtime-dir", runtime)
            assert second.returncode == 4
            assert "GSH-E600" in second.stderr
            done = gshead("doctor", "--json", GSHEAD_RUNTIME_DIR=runtime)
            found = next(c for c in json.loads(done.stdout)["checks"] if c["name"] == "backend")
            assert str(backend.endpoint.pid) in found["detail"]
        backend.release()
        assert backend.wait(20) == 0


class _Attack:
    """What a hostile pickle does when it is read carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_hostile_flame_file_is_refused_without_running_it(tmp_path: Path) -> None:
    (tmp_path / "flame.pkl").write_bytes(pickle.dumps({"v_template": _Attack(tmp_path / "owned")}))
    done = gshead("head", "import", tmp_path / "flame.pkl", "--json", GSHEAD_DATA_DIR=str(tmp_path / "data"))
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "GSH-E201"
    assert [p.name for p in tmp_path.iterdir()] == ["flame.pkl"]
    done = gshead("head", "import", tmp_path / "absent.pkl", GSHEAD_DATA_DIR=str(tmp_path / "data"))
    assert done.returncode == 3
    assert "GSH-E101" in done.stderr


def test_heads_and_assets_are_listed(tmp_path: Path) -> None:
    (tmp_path / "heads").mkdir()
    (tmp_path / "heads" / "broken.safetensors").write_bytes(b"no")
    done = gshead("head", "list", "--json", GSHEAD_DATA_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    heads = {h["name"]: h for h in json.loads(done.stdout)["heads"]}
    assert heads["gshead-default"]["license"] == "CC0-1.0"
    assert "not a head file" in heads["broken"]["error"]
    done = gshead("assets", "list", GSHEAD_ASSETS=str(tmp_path))
    assert done.returncode == 0
    assert done.stdout.count("missing") == 4
    done = gshead("assets", "fetch", "--from", tmp_path, GSHEAD_ASSETS=str(tmp_path / "to"))
    assert done.returncode == 3
    assert "GSH-E101" in done.stderr
