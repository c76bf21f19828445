"""Sources to shards: several at a time, each on its own, going on where an interrupted call was."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ArgumentError, BackendDiedError, Cancelled, GsheadError
from ..files import check_writable
from ..folders import make_private
from ..head.catalog import load_head
from ..head.model import HeadModel
from ..portrait.tracking.clip import PICTURES
from ..process_pool import process_pool
from ..training.footage import SHARDS, split_of
from ..training.footage_shard import About
from .capture_source import plan_capture
from .clip_source import plan_clip
from .manifest import SourceRecord, read_manifest
from .plan import Plan
from .settings import LONGEST_LICENCE, Settings
from .shelf import forget, write_person

SCENE = "scene.json"
Progress = Callable[[float, str], None]


@dataclass
class Outcome:
    """What became of every source, in the order in which they were given.

    Attributes:
        made, found: records of sources that were prepared now, that were there. failed: errors by the source's path.
        again: sources that were named twice, or whose content is that of another.
    """

    made: dict[str, SourceRecord] = field(default_factory=dict)
    found: dict[str, SourceRecord] = field(default_factory=dict)
    failed: dict[str, GsheadError] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)


def prepare(
    sources: Sequence[Path], folder: Path, settings: Settings, *, workers: int = 1,
    progress: Progress = lambda fraction, text: None,
) -> Outcome:  # fmt: skip
    """Prepare every source that is not there yet; one that cannot be used does not stop the others.

    Args:
        sources: videos, folders of pictures in order, or multi-view folders. folder: closed to other users.
    Raises:
        ArgumentError: no sources, or a head without ARKit expressions. HeadError: no such head.
        ExportError: ``folder`` cannot be made or written. FileFormatError: its manifest is damaged.
    """
    if not sources:
        raise ArgumentError("There is nothing to prepare.", remedy="Name videos or multi-view folders.")
    head = load_head(settings.head)
    if not abs(head.arkit_expression).sum() > 0:
        raise ArgumentError(
            f"The head '{head.name}' has no ARKit expressions, which faces are tracked with.",
            remedy="Prepare with the default head, or with an imported one that has them.",
        )
    check_writable(make_private(make_private(folder) / SHARDS) / "any")  # now, not after minutes of tracking
    wanted = settings.sha256(head.sha256)
    outcome, jobs = Outcome(), _jobs(sources)
    outcome.again = [str(p) for p in sources if str(p) not in jobs]
    left: dict[str, tuple[str, str]] = {}
    known = read_manifest(folder).sources
    for path, job in jobs.items():
        if isinstance(job, GsheadError):
            outcome.failed[path] = job
        elif job in known and known[job].settings == wanted and _stands(folder, known[job]):
            outcome.found[path] = known[job]
        else:
            left[path] = (path, job)
    total, done = max(len(left), 1), 0

    def finish(path: str, result: SourceRecord | GsheadError) -> None:
        nonlocal done
        done += 1
        if isinstance(result, GsheadError):
            outcome.failed[path] = result
        else:
            outcome.made[path] = result
            manifest = read_manifest(folder)  # anew: another call may have added to it
            manifest.sources[result.source] = result
            manifest.write(folder)
        progress(done / total, f"{done} of {total} sources, {len(outcome.failed)} cannot be used")

    if workers <= 1 or len(left) <= 1:
        for path, job in left.values():
            part = lambda f, t: progress((done + f) / total, t)  # noqa: E731
            finish(path, _guarded(path, job, str(folder), settings, part))
    else:
        _parallel(left, folder, settings, workers, finish)
    outcome.failed = {path: outcome.failed[path] for path in jobs if path in outcome.failed}
    return outcome


def _parallel(
    left: dict[str, tuple[str, str]], folder: Path, settings: Settings, workers: int,
    finish: Callable[[str, SourceRecord | GsheadError], None],
) -> None:  # fmt: skip
    remedy = "Run again, with fewer --workers: finished sources are kept."
    with process_pool(workers, "sources were prepared", remedy=remedy) as pool:
        running: dict[Future[SourceRecord | GsheadError], str] = {
            pool.submit(_guarded, path, job, str(folder), settings): path for path, job in left.values()
        }
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                path = running.pop(future)
                try:
                    finish(path, future.result())
                except BrokenProcessPool:
                    finish(path, BackendDiedError("A process ended while sources were prepared.", remedy=remedy))


def _guarded(
    path: str, source: str, folder: str, settings: Settings, progress: Progress = lambda fraction, text: None
) -> SourceRecord | GsheadError:
    """One source's record, or why there is none."""
    try:
        return prepare_source(Path(path), source, Path(folder), settings, progress)
    except Cancelled:
        raise
    except GsheadError as error:
        return error
    except Exception as error:  # a decoder's own, of a file that nobody foresaw: the other sources go on
        return GsheadError(f"Internal error at '{path}': {type(error).__name__}: {error}", remedy="Please report it.")


