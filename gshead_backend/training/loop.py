"""The training loop of every network: resumable, seeded, with averaged weights, a clock and a log."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from ..errors import ArgumentError, FileFormatError
from ..files import atomic_path, check_writable, make_folder
from ..portrait.nets.weights import Header, load_weights, save_weights
from .config import TrainConfig
from .data import Crops, Stream, batches
from .footage_shard import FIRST_SEED

STATE = "state.pt"
LOG = "log.jsonl"
SAVE_SECONDS = 120


class Task(Protocol):
    """What a network learns. ``item`` and ``still`` make a sample of a corpus, changed at random and as it is.

    A task may have ``corpus(folder, split, limit)``: something with a length and a ``column("seed")``, not ``Crops``;
    ``optimizer(net)``, not AdamW with the usual betas; ``save(net, step, out)``, not one weight file; ``warm(net,
    path)``, which reads what it saved.
    """

    name: str

    def make_net(self) -> nn.Module: ...
    def header(self, step: int) -> Header: ...
    def look_at(self, crops: Any) -> None: ...
    def item(self, crops: Any, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]: ...
    def still(self, crops: Any, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]: ...
    def loss(self, net: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]: ...
    def measure(self, net: nn.Module, batches: Any, device: torch.device) -> dict[str, Any]: ...


@dataclass
class Run:
    """Where a training stands; ``seconds`` counts all its pieces. ``origin``: a hash of the weights it started from,
    "" when it started anew."""

    net: nn.Module
    averaged: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    warm_from: int = 0
    origin: str = ""


@dataclass(frozen=True)
class Outcome:
    """finished: the schedule has come to its end. metrics: of the averaged weights on the validation samples.
    seeds: how many synthetic samples there were to learn from, the first seed and the last. footage: how many of real
    people."""

    finished: bool
    step: int
    seconds: float
    samples_per_second: float
    metrics: dict[str, Any]
    seeds: tuple[int, int, int]
    footage: int = 0


def train(
    task: Task, config: TrainConfig, data: Path, out: Path, *, device: str = "cpu", resume: str = "auto",
    piece_minutes: float | None = None, piece_steps: int | None = None, footage: Path | None = None,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> Outcome:  # fmt: skip
    """Train until the schedule's end, or for one piece of it.

    Leaves ``<network>.safetensors`` (fp16 averaged weights), ``state.pt`` (to go on) and ``log.jsonl`` in ``out``.

    Args:
        resume: "auto" goes on where ``out`` stands, "never" starts anew, a weight file is a warm start; where ``out``
            stands on that very file, it goes on.
        piece_minutes, piece_steps: stop after so much, to be continued.
        footage: further samples of the same kind, ``config.footage`` of all; validation looks at ``data`` alone.
    Raises:
        ArgumentError: no data, or ``out`` belongs to another configuration. FileFormatError: damaged files.
        ExportError: ``out`` cannot be written.
    """
    check_writable(make_folder(out) / STATE)  # now, not when the first minutes are to be kept
    crops = _corpus(task, data, "train")
    if footage is not None:
        crops = crops.mixed(_corpus(task, footage, "train"), config.footage)
    task.look_at(crops)
    where = torch.device(device)
    run = _start(task, config, out, where, resume)
    first, began, saved = run.step, time.perf_counter(), time.perf_counter()
    before = run.seconds
    metrics: dict[str, Any] = {}
    stream = Stream(crops, task.item, config.seed)
    last = config.steps if piece_steps is None else min(config.steps, run.step + piece_steps)
    if _share(config, run) >= 1:  # it was finished before
        last = run.step
    loader = batches(stream, config.batch, run.step, last, config.workers, pin=where.type == "cuda")
    for batch in loader:
        logged = _step(task, config, run, batch, where)
        run.seconds = before + time.perf_counter() - began
        share = _share(config, run)
        stop = share >= 1 or (piece_minutes is not None and time.perf_counter() - began >= 60 * piece_minutes)
        if run.step % config.validate_every == 0 and not stop and run.step < last:
            metrics = validate(task, config, run.averaged, data, where)
            _write_log(out, run, config, logged, metrics)
            progress(share, _told(run, logged, metrics))
        elif run.step % 20 == 0:
            _write_log(out, run, config, logged, {})
            progress(share, _told(run, logged, metrics))
        if time.perf_counter() - saved > SAVE_SECONDS:
            _save(task, config, run, out)
            saved = time.perf_counter()
        if stop:
            break
    spent = time.perf_counter() - began
    run.seconds = before + spent
    _save(task, config, run, out)
    metrics = validate(task, config, run.averaged, data, where)
    _write_log(out, run, config, {}, metrics)
    speed = (run.step - first) * config.batch / max(spent, 1e-6)
    seeds = np.unique(crops.column("seed"))
    made = seeds[seeds < FIRST_SEED]
    known = (len(made), int(made.min()), int(made.max())) if len(made) else (0, 0, 0)
    return Outcome(_share(config, run) >= 1, run.step, run.seconds, speed, metrics, known, len(seeds) - len(made))


def validate(task: Task, config: TrainConfig, net: nn.Module, data: Path, device: torch.device) -> dict[str, Any]:
    """Metrics on the validation split, unchanged pictures; on the training split when there is no other."""
    crops, split = validation_corpus(task, data, config.validation_samples)
    stream = Stream(crops, task.still, 0)
    size = min(config.batch, len(crops))
    loader = batches(stream, size, 0, len(crops) // size, 0, pin=False)
    net.eval()
    told = task.measure(net, loader, device)
    return {**told, "split": split, "samples": len(crops) // size * size}


def validation_corpus(task: Task, data: Path, limit: int) -> tuple[Any, str]:
    """At most ``limit`` samples to measure on, and their split: "train" where there is no other."""
    try:
        return _corpus(task, data, "validation", limit), "validation"
    except ArgumentError:
        return _corpus(task, data, "train", limit), "train"


def _corpus(task: Task, folder: Path, split: str, limit: int | None = None) -> Any:
    return getattr(task, "corpus", Crops)(folder, split, limit)


def _start(task: Task, config: TrainConfig, out: Path, device: torch.device, resume: str) -> Run:
    torch.manual_seed(config.seed)
    net, averaged = _on_device(task.make_net(), device), _on_device(task.make_net(), device)
    optimizer = _optimizer(task, config, net)
    run = Run(net, averaged.requires_grad_(False).eval(), optimizer)
    state = out / STATE
    if resume not in ("auto", "never"):
        run.origin = _hash_of(Path(resume))
    if state.exists() and (resume == "auto" or _stands_on(state, run.origin, config)):
        _load(run, config, state, device)
    elif resume not in ("auto", "never") and hasattr(task, "warm"):
        task.warm(net, Path(resume))  # pyright: ignore[reportAttributeAccessIssue]
        averaged.load_state_dict(net.state_dict())
    elif resume not in ("auto", "never"):
        weights = load_weights(task.name, task.header(0).version, Path(resume))
        if weights.header.shape != task.header(0).shape:
            raise ArgumentError(f"{resume} has the shape {weights.header.shape}, not {task.header(0).shape}.")
        net.load_state_dict({k: torch.from_numpy(v) for k, v in weights.arrays.items()})
        averaged.load_state_dict(net.state_dict())
    elif config.only:
        raise ArgumentError(
            f"Of this network only '{config.only}' is trained, and there is nothing that the rest would come from.",
            remedy="Name its weights with --resume FILE.",
        )
    else:
        averaged.load_state_dict(net.state_dict())
    return run


def _on_device(net: nn.Module, device: torch.device) -> nn.Module:
    if any(p.ndim == 5 for p in net.parameters()):  # torch has no such memory format for these
        return net.to(device)
    return net.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _optimizer(task: Task, config: TrainConfig, net: nn.Module) -> torch.optim.Optimizer:
    if hasattr(task, "optimizer"):
        return task.optimizer(net)  # pyright: ignore[reportAttributeAccessIssue]
    return torch.optim.AdamW(net.parameters(), lr=config.lr, betas=(0.9, 0.99), weight_decay=config.decay)


def _step(
    task: Task, config: TrainConfig, run: Run, batch: dict[str, torch.Tensor], device: torch.device
) -> dict[str, float]:
    for group in run.optimizer.param_groups:
        group["lr"] = config.lr * _rate(config, run)
    run.net.train()
    torch.manual_seed(config.seed * 1_000_003 + run.step)  # what is dropped out depends on the step alone
    moved = {k: v.to(device, non_blocking=True) for k, v in batch.items()}
    run.optimizer.zero_grad(set_to_none=True)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.amp and device.type == "cuda"):
        loss, parts = task.loss(run.net, moved)
    loss.backward()
    nn.utils.clip_grad_norm_(run.net.parameters(), config.clip)
    run.optimizer.step()
    run.step += 1
    keep = min(config.ema, (1 + run.step) / (10 + run.step))  # the first weights are soon forgotten
    with torch.no_grad():
        for mean, new in zip(run.averaged.parameters(), run.net.parameters(), strict=True):
            mean.lerp_(new, 1 - keep)
        for mean, new in zip(run.averaged.buffers(), run.net.buffers(), strict=True):
            mean.copy_(new)
    return {"loss": loss.item(), **parts}


def _share(config: TrainConfig, run: Run) -> float:
    """0..1 of the schedule: by steps, or by time where there is a time limit."""
    by_time = run.seconds / (60 * config.minutes) if config.minutes else 0.0
    return max(run.step / config.steps, by_time)


def _rate(config: TrainConfig, run: Run) -> float:
    """Linear rise, then half a cosine to a hundredth."""
    rise = min(1.0, (run.step - run.warm_from + 1) / config.warmup)
    return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, _share(config, run)))))


def _save(task: Task, config: TrainConfig, run: Run, out: Path) -> None:
    state = {
        "net": run.net.state_dict(), "averaged": run.averaged.state_dict(), "optimizer": run.optimizer.state_dict(),
        "step": run.step, "seconds": run.seconds, "config": config.sha256(), "warm_from": run.warm_from,
        "origin": run.origin,
    }  # fmt: skip
    with atomic_path(out / STATE) as path:
        torch.save(state, path)
    if hasattr(task, "save"):
        task.save(run.averaged, run.step, out)  # pyright: ignore[reportAttributeAccessIssue]
        return
    arrays = {k: v.float().cpu().numpy() for k, v in run.averaged.state_dict().items()}
    save_weights(out / f"{task.name}.safetensors", task.header(run.step), arrays)


def _hash_of(path: Path) -> str:
    """Of a weight file, or of the files of a folder; "" where there is none, which its reader will tell better."""
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    try:
        for file in files:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    except OSError:
        return ""
    return digest.hexdigest()


def _stands_on(path: Path, origin: str, config: TrainConfig) -> bool:
    """Whether a state is of a training by this configuration that started from the weights ``origin``."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return bool(origin) and (state["config"], state.get("origin")) == (config.sha256(), origin)
    except (pickle.UnpicklingError, RuntimeError, KeyError, ValueError, EOFError, OSError, AttributeError):
        return False


