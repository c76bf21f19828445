"""``gshead train``: make training material, train the portrait networks and learned heads."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ..errors import ArgumentError
from .console import Progress, emit, parse_actions

UNFINISHED = 75  # as EX_TEMPFAIL: call again to go on


def main(args: Sequence[str]) -> int:
    actions = {"data": data, "parser": parser, "regressor": regressor, "heads": heads, "rar": rar, "sega": sega}
    return parse_actions(actions, "train", args)


def data(
    *, data: Path, samples: int = 4000, validation: int = 320, shots: int = 8, skip: int = 0, workers: int = 1,
    minutes: float | None = None, head: str = "", hair_meshes: str = "", device: str = "cpu", source: str = "",
    json: bool = False,
) -> int:  # fmt: skip
    """Make training crops of synthetic people: rendered, found by the real detector, cut as photos are.

    Goes on where it was; more samples can be added later.

    Args:
        data: the folder to fill, about 0.7 MB a sample.
        samples: crops for training, rounded up to 16.
        validation: crops of other people for validation.
        shots: photographs of each person, 1 to 8: fewer take longer and show more people.
        skip: people to leave out at the beginning of the training split, to add others to a folder.
        workers: processes.
        minutes: start nothing new after so long; exit code 75 when something is left, and the same command goes on.
        head: an installed head to draw people on; the default head when empty.
        hair_meshes: a folder of OBJ hair that half of the people with hair wear.
        device: cpu or cuda, for rendering.
        source: "package.module:function" that makes a sample from a seed, instead of the synthetic people.
        json: print the result as one JSON object.
    """
    from ..training.crops import SYNTHETIC, prepare
    from ..training.synthetic.sample import Drawing

    if samples < 1 or validation < 0 or workers < 1:
        raise ArgumentError("--samples and --workers must be 1 or more, --validation 0 or more.")
    if not 1 <= shots <= 8 or skip < 0:
        raise ArgumentError(f"--shots lies in 1..8 and --skip is 0 or more, not {shots} and {skip}.")
    how = None if source else Drawing(device=device, head=head, hair_meshes=hair_meshes)
    progress, began = Progress(), time.monotonic()
    parts: dict[str, Any] = {}
    try:
        for split, count, low, high in (("validation", validation, 0.0, 0.1), ("train", samples, 0.1, 1.0)):
            if count:
                left = None if minutes is None else max(0.0, minutes - (time.monotonic() - began) / 60)
                parts[split] = prepare(
                    data, split, count, workers=workers, source=source or SYNTHETIC, how=how,
                    shots=shots if split == "train" else 8, skip=skip if split == "train" else 0, minutes=left,
                    progress=progress.part(low, high),
                )  # fmt: skip
    finally:
        progress.close()
    told = ", ".join(f"{k}: {v['kept']} made, {v['missed']} faces missed" for k, v in parts.items())
    emit({"folder": str(data), **parts}, f"{data}: {told}", as_json=json)
    return UNFINISHED if any(v["left"] for v in parts.values()) else 0


def parser(
    *, data: Path, config: str = "parser-cpu", out: Path = Path("out/train/parser"), minutes: float | None = None,
    piece_minutes: float | None = None, device: str = "auto", threads: int = 0, resume: str = "auto",
    json: bool = False,
) -> int:  # fmt: skip
    """Train the parser: what every pixel shows, and the matte.

    Args:
        data: folder made by 'gshead train data'.
        config: a preset (parser-cpu, parser-gpu) or a JSON/TOML file.
        out: folder for the weights, the model card, the log and the state.
        minutes: train so long in all, whatever the configuration says.
        piece_minutes: stop after so long with exit code 75; the same command goes on.
        device: auto, cpu, cuda or cuda:N.
        threads: of torch on the CPU; 0 = as torch chooses.
        resume: auto goes on where the folder stands, never starts anew, a weight file is a warm start.
        json: print the result as one JSON object.
    """
    return _train("parser", data, config, out, minutes, piece_minutes, device, threads, resume, json)


def regressor(
    *, data: Path, config: str = "regressor-cpu", out: Path = Path("out/train/regressor"), minutes: float | None = None,
    piece_minutes: float | None = None, device: str = "auto", threads: int = 0, resume: str = "auto",
    json: bool = False,
) -> int:  # fmt: skip
    """Train the expression regressor: ARKit weights, gaze, head pose and light.

    Args:
        data: folder made by 'gshead train data'.
        config: a preset (regressor-cpu, regressor-gpu) or a JSON/TOML file.
        out: folder for the weights, the model card, the log and the state.
        minutes: train so long in all, whatever the configuration says.
        piece_minutes: stop after so long with exit code 75; the same command goes on.
        device: auto, cpu, cuda or cuda:N.
        threads: of torch on the CPU; 0 = as torch chooses.
        resume: auto goes on where the folder stands, never starts anew, a weight file is a warm start.
        json: print the result as one JSON object.
    """
    return _train("regressor", data, config, out, minutes, piece_minutes, device, threads, resume, json)


def heads(
    *, data: Path, people: int = 400, validation: int = 32, skip: int = 0, workers: int = 1,
    minutes: float | None = None, hair_meshes: str = "", device: str = "cpu", json: bool = False,
) -> int:  # fmt: skip
    """Make what learned heads train on: a photograph of each synthetic person as the pipeline reads it, and eight true
    pictures from other sides and with other expressions.

    Goes on where it was; more people can be added later.

    Args:
        data: the folder to fill, about 4 MB a person.
        people: for training, rounded up to 4.
        validation: other people for validation.
        skip: people to leave out at the beginning of the training split, to add others to a folder.
        workers: processes.
        minutes: start nothing new after so long; exit code 75 when something is left, and the same command goes on.
        hair_meshes: a folder of OBJ hair that half of the people with hair wear.
        device: cpu or cuda, for rendering.
        json: print the result as one JSON object.
    """
    from ..training.crops import prepare
    from ..training.heads import CHUNK, make_head_chunk
    from ..training.synthetic.sample import Drawing

    if people < 1 or workers < 1 or validation < 0 or skip < 0:
        raise ArgumentError("--people and --workers must be 1 or more, --validation and --skip 0 or more.")
    how = Drawing(device=device, hair_meshes=hair_meshes)
    progress, began = Progress(), time.monotonic()
    parts: dict[str, Any] = {}
    try:
        for split, count, low, high in (("validation", validation, 0.0, 0.1), ("train", people, 0.1, 1.0)):
            if count:
                left = None if minutes is None else max(0.0, minutes - (time.monotonic() - began) / 60)
                parts[split] = prepare(
                    data, split, count, workers=workers, source="", how=how, shots=1,
                    skip=skip if split == "train" else 0, minutes=left, make=make_head_chunk, chunk=CHUNK,
                    progress=progress.part(low, high),
                )  # fmt: skip
    finally:
        progress.close()
    told = ", ".join(f"{k}: {v['kept']} made, {v['missed']} faces missed" for k, v in parts.items())
    emit({"folder": str(data), **parts}, f"{data}: {told}", as_json=json)
    return UNFINISHED if any(v["left"] for v in parts.values()) else 0


def rar(
    *, data: Path, config: str = "rar-cpu", out: Path = Path("out/train/rar"), minutes: float | None = None,
    piece_minutes: float | None = None, device: str = "auto", threads: int = 0, resume: str = "auto",
    json: bool = False,
) -> int:  # fmt: skip
    """Train the reconstructor of the method rar: first large things (rar-cpu), then details (rar-cpu-fine).

    Args:
        data: folder made by 'gshead train heads'.
        config: a preset (rar-cpu, rar-cpu-fine, rar-gpu) or a JSON/TOML file.
        out: folder for the weights, the model card, the log and the state.
        minutes: train so long in all, whatever the configuration says.
        piece_minutes: stop after so long with exit code 75; the same command goes on.
        device: auto, cpu, cuda or cuda:N.
        threads: of torch on the CPU; 0 = as torch chooses.
        resume: auto goes on where the folder stands, never starts anew, a weight file is a warm start.
        json: print the result as one JSON object.
    """
    return _train("rar", data, config, out, minutes, piece_minutes, device, threads, resume, json)


def sega(
    *, stage: Literal["identity", "motion", "decoders", "ablations"], data: Path = Path(), config: str = "",
    out: Path = Path("out/train/sega"), minutes: float | None = None, piece_minutes: float | None = None,
    device: str = "auto", threads: int = 0, resume: str = "auto", json: bool = False,
) -> int:  # fmt: skip
    """Train one stage of method sega.

    Args:
        stage: identity, a VQ-VAE of head crops; motion, a VAE of the head's own deformation, which needs no data;
            decoders, which use the installed weights of the other two ($GSHEAD_WEIGHTS); ablations, which trains the
            decoders without one part of the method at a time, --minutes each, and prints a table.
        data: of identity: a folder made by 'gshead train data'; of the others: by 'gshead train heads'.
        config: a preset or a JSON/TOML file; the stage's CPU preset when empty.
        out: folder of the method; every stage has its own folder in it.
        minutes: train so long in all, whatever the configuration says.
        piece_minutes: stop after so long with exit code 75; the same command goes on.
        device: auto, cpu, cuda or cuda:N.
        threads: of torch on the CPU; 0 = as torch chooses.
        resume: auto goes on where the folder stands, never starts anew, a weight file is a warm start.
        json: print the result as one JSON object.
    """
    if stage == "ablations":
        return _ablations(data, config or "sega-decoders-cpu", out / stage, minutes, device, threads, json)
    network, name = f"sega_{stage}", config or f"sega-{stage}-cpu"
    return _train(network, data, name, out / stage, minutes, piece_minutes, device, threads, resume, json)


def _ablations(
    data: Path, name: str, out: Path, minutes: float | None, device: str, threads: int, json: bool
) -> int:  # fmt: skip
    import msgspec
    import torch

    from ..server.devices import resolve_device
    from ..training.config import load_config
    from ..training.sega.ablations import ablations, table

    config = load_config(name, "sega_decoders")
    if minutes is not None:
        config = msgspec.structs.replace(config, minutes=minutes)
    if threads:
        torch.set_num_threads(threads)
    progress = Progress()
    try:
        rows = ablations(config, data, out, device=resolve_device(device), progress=progress)
    finally:
        progress.close()
    emit({"rows": rows}, table(rows), as_json=json)
    return 0


def _train(
    network: str, data: Path, name: str, out: Path, minutes: float | None, piece_minutes: float | None, device: str,
    threads: int, resume: str, json: bool,
) -> int:  # fmt: skip
    import msgspec
    import torch

    from ..server.devices import resolve_device
    from ..training.card import write_card
    from ..training.config import load_config
    from ..training.loop import train
    from ..training.tasks import make_task

    config = load_config(name, network)
    if minutes is not None:
        if minutes <= 0:
            raise ArgumentError(f"--minutes must be above 0, got {minutes}.")
        config = msgspec.structs.replace(config, minutes=minutes)
    if threads:
        torch.set_num_threads(threads)
    where = resolve_device(device)
    task = make_task(config)
    progress = Progress()
    try:
        outcome = train(
            task, config, data, out, device=where, resume=resume, piece_minutes=piece_minutes, progress=progress
        )
    finally:
        progress.close()
    limit = f" --minutes {minutes:g}" if minutes is not None else ""
    warm = "" if resume in ("auto", "never") else f" --resume {shlex.quote(Path(resume).name)}"
    verb = network if "_" not in network else "{} --stage {}".format(*network.split("_"))
    command = f"gshead train {verb} --config {shlex.quote(name)} --data DATA{limit}{warm}"
    card = write_card(out, config, outcome, task.header(0).version, where, command)
    weights = out / f"{network}.safetensors"
    result = {
        "weights": str(weights), "card": str(card), "finished": outcome.finished, "step": outcome.step,
        "minutes": round(outcome.seconds / 60, 2), "samples_per_second": round(outcome.samples_per_second, 2),
        "device": where, "validation": outcome.metrics,
    }  # fmt: skip
    state = "finished" if outcome.finished else "to be continued"
    score = outcome.metrics["score"]
    text = f"{weights}: step {outcome.step}, {outcome.seconds / 60:.1f} min, score {score:.3f}, {state}"
    emit(result, text, as_json=json)
    return 0 if outcome.finished else UNFINISHED
