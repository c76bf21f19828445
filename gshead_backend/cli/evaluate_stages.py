"""``gshead evaluate tracking|portraits|networks``: one stage by itself against known truth."""

from __future__ import annotations

from pathlib import Path

from ..errors import ArgumentError, EvaluationError
from .console import Progress, emit


def tracking(
    *, clips: tuple[Path, ...] = (), head: str = "default", smooth: float = 1.0, json: bool = False,
) -> int:  # fmt: skip
    """Track rendered clips as 'gshead track' does and compare with their truth.

    Args:
        clips: folders that 'gshead evaluate clips' made; all in its folder when not given.
        head: an imported head's name, or a head file.
        smooth: as of 'gshead track'.
        json: print the result as one JSON object.
    """
    from ..evaluation.benchmarks.tracking import run_clip
    from ..evaluation.runner import clips_folder
    from ..head import load_head

    found = clips or tuple(sorted(p.parent for p in clips_folder().glob("*/clip.json")))
    if not found:
        raise EvaluationError("There are no clips with truth.", remedy="Render some: 'gshead evaluate clips'.")
    model, progress, measured = load_head(head), Progress(), {}
    try:
        for i, folder in enumerate(found):
            measured[folder.name] = run_clip(
                folder, model, smooth=smooth, progress=progress.part(i / len(found), (i + 1) / len(found))
            )
    finally:
        progress.close()
    rows = [f"{name:18}" + "".join(f"{_told(m[name]):>18}" for m in measured.values()) for name in
            next(iter(measured.values()))]  # fmt: skip
    emit(measured, "\n".join([" " * 18 + "".join(f"{n[:17]:>18}" for n in measured), *rows]), as_json=json)
    return 0


def portraits(*, people: int = 60, hair_meshes: str = "", json: bool = False) -> int:
    """Fit synthetic portraits with known truth: head pose, distance (which is focal length), shape of the neutral face.

    Args:
        people: how many; three photographs of each, of which those turned further than 40 or 20 degrees are left out.
        hair_meshes: a folder of OBJ hair that half of the people with hair wear.
        json: print the result as one JSON object.
    """
    if people < 1:
        raise ArgumentError(f"--people must be at least 1, got {people}.")
    from ..evaluation.benchmarks.portraits import run_portraits
    from ..training.synthetic.sample import Drawing

    progress = Progress()
    try:
        measured = run_portraits(people, Drawing(hair_meshes=hair_meshes), progress)
    finally:
        progress.close()
    emit(measured, "\n".join(f"{k:24}{_told(v):>10}" for k, v in measured.items()), as_json=json)
    return 0


def networks(*, people: str = "daily", json: bool = False) -> int:
    """Measure parser and regressor by themselves on the fronts of test people, without reconstructing anybody.

    Args:
        people: test people: daily, all that are rendered, or a folder of multi-view folders with truth.
        json: print the result as one JSON object.
    """
    from ..evaluation.benchmarks.networks import ALL, CLASSES, run_networks
    from ..evaluation.runner import find_people

    folders, missing = find_people(people)
    if not folders:
        raise EvaluationError("There are no test people.", remedy="; ".join(f"{w}: {c}" for w, _, c in missing))
    progress = Progress()
    try:
        measured = run_networks(folders, progress)
    finally:
        progress.close()
    columns = {
        "parser_miou": "mIoU", "regressor_mae": "error", "zero_mae": "of zeros", "regressor_corr": "corr.",
        "regressor_blink_recall": "blinks", "regressor_quiet": "at rest", "believed_mae": "believed",
        "believed_quiet": "at rest", "regressor_gaze_deg": "gaze",
        "regressor_yaw_deg": "yaw", "regressor_pitch_deg": "pitch", "faces": "faces", "missed": "missed",
    }  # fmt: skip
    rows = [" " * 20 + "".join(f"{c:>9}" for c in columns.values())]
    rows += [f"{name:20}" + "".join(f"{_told(m.get(c)):>9}" for c in columns) for name, m in measured.items()]
    rows += [f"{name.removeprefix('parser_iou_'):20}{_told(measured[ALL].get(name)):>9}" for name in CLASSES]
    rows += [f"not measured: {what} ({why}): {command}" for what, why, command in missing]
    emit(measured, "\n".join(rows), as_json=json)
    return 0


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
