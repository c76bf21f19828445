"""Which method do people prefer, when they do not know which is which?

One sheet for every portrait: the photo, then each method's head from several sides and with expressions, in an order
drawn anew for every sheet. The order is kept in a file that nobody should open before answering.
"""

from __future__ import annotations

import csv
import io
import json
import math
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..avatar.types import Avatar
from ..errors import ArgumentError, EvaluationError, FileFormatError, PortraitError
from ..files import write_atomic
from ..head.model import HeadModel
from ..head.pose import HeadPose
from ..head.skinning import pose_from_arkit
from ..portrait.types import PortraitFit, Progress, no_progress
from .benchmarks.common import Candidate, take_shot
from .benchmarks.stage import Stage
from .pictures import row

KEY, ANSWERS = "key.json", "answers.csv"
LETTERS = "ABCD"
YAWS = (0, -30, 30, -60, 60)
EXPRESSIONS = {"smile": {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9}, "open": {"jawOpen": 0.7},
               "closed": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}}  # fmt: skip
_LETTER_HEIGHT = 28


@dataclass(frozen=True)
class Tally:
    """votes: sheets won by each method. ties: sheets without a preference. p: two-sided sign test between the two
    methods with the most votes, the chance of a result at least as uneven when neither is better."""

    votes: dict[str, int]
    ties: int
    p: float


def make_sheets(
    photos: Sequence[Path], candidates: Sequence[Candidate], out: Path, progress: Progress = no_progress
) -> tuple[list[Path], list[tuple[str, str]]]:
    """Write a sheet for every photo, an empty table of answers and the key.

    Args:
        candidates: two to four methods, all on one head model.

    Returns:
        The sheets, and the photos that could not be used with the reason.
    Raises:
        ArgumentError: fewer than two methods, or more than four, or answers are there that would be lost.
        EvaluationError: no photo could be used.
    """
    names = [c.method for c in candidates]
    if not 2 <= len(set(names)) == len(names) <= len(LETTERS):
        raise ArgumentError(f"A blind comparison takes two to four different methods, not {', '.join(names)}.")
    if (out / KEY).exists():
        raise ArgumentError(f"'{out}' holds a comparison already.", remedy="Score it, or choose another folder.")
    order, sheets, unused = {}, [], []
    for i, photo in enumerate(photos):
        try:
            fit = take_shot(photo.read_bytes(), candidates[0].head).fit
        except (PortraitError, OSError) as error:
            unused.append((photo.name, str(error)))
            continue
        progress(i / len(photos), photo.name)
        shuffled = list(candidates)
        secrets.SystemRandom().shuffle(shuffled)
        rows = [
            _labelled(_views(c.reconstruct(fit), fit), letter) for c, letter in zip(shuffled, LETTERS, strict=False)
        ]
        name = f"{len(sheets) + 1:02}"
        sheets.append(out / f"{name}.jpg")
        ok, data = cv2.imencode(".jpg", np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        assert ok
        write_atomic(sheets[-1], data.tobytes())
        order[name] = {"photo": photo.name, "order": [c.method for c in shuffled]}
    if not sheets:
        raise EvaluationError("No photo could be used.", remedy="; ".join(f"{n}: {why}" for n, why in unused))
    lines = "sheet,preferred\n" + "".join(f"{name},\n" for name in order)
    write_atomic(out / ANSWERS, lines.encode())
    write_atomic(out / KEY, json.dumps({"format": "gshead-blind", "version": 1, "sheets": order}, indent=1).encode())
    return sheets, unused


def _views(avatar: Avatar, fit: PortraitFit) -> np.ndarray:
    stage = Stage.of(avatar)
    neutral = HeadPose.neutral(avatar.head.expression_count)
    shown = [fit.image.astype(np.float32) / 255]
    shown += [stage.picture(neutral, yaw)[0] for yaw in YAWS]
    shown += [stage.picture(_pose(avatar.head, channels))[0] for channels in EXPRESSIONS.values()]
    return row(shown)


def _pose(head: HeadModel, channels: dict[str, float]) -> HeadPose:
    from ..head.arkit import ARKIT_INDEX

    weights = np.zeros(len(ARKIT_INDEX), np.float32)
    for name, value in channels.items():
        weights[ARKIT_INDEX[name]] = value
    return pose_from_arkit(head, weights)


def _labelled(strip: np.ndarray, letter: str) -> np.ndarray:
    bar = np.full((_LETTER_HEIGHT, strip.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, letter, (6, _LETTER_HEIGHT - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 0, 0), 2, cv2.LINE_AA)
    return np.concatenate([bar, strip])


def score(out: Path) -> Tally:
    """Count the answers of a comparison.

    Raises:
        FileFormatError: key or answers are not what ``make_sheets`` wrote, or an answer is no letter of its sheet.
        EvaluationError: nothing was answered yet.
    """
    try:
        sheets = json.loads((out / KEY).read_text("utf-8"))["sheets"]
        answers = list(csv.DictReader(io.StringIO((out / ANSWERS).read_text("utf-8-sig"))))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileFormatError(
            f"'{out}' holds no blind comparison ({error}).", remedy="Make one: 'gshead evaluate blind METHOD METHOD'."
        ) from error
    votes: Counter[str] = Counter()
    ties = 0
    for line in answers:
        sheet, said = str(line.get("sheet") or "").strip(), str(line.get("preferred") or "").strip().upper()
        if not said:
            continue
        order = sheets.get(sheet, {}).get("order", [])
        if said == "=":
            ties += 1
        elif len(said) == 1 and said in LETTERS[: len(order)]:
            votes[order[LETTERS.index(said)]] += 1
        else:
            letters = ", ".join(LETTERS[: len(order)])
            raise FileFormatError(f"'{said}' is no answer for sheet '{sheet}': {letters} or = are, or nothing.")
    if not votes and not ties:
        raise EvaluationError(
            "Nothing was answered yet.", remedy=f"Write a letter, or =, behind every sheet in '{out / ANSWERS}'."
        )
    for method in {m for s in sheets.values() for m in s["order"]}:
        votes.setdefault(method, 0)
    first, second = (n for _, n in votes.most_common(2))
    return Tally(dict(votes.most_common()), ties, sign_test(first, second))


def sign_test(a: int, b: int) -> float:
    """Two-sided: the chance of votes at least as uneven as a to b when both are as likely."""
    n, low = a + b, min(a, b)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(low + 1)) / 2**n)