def _load(run: Run, config: TrainConfig, path: Path, device: torch.device) -> None:
    """Go on. Where the optimizer's state was dropped, the learning rate rises again from here."""
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        theirs = state["config"]
    except (pickle.UnpicklingError, RuntimeError, KeyError, ValueError, EOFError, OSError) as error:
        raise FileFormatError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from error
    if theirs != config.sha256():
        raise ArgumentError(
            f"{path} belongs to another configuration.", remedy="Use another --out folder, or --resume never."
        )
    try:
        run.net.load_state_dict(state["net"])
        run.averaged.load_state_dict(state["averaged"])
    except RuntimeError as error:  # sizes that follow from the data, such as a head's number of vertices
        raise ArgumentError(
            f"{path} holds a network of other sizes.", remedy="Use another --out folder, or --resume never."
        ) from error
    run.step, run.seconds, run.warm_from = int(state["step"]), float(state["seconds"]), int(state["warm_from"])
    run.origin = str(state.get("origin", ""))
    if "optimizer" in state:
        run.optimizer.load_state_dict(state["optimizer"])
    else:
        run.warm_from = run.step


def _write_log(out: Path, run: Run, config: TrainConfig, parts: dict[str, float], metrics: dict[str, Any]) -> None:
    line = {"step": run.step, "seconds": round(run.seconds, 1), "lr": config.lr * _rate(config, run)}
    line |= {k: round(v, 5) for k, v in parts.items()}
    with (out / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps({**line, **({"validation": metrics} if metrics else {})}) + "\n")


def _told(run: Run, parts: dict[str, float], metrics: dict[str, Any]) -> str:
    score = f", score {metrics['score']:.3f}" if metrics else ""
    return f"step {run.step}, loss {parts['loss']:.3f}{score}"
