"""A small animation on a farm of one machine: in one piece, in chunks, by two at once, killed and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import locked_tools
import psutil
import pytest
from harness import BACKEND_COMMAND, HIDDEN, ROOT, VERSIONS, Blender, blender_python, extension_zip
from pictures import read_png

FRAMES = "1-6"
submitted: dict = {}
"""What the operator wrote, as the scene's script tells it."""


@dataclass(frozen=True)
class Shot:
    """A saved scene, and how ``gshead`` is run on it."""

    blend: Path
    version: str
    runtime: Path

    def start(self, *arguments: object, frames: str = FRAMES, mark: str = "") -> subprocess.Popen[str]:
        kept = {k: v for k, v in os.environ.items() if k not in HIDDEN}
        environment = {
            **kept, "PYTHONPATH": str(ROOT), "GSHEAD_BACKEND_COMMAND": json.dumps(BACKEND_COMMAND),
            "GSHEAD_RUNTIME_DIR": str(self.runtime), "GSHEAD_TEST_MARK": mark,
        }  # fmt: skip
        verb = arguments[:1] if arguments[0] != "farm" else arguments[:2]
        rest = arguments[len(verb) :]
        command = [
            sys.executable, "-m", "gshead_backend.cli", *verb, self.blend, "--frames", frames, "--blender",
            blender_python(self.version), "--extension", extension_zip(), "--json", *rest,
        ]  # fmt: skip
        return subprocess.Popen(
            list(map(str, command)),
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )

    def run(self, *arguments: object, frames: str = FRAMES, code: int = 0) -> dict:
        process = self.start(*arguments, frames=frames)
        out, err = process.communicate(timeout=240)
        assert process.returncode == code, err[-3000:]
        return {**json.loads(out.strip().splitlines()[-1]), "err": err}


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shot]:
    """In the newest Blender that is here."""
    there = [version for version in VERSIONS if blender_python(version).exists()]
    if not there:
        pytest.skip("SKIPPED: no Blender is set up here (python3 bootstrap.py setup)")
    folder, runtime = tmp_path_factory.mktemp("farm"), Path(tempfile.mkdtemp(prefix="gsh-"))
    made = Blender(there[-1], tmp_path_factory.mktemp("settings"), runtime).run("farm_scene", out=str(folder))
    submitted.update(made)
    yield Shot(Path(made["path"]), there[-1], runtime)
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture(scope="module")
def whole(shot: Shot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six frames as one chunk."""
    out = tmp_path_factory.mktemp("whole")
    told = shot.run("render-blend", "-o", out)
    assert told["rendered"] == [1, 2, 3, 4, 5, 6]
    return out


def pixels(folder: Path) -> list[bytes]:
    files = sorted(folder.glob("*.png"))
    assert [f.name for f in files] == [f"{n:04d}.png" for n in range(1, 7)]
    pictures = [read_png(f) for f in files]
    assert all(p[..., 3].max() > 0.9 for p in pictures), "no frame without its head"
    return [p.tobytes() for p in pictures]


def test_submit_to_farm_writes_the_scene_and_the_job(shot: Shot) -> None:
    bundle = ["asset_references.json", "parameter_values.json", "parameters.json", "shot.blend", "template.json"]
    assert submitted["submitted"] == {
        "openjd": bundle, "slurm": ["job.sh", "shot.blend"], "flamenco": ["gshead-render.js", "shot.blend"]
    }  # fmt: skip
    assert submitted["original"] == str(shot.blend), "the file that is open stays the one that is open"
    job = (shot.blend.parent / "slurm" / "job.sh").read_text()
    assert "#SBATCH --array=0-1\n" in job
    assert str(shot.blend.parent / "slurm" / "shot.blend") in job
    assert "not pictures" in submitted["refused"]
    assert not (shot.blend.parent / "movie").exists()


def test_whole_frames_are_kept_and_all_others_rendered_again(shot: Shot, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    assert shot.run("render-blend", "-o", out)["kept"] == [1, 2, 3, 4, 5, 6]
    (out / "0002.png").write_bytes((out / "0002.png").read_bytes()[:-100])
    (out / "0005.png").unlink()
    told = shot.run("render-blend", "-o", out)
    assert (told["rendered"], told["kept"]) == ([2, 5], [1, 3, 4, 6])
    assert pixels(out) == pixels(whole)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["missing"] == []
    assert {f["frame"] for f in manifest["frames"]} == {1, 2, 3, 4, 5, 6}


def test_chunks_and_two_workers_give_the_same_pixels(shot: Shot, whole: Path, tmp_path: Path) -> None:
    told = shot.run("farm", "run", "-o", tmp_path, "--chunk", 2, "--workers", 2, "--gpus", "none")
    assert told["rendered"] == [1, 2, 3, 4, 5, 6]
    assert pixels(tmp_path) == pixels(whole)


def test_two_at_once_on_one_folder(shot: Shot, whole: Path, tmp_path: Path) -> None:
    both = [shot.start("render-blend", "-o", tmp_path) for _ in range(2)]
    told = []
    for process in both:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        told.append(json.loads(out.strip().splitlines()[-1]))
    assert sorted(told[0]["rendered"] + told[1]["rendered"]) == [1, 2, 3, 4, 5, 6]
    assert pixels(tmp_path) == pixels(whole)


def children(mark: str) -> list[psutil.Process]:
    """Processes of a run, by a variable that all of them inherit."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("GSHEAD_TEST_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has just ended
        return []


def wait_for(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


def test_a_killed_task_is_done_again(shot: Shot, whole: Path, tmp_path: Path) -> None:
    """Blender dies in the middle of a chunk: the farm starts another for what is left."""
    process = shot.start("farm", "run", "-o", tmp_path, "--chunk", 6, "--workers", 1, "--gpus", "none", mark="task")
    assert wait_for(lambda: (tmp_path / "0001.png").exists(), 120)
    mine = [p for p in children("task") if "farm_task" in " ".join(words(p))]
    assert mine
    for one in mine:
        one.kill()
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert pixels(tmp_path) == pixels(whole)
    assert json.loads(out.strip().splitlines()[-1])["failed"] == {}


def test_a_killed_backend_costs_no_frame(shot: Shot, whole: Path, tmp_path: Path) -> None:
    process = shot.start("render-blend", "-o", tmp_path, mark="backend")
    assert wait_for(lambda: (tmp_path / "0001.png").exists(), 120)
    for one in children("backend"):
        if "serve" in " ".join(words(one)) or "server.worker" in " ".join(words(one)):
            one.kill()
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert json.loads(out.strip().splitlines()[-1])["failed"] == {}
    assert pixels(tmp_path) == pixels(whole)


def test_a_killed_runner_leaves_nobody_behind_and_goes_on(shot: Shot, whole: Path, tmp_path: Path) -> None:
    process = shot.start("farm", "run", "-o", tmp_path, "--chunk", 3, "--gpus", "none", mark="runner")
    assert wait_for(lambda: any(tmp_path.glob("*.png")), 120)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert wait_for(lambda: not children("runner"), 10), [words(p) for p in children("runner")]
    told = shot.run("farm", "run", "-o", tmp_path, "--chunk", 3, "--gpus", "none")
    assert len(told["rendered"]) + len(told["kept"]) == 6
    assert told["kept"]
    assert pixels(tmp_path) == pixels(whole)
    left = [p.name for p in (tmp_path / ".gshead").iterdir() if p.suffix != ".json"]
    assert left == []


def test_what_cannot_be_rendered_is_told(shot: Shot, tmp_path: Path) -> None:
    (tmp_path / "no.blend").write_bytes(b"not a scene")
    process = Shot(tmp_path / "no.blend", shot.version, shot.runtime).start("render-blend", "-o", tmp_path / "out")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 4
    assert "no.blend" in err or "not a blend" in err.lower(), err
    assert not list((tmp_path / "out").glob("*.png"))


def test_openjd_runs_the_template(shot: Shot, whole: Path, tmp_path: Path) -> None:
    """The real runner, a real backend started by the step's environment, and a real Blender."""
    out, bundle = tmp_path / "frames", tmp_path / "bundle"
    process = subprocess.run(
        [
            sys.executable, "-m", "gshead_backend.cli", "farm", "template", "openjd", str(shot.blend), "-o", str(out),
            "--frames", FRAMES, "--job", str(bundle), "--chunk", "3", "--blender", str(blender_python(shot.version)),
            "--extension", str(extension_zip()),
        ],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
    assert "template.json" in process.stdout
    tool = tmp_path / "gshead"
    tool.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m gshead_backend.cli "$@"\n')
    tool.chmod(0o755)
    openjd = locked_tools.script("openjd")
    check = subprocess.run(
        [openjd, "check", str(bundle / "template.json")], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout + check.stderr
    done = subprocess.run(
        [
            *(openjd, "run", str(bundle / "template.json"), "--step", "Render", "-p", f"Gshead={tool}"),
            *("-p", f"file://{bundle / 'parameters.json'}"),
        ],
        capture_output=True, text=True, timeout=280, check=False,
        env={k: v for k, v in os.environ.items() if k not in HIDDEN},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert pixels(out) == pixels(whole)


def slurm_is_here() -> bool:
    return os.name == "posix" and os.getuid() == 0 and all(map(shutil.which, ("slurmctld", "slurmd", "munged")))


@pytest.mark.slurm
@pytest.mark.skipif(not slurm_is_here(), reason="needs root and Debian's slurmctld, slurmd, slurm-client and munge")
def test_slurm_runs_the_template(shot: Shot, whole: Path, tmp_path: Path) -> None:
    """A cluster of one node, a real backend for each task, and a real Blender."""
    out, job = tmp_path / "frames", tmp_path / "job.sh"
    subprocess.run(
        [
            sys.executable, "-m", "gshead_backend.cli", "farm", "template", "slurm", str(shot.blend), "-o", str(out),
            "--frames", FRAMES, "--job", str(job), "--chunk", "3", "--blender", str(blender_python(shot.version)),
            "--extension", str(extension_zip()),
        ],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
    tool = tmp_path / "bin" / "gshead"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m gshead_backend.cli "$@"\n')
    tool.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if k not in HIDDEN}
    done = subprocess.run(
        [str(ROOT / "tests" / "farm" / "slurm_one_node.sh"), str(tmp_path / "slurm"), str(job)],
        capture_output=True, text=True, timeout=280, check=False,
        env={
            **kept, "PATH": f"{tool.parent}:{os.environ['PATH']}:/usr/sbin",
            "GSHEAD_BACKEND_COMMAND": json.dumps(BACKEND_COMMAND),
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = "\n".join(path.read_text() for path in (tmp_path / "slurm").glob("slurm-*.out"))
    assert sorted(done.stdout.split("\n"))[1:] == ["task 0 COMPLETED 0:0", "task 1 COMPLETED 0:0"], said[-3000:]
    assert pixels(out) == pixels(whole)