def prepare_source(
    path: Path, source: str, folder: Path, settings: Settings, progress: Progress = lambda fraction, text: None
) -> SourceRecord:
    """Write the shards of one source, of which ``source`` is the hash; see :func:`prepare` for the rest."""
    began, head = time.perf_counter(), _head(settings.head)
    name = path.name or "source"
    part = lambda f, t: progress(0.5 * f, f"{name}: {t}")  # noqa: E731
    plan = (plan_capture if is_capture(path) else plan_clip)(path, head, settings, part)
    wanted = settings.sha256(head.sha256)
    forget(folder, source, wanted)
    people, total, before = [], sum(p.count for p in plan.people), 0
    for person in plan.people:
        cut = lambda n, b=before: progress(0.5 + 0.5 * (b + n) / total, f"{name}: {b + n} of {total} frames cut")  # noqa: E731
        people.append(write_person(folder, _about(plan, person.name, source, head, settings), person, cut))
        before += person.count
    counts = plan.counts
    return SourceRecord(
        source, plan.kind, split_of(source, settings.validation), _licence(plan, settings), wanted, counts.looked,
        counts.dropped, people, plan.facts, round(time.perf_counter() - began, 1),
    )  # fmt: skip


def _about(plan: Plan, name: str, source: str, head: HeadModel, settings: Settings) -> About:
    person = hashlib.sha256(f"{source} {name}".encode()).hexdigest()[:16]
    return About(
        head.name, head.sha256, person, source, _licence(plan, settings), split_of(source, settings.validation),
        plan.kind, settings.sha256(head.sha256), settings.size,
    )  # fmt: skip


def _licence(plan: Plan, settings: Settings) -> str:
    return (settings.licence or plan.licence)[:LONGEST_LICENCE]


_heads: dict[str, HeadModel] = {}


def _head(name: str) -> HeadModel:
    if name not in _heads:
        _heads[name] = load_head(name)
    return _heads[name]


def is_capture(path: Path) -> bool:
    """Whether a source is a multi-view folder."""
    return (path / SCENE).is_file()


def source_hash(path: Path) -> str:
    """32 hexadecimal digits of what a source holds: the same wherever it lies and whatever it is called.

    Raises ``ArgumentError`` when there is nothing to read.
    """
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        files = files if is_capture(path) else [p for p in files if p.suffix.lower() in PICTURES and p.parent == path]
    else:
        files = [path]
    out = hashlib.sha256()
    try:
        for file in files:
            out.update(f"{file.relative_to(path) if path.is_dir() else ''}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as opened:
                while block := opened.read(1 << 20):
                    out.update(block)
    except OSError as error:
        raise ArgumentError(
            f"'{path}' cannot be read: {error.strerror or error}.", remedy="Name a video or a folder."
        ) from error
    return out.hexdigest()[:32]


def _jobs(sources: Sequence[Path]) -> dict[str, str | GsheadError]:
    """By path, the source's hash or why it cannot be read; of sources with the same content only the first."""
    out: dict[str, str | GsheadError] = {}
    for path in sources:
        try:
            found = source_hash(path)
        except GsheadError as error:
            out[str(path)] = error
            continue
        if found not in out.values():
            out[str(path)] = found
    return out


def _stands(folder: Path, record: SourceRecord) -> bool:
    """Whether all files of a record are there, in their size."""
    shards = [(folder / SHARDS / s.file, s.bytes) for p in record.people for s in p.shards]
    return all(path.is_file() and path.stat().st_size == size for path, size in shards)
