"""Jobs for farms' managers: well-formed, with every frame once, and safe with odd paths."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from locked_tools import node

from gshead_backend.cli.console import parse_frames
from gshead_backend.errors import ArgumentError
from gshead_backend.farm.templates import Submission, openjd_template, ranges, slurm_script, write_template

ODD = Submission('/shots/it\'s a "shot".blend', "/out/ä b", [1, 2, 3, 5, 9, 10], 4, "/x/g.zip", "/opt/blender", True)


def test_ranges_are_what_frames_takes() -> None:
    for frames in ([1], [1, 2, 3], [1, 3, 5], [-3, -2, 0, 7, 8, 9]):
        assert parse_frames(ranges(frames)) == frames
    assert [f for chunk in ODD.chunks for f in parse_frames(chunk)] == list(ODD.frames)


def test_an_openjd_bundle_has_every_frame_once_and_a_backend_a_session(tmp_path: Path) -> None:
    files = write_template("openjd", ODD, tmp_path / "bundle")
    assert {f.name for f in files} == {
        "template.json",
        "parameters.json",
        "parameter_values.json",
        "asset_references.json",
    }
    template = json.loads((tmp_path / "bundle" / "template.json").read_text())
    assert template == openjd_template(ODD)
    (step,) = template["steps"]
    assert step["hostRequirements"] == {"amounts": [{"name": "amount.worker.gpu", "min": 1}]}
    assert step["parameterSpace"]["taskParameterDefinitions"][0]["range"] == ["1-3,5", "9-10"]
    actions = step["stepEnvironments"][0]["script"]["actions"]
    assert actions["onEnter"]["args"][:3] == ["farm", "backend", "start"]
    assert actions["onExit"]["args"][:3] == ["farm", "backend", "stop"]


def test_a_slurm_script_runs_each_task_with_its_own_frames(tmp_path: Path) -> None:
    """Run by a shell with a stand-in for gshead, task by task."""
    (script,) = write_template("slurm", ODD, tmp_path / "job.sh")
    assert "#SBATCH --array=0-1\n" in script.read_text()
    assert "#SBATCH --gres=gpu:1\n" in slurm_script(ODD)
    tool = tmp_path / "bin" / "gshead"
    tool.parent.mkdir()
    tool.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    tool.chmod(0o755)
    for task, frames in enumerate(ODD.chunks):
        done = subprocess.run(
            ["bash", str(script)], capture_output=True, text=True, check=True,
            env={"PATH": f"{tool.parent}:/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": str(task)},
        )  # fmt: skip
        assert json.loads(done.stdout) == [
            "render-blend", ODD.blend, "--out", ODD.out, "--extension", "/x/g.zip", "--blender", "/opt/blender",
            f"--frames={frames}",
        ]  # fmt: skip


def _slurm_is_here() -> bool:
    return os.name == "posix" and os.getuid() == 0 and all(map(shutil.which, ("slurmctld", "slurmd", "munged")))


@pytest.mark.slurm
@pytest.mark.skipif(not _slurm_is_here(), reason="needs root and Debian's slurmctld, slurmd, slurm-client and munge")
def test_a_slurm_cluster_of_one_node_runs_every_task(tmp_path: Path) -> None:
    """The real sbatch; a stand-in for gshead that fails on the second task once, as a node that is lost."""
    job = Submission(ODD.blend, ODD.out, ODD.frames, 4)
    (script,) = write_template("slurm", job, tmp_path / "job.sh")
    tool = tmp_path / "bin" / "gshead"
    tool.parent.mkdir()
    tool.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        f"open({str(tmp_path)!r} + '/' + os.environ['SLURM_ARRAY_TASK_ID'], 'w').write(json.dumps(sys.argv[1:]))\n"
        "sys.exit(4 if sys.argv[-1] == '--frames=9-10' else 0)\n"
    )
    tool.chmod(0o755)
    done = subprocess.run(
        [str(Path(__file__).with_name("slurm_one_node.sh")), str(tmp_path / "slurm"), str(script)],
        capture_output=True, text=True, timeout=280, check=False,
        env={"PATH": f"{tool.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n"))[1:] == ["task 0 COMPLETED 0:0", "task 1 FAILED 4:0"]
    for task, frames in enumerate(job.chunks):
        found = json.loads((tmp_path / str(task)).read_text())
        assert found == ["render-blend", ODD.blend, "--out", ODD.out, f"--frames={frames}"]


def test_frames_below_zero_reach_the_command(tmp_path: Path) -> None:
    """They begin with a minus, as an option does."""
    from gshead_backend.cli import main

    below = Submission("/no/such.blend", "/out", [-5, -4, -3, 0, 1], 3)
    assert below.chunks == ["-5--3", "0-1"]
    (step,) = openjd_template(below)["steps"]
    assert "--frames={{Task.Param.Frames}}" in step["script"]["actions"]["onRun"]["args"]
    command = ["render-blend", str(tmp_path / "none.blend"), "--out", str(tmp_path), f"--frames={below.chunks[0]}"]
    assert main(command) == 3, "the frames were understood; the file is not there"


def test_what_open_job_description_does_not_take_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"1024 tasks") as refused:
        openjd_template(Submission("a.blend", "out", range(5000), 4))
    assert refused.value.remedy == "Use --chunk 5 or more, or submit the frames in several jobs."
    assert len(openjd_template(Submission("a.blend", "out", range(5000), 5))["steps"]) == 1
    with pytest.raises(ArgumentError, match="braces"):
        openjd_template(Submission("a.blend", "out", [1], extension="/x/{{Param.Gshead}}.zip"))
    assert len(openjd_template(Submission(f"{'n' * 300}.blend", "out", [1]))["name"]) == 128
    with pytest.raises(ArgumentError, match="printed"):
        Submission("a.blend", "out", [1], blender="/opt/ble\nnder")


FLAMENCO = """'use strict';
const made = [];
const author = {
  Task: (name, type) => ({ name, type, commands: [], addCommand(c) { this.commands.push(c); } }),
  Command: (name, parameters) => ({ name, parameters }),
};
function frameChunker(frames, size) {
  const numbers = frames.split(",").flatMap((part) => {
    const ends = part.split("-").map((end) => parseInt(end));
    if (ends.length > 2 || ends.some(isNaN)) throw new Error("invalid range " + part);
    return Array.from({ length: ends.at(-1) - ends[0] + 1 }, (_, i) => ends[0] + i);
  });
  const chunks = [];
  for (let i = 0; i < numbers.length; i += size) chunks.push(numbers.slice(i, i + size).join(","));
  return chunks;
}
"""
"""Stands in for what the manager gives a script, as Flamenco 3.9 does; it compiles scripts strictly."""


def test_a_flamenco_job_type_makes_a_task_a_chunk(tmp_path: Path) -> None:
    (script,) = write_template("flamenco", ODD, tmp_path / "gshead-render.js")
    run = """
