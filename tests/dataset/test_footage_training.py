"""From little videos of synthetic people to networks that improve on them: every trainer that reads footage learns."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from footage_of_people import write_video

from gshead_backend.avatar.drive import drive
from gshead_backend.camera import Camera, look_at
from gshead_backend.dataset.prepare import prepare
from gshead_backend.dataset.sample_files import make_samples
from gshead_backend.dataset.settings import Settings
from gshead_backend.head import HeadModel
from gshead_backend.portrait.nets.weights import weights_folder
from gshead_backend.protocol.transfer import linear_to_srgb
from gshead_backend.training.config import Augment, TrainConfig
from gshead_backend.training.loop import Outcome, train
from gshead_backend.training.prepared import material_of
from gshead_backend.training.synthetic.expression import draw_expression, pose_of, with_gaze
from gshead_backend.training.synthetic.light import draw_light
from gshead_backend.training.synthetic.people import make_person
from gshead_backend.training.synthetic.photograph import ALWAYS_IN_HEAD, exposed, render, room_to_head, shade
from gshead_backend.training.tasks import make_task

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.usefixtures("one_thread")]
PEOPLE, FRAMES, SIDE = (2_001, 2_005, 2_011, 2_012), 8, 320


def film(seed: int, head: HeadModel, path: Path) -> Path:
    """A synthetic person whom the camera goes around by 60 degrees while the face changes."""
    person, rng = make_person(seed, head, splats=40_000), np.random.default_rng(seed)
    expression = with_gaze(head, draw_expression(rng))
    points = person.avatar.personal.rest[head.region_mask(*ALWAYS_IN_HEAD)]
    middle, focal = (points.min(0) + points.max(0)) / 2, 1.9 * SIDE
    K = np.array([[focal, 0, SIDE / 2], [0, focal, SIDE / 2], [0, 0, 1.0]])
    light, images = None, []
    for t in np.linspace(-1, 1, FRAMES):
        a = np.radians(30 * t)
        camera = Camera(SIDE, SIDE, K, look_at(middle + 0.95 * np.array([np.sin(a), 0.05 * t, np.cos(a)]), middle))
        if light is None:
            light = exposed(draw_light(rng, room_to_head(camera)), person)
        pose = pose_of(head, replace(expression, arkit=(expression.arkit * (1 - abs(t))).astype(np.float32)))
        splats = drive(person.avatar, pose)
        linear, _, matte, _ = render(person, splats, shade(person, splats, camera, light), camera)
        shown = linear_to_srgb(np.clip(linear + (1 - matte[..., None]) * 0.25, 0, 1))
        images.append((np.clip(shown, 0, 1) * 255 + 0.5).astype(np.uint8))
    return write_video(path, images)


@pytest.fixture(scope="module")
def folder(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    videos = tmp_path_factory.mktemp("videos")
    sources = [film(seed, head, videos / f"{seed}.avi") for seed in PEOPLE]
    out = tmp_path_factory.mktemp("footage") / "set"
    outcome = prepare(sources, out, Settings(size=256, every=1, validation=0.0))
    assert not outcome.failed
    assert all(r.frames >= FRAMES - 2 for r in outcome.made.values())
    told = make_samples(out, portraits=2)
    assert told["samples"] >= 6
    return out


def run(values: dict[str, Any], folder: Path, out: Path) -> Outcome:
    usual = {"augment": msgspec.to_builtins(Augment.none()), "decay": 0.0, "validate_every": 10_000, "ema": 0.95}
    config = msgspec.convert({**usual, **values}, TrainConfig)
    return train(make_task(config), config, material_of(folder, config.network), out)


def test_rar_learns_four_people_from_their_videos(folder: Path, tmp_path: Path) -> None:
    told = run(
        {"network": "rar", "shape": {"width": 16, "dim": 48, "depth": 1, "heads": 4, "codes": 6}, "batch": 2,
         "steps": 150, "lr": 4e-3, "warmup": 10, "validation_samples": 8,
         "heads": {"views": 2, "pixels": 96, "structure": 0.05}}, folder, tmp_path,
    )  # fmt: skip
    m = told.metrics
    assert told.footage >= 6
    assert m["psnr_expressions"] > m["uvfit_psnr_expressions"] + 0.5
    assert m["iou_expressions"] > m["uvfit_iou_expressions"]


def test_sega_learns_four_people_from_their_videos(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """The identity stage from crops of the footage, the motion stage from the head, the decoders from both and the
    footage's frames."""
    weights = tmp_path / "weights"
    weights.mkdir()
    for name in ("parser", "regressor"):
        os.link(weights_folder() / f"{name}.safetensors", weights / f"{name}.safetensors")
    monkeypatch.setenv("GSHEAD_WEIGHTS", str(weights))
    identity = {"network": "sega_identity", "shape": {"w0": 8, "w1": 16, "w2": 16, "dim": 8, "codes": 16}, "batch": 4,
                "lr": 3e-3, "warmup": 5, "validation_samples": 16}  # fmt: skip
    first = run({**identity, "steps": 4}, folder, tmp_path / "first").metrics["psnr"]
    longer = run({**identity, "steps": 80}, folder, tmp_path / "identity").metrics["psnr"]
    assert longer > first + 3
    shutil.copy(tmp_path / "identity" / "sega_identity.safetensors", weights)
    motion = {"network": "sega_motion", "shape": {"size": 128, "w0": 8, "w1": 8, "w2": 16, "latent": 8}, "batch": 2,
              "steps": 6, "warmup": 2, "validation_samples": 4}  # fmt: skip
    run(motion, tmp_path, tmp_path / "motion")
    shutil.copy(tmp_path / "motion" / "sega_motion.safetensors", weights)
    told = run(
        {"network": "sega_decoders", "shape": {"inputs": 21, "facts": 33, "dim": 8, "latent": 8, "code": 16},
         "batch": 1, "steps": 80, "lr": 2e-3, "warmup": 5, "ema": 0.9, "validation_samples": 8, "perceptual": 0.03,
         "identity": 0.05, "heads": {"views": 2, "pixels": 128, "structure": 0.1}}, folder, tmp_path / "decoders",
    )  # fmt: skip
    psnr = told.metrics["psnr"]
    assert told.metrics["score"] > 0.2
    assert psnr["sega expression"] > psnr["untrained expression"] + 0.2
