"""The ``gshead`` command as a user meets it: in a process of its own."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
from pxr import Usd
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar import load_avatar, save_avatar
from gshead_backend.head import HeadModel
from gshead_backend.protocol import Client
from gshead_backend.protocol.launcher import start_backend

ROOT = Path(__file__).parents[2]
TAKE = ROOT / "samples" / "take_demo.json"


def gshead(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with the warnings that Python would hide turned into errors of ours."""
    return subprocess.run(
        [sys.executable, "-m", "gshead_backend.cli", *map(str, arguments)], capture_output=True, text=True,
        timeout=240, check=False, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def avatar_file(tiny_head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("avatar") / "tiny.gshead"
    save_avatar(make_tiny_avatar(tiny_head, 800), path)
    return path


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


def test_render_writes_the_frames_it_names(avatar_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    done = gshead(
        "render", avatar_file, "-o", out, "--take", TAKE, "--frames", "6,25,34-36:2", "--size", "96x64", "--json"
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [Path(f).name for f in result["files"]] == ["0006.png", "0025.png", "0034.png", "0036.png"]
    assert sorted(p.name for p in out.glob("*.png")) == ["0006.png", "0025.png", "0034.png", "0036.png"]
    assert json.loads((out / "manifest.json").read_text())["missing"] == []
    images = [cv2.imread(f, cv2.IMREAD_UNCHANGED) for f in result["files"]]
    assert all(i.shape == (64, 96, 4) for i in images)
    assert images[0][..., 3].max() > 200, "the head is there"
    assert images[0][0, 0, 3] == 0, "the corner is transparent"
    assert np.abs(images[0].astype(int) - images[1]).max() > 30, "the head turns"
    assert "100%" in done.stderr


def test_render_exr_and_backgrounds(avatar_file: Path, tmp_path: Path) -> None:
    done = gshead("render", avatar_file, "-o", tmp_path, "--size", "64", "--format", "exr")
    assert done.returncode == 0, done.stderr
    with OpenEXR.File(str(tmp_path / "0001.exr"), separate_channels=True) as file:
        channels = {name: c.pixels for name, c in file.channels().items()}
    assert set(channels) == set("RGBAZ")
    seen = channels["A"] > 0.5
    assert np.isfinite(channels["Z"][seen]).all()
    assert np.isinf(channels["Z"][0, 0])
    done = gshead("render", avatar_file, "-o", tmp_path, "--size", "64", "--background", "#ff8000", "--yaw", "30")
    assert done.returncode == 0, done.stderr
    image = cv2.imread(str(tmp_path / "0001.png"), cv2.IMREAD_UNCHANGED)
    assert image.shape == (64, 64, 3)
    assert image[0, 0].tolist() == [0, 128, 255]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_at_once_and_leaves_only_whole_files(avatar_file: Path, tmp_path: Path) -> None:
    command = ["render", avatar_file, "-o", tmp_path, "--take", TAKE, "--size", "1024"]
    with subprocess.Popen(
        [sys.executable, "-m", "gshead_backend.cli", *map(str, command)], stderr=subprocess.PIPE, text=True, cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if "Frame" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(30) == 130, rest
    assert "GSH-E103" in rest
    assert "Traceback" not in rest
    written = sorted(p.name for p in tmp_path.glob("*.png"))
    assert 0 < len(written) < 48
    assert not list((tmp_path / ".gshead").glob("*.claim"))
    for name in written:
        assert cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED).shape == (1024, 1024, 4)


def test_output_may_be_cut_off_by_its_reader() -> None:
    done = subprocess.run(
        f"'{sys.executable}' -m gshead_backend.cli --help | head -1", shell=True, capture_output=True, text=True,
        check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.startswith("usage: gshead")
    assert done.stderr == ""


@pytest.mark.slow
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


def test_export_usd_and_ply(avatar_file: Path, tmp_path: Path) -> None:
    done = gshead("export", avatar_file, "-o", tmp_path / "a.usdc", "--take", TAKE, "--frames", "10-14", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["frames"], result["splats"]) == (5, 800)
    assert result["files"] == [str(tmp_path / "a.usdc"), str(tmp_path / "a_head.png")]
    assert result["bytes"] == sum(Path(f).stat().st_size for f in result["files"])
    stage = Usd.Stage.Open(str(tmp_path / "a.usdc"))
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (10, 14)
    assert stage.GetPrimAtPath("/Camera")
    done = gshead("export", avatar_file, "-o", tmp_path / "a.ply", "--take", TAKE, "--frames", "35")
    assert done.returncode == 0, done.stderr
    assert b"element vertex 800" in (tmp_path / "a.ply").read_bytes()[:200]
    for out in ("b.usdc", "b.glb"):
        done = gshead("export", avatar_file, "-o", tmp_path / out, "--take", TAKE, "--frames", "1-48:2")
        assert (done.returncode, (tmp_path / out).exists()) == (2, False)
        assert "--frames" in done.stderr


def test_export_glb_and_numbered_files(avatar_file: Path, tmp_path: Path) -> None:
    arguments = ("--take", TAKE, "--frames", "8-10")
    done = gshead("export", avatar_file, "-o", tmp_path / "a.glb", "--content", "splats", *arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.glb").read_bytes()[:4] == b"glTF"
    for ending in ("ply", "spz"):
        done = gshead("export", avatar_file, "-o", tmp_path / f"n.{ending}", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["files"] == [str(tmp_path / f"n.{i:04d}.{ending}") for i in (8, 9, 10)]
    assert sorted(p.name for p in tmp_path.glob("n.*")) == sorted(
        f"n.{i:04d}.{e}" for i in (8, 9, 10) for e in ("ply", "spz")
    )


def test_tasks_export_the_parts_of_clips_one_by_one(avatar_file: Path, tmp_path: Path) -> None:
    arguments = ("--take", TAKE, "--frames", "1-20", "--mode", "clips", "--chunk", "8", "--half")
    for part in ("17-20", "root", "1-8", "9-16"):
        done = gshead("export", avatar_file, "-o", tmp_path / "s.usda", *arguments, "--part", part)
        assert done.returncode == 0, done.stderr
    stage = Usd.Stage.Open(str(tmp_path / "s.usda"))
    positions = stage.GetPrimAtPath("/Avatar/Splats").GetAttribute("positionsh")
    assert positions.GetTimeSamples() == list(range(1, 21))
    assert len(positions.Get(12)) == 800
    wrong = gshead("export", avatar_file, "-o", tmp_path / "s.usda", *arguments, "--part", "9-17")
    assert wrong.returncode == 2
    assert "root, 1-8, 9-16, 17-20" in wrong.stderr
    wrong = gshead("export", avatar_file, "-o", tmp_path / "s.usda", "--part", "root")
    assert (wrong.returncode, "--mode clips" in wrong.stderr) == (2, True)


def test_usd_comes_back_as_avatar_and_take(tmp_path: Path) -> None:
    from gshead_backend.avatar import load_take
    from gshead_backend.head import default_head

    avatar = make_tiny_avatar(default_head(), 300)
    save_avatar(avatar, tmp_path / "a.gshead")
    done = gshead("export", tmp_path / "a.gshead", "-o", tmp_path / "a.usdz", "--take", TAKE, "--mode", "rig")
    assert done.returncode == 0, done.stderr
    back = gshead(
        "import-usd", tmp_path / "a.usdz", "-o", tmp_path / "b.gshead", "--take", tmp_path / "b.json", "--json"
    )
    assert back.returncode == 0, back.stderr
    assert json.loads(back.stdout)["frames"] == 48
    got, want = load_avatar(tmp_path / "b.gshead"), load_avatar(tmp_path / "a.gshead")
    assert np.array_equal(got.offset, want.offset)
    assert (got.name, got.provenance) == (want.name, want.provenance)
    mine, theirs = load_take(TAKE), load_take(tmp_path / "b.json")
    for frame in (1, 15, 25, 40):
        vertices = [got.personal.vertices(take.pose(got.head, frame)) for take in (mine, theirs)]
        assert np.abs(vertices[0] - vertices[1]).max() < 2e-4, f"frame {frame}"
    (tmp_path / "c.usda").write_text("#usda 1.0\n")
    foreign = gshead("import-usd", tmp_path / "c.usda", "-o", tmp_path / "c.gshead")
    assert (foreign.returncode, (tmp_path / "c.gshead").exists()) == (3, False)
    assert "no head of gshead" in foreign.stderr


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


def test_render_writes_a_video_or_says_what_is_missing(avatar_file: Path, tmp_path: Path) -> None:
    arguments = ("render", avatar_file, "--take", TAKE, "--frames", "1-3", "--size", "64x64", "--device", "cpu")
    bare = {"PATH": str(tmp_path), "GSHEAD_FFMPEG": ""}
    done = gshead(*arguments, "-o", tmp_path / "a.mp4", "--background", "grey", **bare)
    if done.returncode != 0:  # the optional extra is not installed here
        assert (done.returncode, "GSH-E701" in done.stderr) == (1, True), done.stderr
    recorder = tmp_path / "recorder"
    recorder.write_text(f"#!{sys.executable}\nimport sys; open(sys.argv[-1], 'wb').write(sys.stdin.buffer.read())\n")
    recorder.chmod(0o755)
    out = tmp_path / "b.mp4"
    done = gshead(*arguments, "-o", out, "--background", "#808080", "--json", GSHEAD_FFMPEG=str(recorder))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] == [str(out)]
    pixels = np.frombuffer(out.read_bytes(), np.uint8).reshape(3, 64, 64, 3)
    assert (pixels[:, 0, 0] == 128).all()
    assert np.abs(pixels.astype(int) - 128).max() > 20
    done = gshead(*arguments, "-o", tmp_path / "c.mp4", GSHEAD_FFMPEG=str(recorder))
    assert (done.returncode, "cannot be transparent" in done.stderr) == (2, True)


def test_render_by_a_lamp_from_either_side(avatar_file: Path, tmp_path: Path) -> None:
    def shot(*how: str) -> np.ndarray:
        done = gshead("render", avatar_file, "-o", tmp_path, "--size", "64", "--device", "cpu", *how)
        assert done.returncode == 0, done.stderr
        pixels = cv2.imread(str(tmp_path / "0001.png"), cv2.IMREAD_UNCHANGED).astype(np.float64)
        return pixels[..., :3] * pixels[..., 3:] / 255

    left, right, photo = shot("--lamp", "80", "0"), shot("--lamp", "-80", "0"), shot()  # no frame stands for another
    assert left[:, 32:].mean() > 1.1 * right[:, 32:].mean()
    assert right[:, :32].mean() > 1.1 * left[:, :32].mean()
    assert np.abs(photo - left).max() > 20
    assert gshead("render", avatar_file, "-o", tmp_path, "--lamp", "0", "0", "--soft", "2").returncode == 2


def test_relight_writes_any_avatar_in_another_light(avatar_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "lit.gshead"
    done = gshead("relight", avatar_file, "-o", out, "--yaw", "60", "--soft", "0.1")
    assert done.returncode == 0, done.stderr
    before, after = load_avatar(avatar_file), load_avatar(out)
    assert np.abs(after.color - before.color).max() > 0.05
    assert np.shape(after.provenance["light"]) == (9, 3)
