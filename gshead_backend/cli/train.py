"""``gshead train``: train the portrait networks and learned heads; their material is ``train_material``'s."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ..errors import ArgumentError
from .console import Progress, emit, parse_actions
from .train_material import UNFINISHED, clips, data, heads
from .train_weights import average, calibrate


def main(args: Sequence[str]) -> int:
    actions = {
        "data": data, "parser": parser, "regressor": regressor, "lids": lids, "heads": heads, "rar": rar, "sega": sega,
        "clips": clips, "gagavatar": gagavatar, "average": average, "calibrate": calibrate,
    }  # fmt: skip
    return parse_actions(actions, "train", args)


@dataclass(frozen=True)
class Options:
    """What every training can be told.

    Attributes:
        data: folder made by 'gshead train data' (parser, regressor, lids, sega's identity) or 'gshead train heads'
            (others),
            or a folder of your own footage ('gshead dataset prepare' and 'samples'); gagavatar takes only footage, or
            that of 'gshead train clips'.
        footage: such a folder beside --data; the configuration's key of that name says how often it is looked at.
        config: a preset (the network's -cpu, -gpu) or a JSON/TOML file; the CPU preset when empty.
        out: folder for the weights, the model card, the log and the state; out/train/NETWORK by default.
        minutes: train so long in all, whatever the configuration says.
        piece_minutes: stop after so long with exit code 75; the same command goes on.
        device: auto, cpu, cuda or cuda:N.
        threads: of torch and of the rasterizer on the CPU; 0 = as they choose.
        resume: auto goes on where the folder stands, never starts anew, a weight file (gagavatar: a folder of parts) is
            a warm start, with which the same command goes on too.
        json: print the result as one JSON object.
    """

    data: Path | None = None
    footage: Path | None = None
    config: str = ""
    out: Path | None = None
    minutes: float | None = None
    piece_minutes: float | None = None
    device: str = "auto"
    threads: int = 0
    resume: str = "auto"
    json: bool = False


Given = Annotated[Options, tyro.conf.OmitArgPrefixes]


def parser(options: Given) -> int:
    """Train the parser: what every pixel shows, and the matte."""
    return _train("parser", options)


def regressor(options: Given) -> int:
    """Train the expression regressor: ARKit weights, gaze, head pose and light."""
    return _train("regressor", options)


def lids(options: Given) -> int:
    """Train the lids' network: which eyes are shut, seen in their pixels."""
    return _train("lids", options)


def rar(options: Given, *, stage: Literal["reconstructor", "scaling"] = "reconstructor") -> int:
    """Train the reconstructor of the method rar: first large things (rar-cpu), then details (rar-cpu-fine).

    Args:
        options: as every training.
        stage: reconstructor; or scaling, which trains three sizes for equally many steps, the smallest for --minutes,
            and prints a table of what they gain and what a frame costs.
    """
    if stage == "reconstructor":
        return _train("rar", options)
    return _compared(options, "rar-cpu", "rar", "rar_scaling", "scaling")


def sega(options: Given, *, stage: Literal["identity", "motion", "decoders", "ablations"]) -> int:
    """Train one stage of method sega.

    Args:
        options: as every training.
        stage: identity, a VQ-VAE of head crops; motion, a VAE of the head's own deformation, which needs no data;
            decoders, which use the installed weights of the other two ($GSHEAD_WEIGHTS); ablations, which trains the
            decoders without one part of the method at a time, --minutes each, and prints a table. Every stage has a
            folder of its own in --out.
    """
    if stage != "ablations":
        return _train(f"sega_{stage}", options)
    return _compared(options, "sega-decoders-cpu", "sega_decoders", "sega.ablations", "ablations")


def gagavatar(options: Given, *, stage: Literal["network", "ablations"] = "network") -> int:
    """Train the network of the method gagavatar on footage of people, or on synthetic people (gshead train clips).

    Leaves parts of at most 16 MB and their index in --out/parts: 'gshead weights import gagavatar OUT/parts' installs
    them.

    Args:
        options: as every training.
        stage: network; or ablations, which trains it whole, without the neural renderer, with one lifted plane and
            without the lifting loss, --minutes each, and prints a table.
    """
    if stage == "network":
        return _train("gagavatar", options)
    return _compared(options, "gagavatar-cpu", "gagavatar", "gagavatar.ablations", "ablations")


def _limit(threads: int) -> None:
    """So many threads of torch, and of the rasterizer, whose idle threads would otherwise spin beside torch's."""
    if threads:
        if "numba" not in sys.modules:  # it reads this once, and changes of it later are errors
            os.environ.setdefault("NUMBA_NUM_THREADS", str(threads))
        import torch

        torch.set_num_threads(threads)


def _compared(o: Options, preset: str, network: str, module: str, what: str) -> int:
    """Several trainings of a network beside each other by ``module.what``, and a table of what became of them."""
    _limit(o.threads)
    from importlib import import_module

    import msgspec

    from ..server.devices import resolve_device
    from ..training.config import load_config

    comparison: Any = import_module(f"gshead_backend.training.{module}")
    config = load_config(o.config or preset, network)
    if o.minutes is not None:
        config = msgspec.structs.replace(config, minutes=o.minutes)
    out = (o.out or Path("out/train") / network.partition("_")[0]) / what
    progress = Progress()
    try:
        rows = getattr(comparison, what)(
            config, _material(o, network), out, device=resolve_device(o.device), progress=progress
        )  # fmt: skip
    finally:
        progress.close()
    emit({"rows": msgspec.to_builtins(rows)}, comparison.table(rows), as_json=o.json)
    return 0


def _material(o: Options, network: str) -> Path:
    from ..training.prepared import material_of

    if o.data is None:
        raise ArgumentError(
            "--data is missing.",
            remedy="Name a folder that 'gshead train data', 'heads', 'clips' or 'gshead dataset' has filled.",
        )
    return material_of(o.data, network)


def _footage(o: Options, network: str) -> Path | None:
    from ..training.prepared import is_footage, material_of

    if o.footage is None:
        return None
    if network == "sega_motion" or not is_footage(o.footage):
        raise ArgumentError(
            "The motion stage needs no data." if network == "sega_motion" else
            f"'{o.footage}' holds no prepared footage.", remedy="Fill it with 'gshead dataset prepare' and 'samples'.",
        )  # fmt: skip
    return material_of(o.footage, network)


def _train(network: str, o: Options) -> int:
    preset = f"{network.replace('_', '-')}-cpu"
    stage = network.partition("_")[2]
    name, out = o.config or preset, o.out or Path("out/train") / network.partition("_")[0]
    out = out / stage if stage else out
    _limit(o.threads)
    import msgspec

    from ..server.devices import resolve_device
    from ..training.card import write_card
    from ..training.config import load_config
    from ..training.loop import train
    from ..training.tasks import make_task

    config = load_config(name, network)
    if o.minutes is not None:
        if o.minutes <= 0:
            raise ArgumentError(f"--minutes must be above 0, got {o.minutes}.")
        config = msgspec.structs.replace(config, minutes=o.minutes)
    where = resolve_device(o.device)
    material = Path() if network == "sega_motion" else _material(o, network)
    footage = _footage(o, network)
    task = make_task(config)
    progress = Progress()
    try:
        outcome = train(
            task, config, material, out, device=where, resume=o.resume, piece_minutes=o.piece_minutes,
            footage=footage, progress=progress,
        )  # fmt: skip
    finally:
        progress.close()
    limit = f" --minutes {o.minutes:g}" if o.minutes is not None else ""
    warm = "" if o.resume in ("auto", "never") else f" --resume {shlex.quote(Path(o.resume).name)}"
    beside = " --footage FOOTAGE" if footage is not None else ""
    verb = network if "_" not in network else "{} --stage {}".format(*network.split("_"))
    command = f"gshead train {verb} --config {shlex.quote(name)} --data DATA{beside}{limit}{warm}"
    card = write_card(out, config, outcome, task.header(0).version, where, command)
    weights = out / "parts" if network == "gagavatar" else out / f"{network}.safetensors"
    result = {
        "weights": str(weights), "card": str(card), "finished": outcome.finished, "step": outcome.step,
        "minutes": round(outcome.seconds / 60, 2), "samples_per_second": round(outcome.samples_per_second, 2),
        "device": where, "validation": outcome.metrics,
    }  # fmt: skip
    state = "finished" if outcome.finished else "to be continued"
    score = outcome.metrics["score"]
    text = f"{weights}: step {outcome.step}, {outcome.seconds / 60:.1f} min, score {score:.3f}, {state}"
    emit(result, text, as_json=o.json)
    return 0 if outcome.finished else UNFINISHED