const settings = Object.fromEntries(JOB_TYPE.settings.map((s) => [s.key, s.default]));
compileJob({ settings, addTask: (task) => made.push(task) });
console.log(JSON.stringify({ type: JOB_TYPE, made }));
"""
    done = subprocess.run(
        [node(), "-e", FLAMENCO + script.read_text() + run], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    for setting in found["type"]["settings"]:
        assert setting["type"] in ("string", "int32", "float", "bool")
        assert setting.get("subtype", "dir_path") in ("file_path", "dir_path", "file_name", "hashed_file_path")
        assert setting.get("visible", "web") in ("visible", "hidden", "submission", "web")
        assert isinstance(setting["default"], int if setting["type"] == "int32" else str)
    assert found["type"]["label"] == "gshead render"
    commands = [task["commands"] for task in found["made"]]
    assert [(task["type"], len(task["commands"])) for task in found["made"]] == [("blender", 1)] * 2
    assert {(c["name"], c["parameters"]["exe"], *c["parameters"]) for (c,) in commands} == {
        ("exec", "gshead", "exe", "args")
    }
    told = [c["parameters"]["args"] for (c,) in commands]
    assert [f for args in told for f in parse_frames(args[4].removeprefix("--frames="))] == list(ODD.frames)
    assert told[0][:4] == ["render-blend", ODD.blend, "--out", ODD.out]
    assert told[0][5:] == ["--extension", "/x/g.zip", "--blender", "/opt/blender"]


def test_flamenco_has_no_frames_below_zero(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"no frames below zero, and this job begins at -5") as refused:
        write_template("flamenco", Submission("a.blend", "out", [-5, -4, 0]), tmp_path / "x.js")
    assert "openjd or slurm" in refused.value.remedy
    assert not (tmp_path / "x.js").exists()


def test_what_cannot_be_a_job_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="at least one frame"):
        Submission("a.blend", "o", [])
    with pytest.raises(ArgumentError, match="not 0"):
        Submission("a.blend", "o", [1], 0)
    with pytest.raises(ArgumentError, match="printed"):
        Submission("a\nb.blend", "o", [1])
    with pytest.raises(ArgumentError, match="no farm template"):
        write_template("qube", Submission("a.blend", "o", [1]), tmp_path / "x")
