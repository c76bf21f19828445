"""``gshead evaluate blind``: which method people prefer."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from ..errors import EvaluationError
from .console import Progress, emit, warn


def blind(
    methods: tyro.conf.Positional[tuple[str, ...]], /, *, photos: str = "", out: Path = Path("out/blind"),
    quality: Literal["draft", "standard", "high"] = "standard", device: str = "auto", json: bool = False,
) -> int:  # fmt: skip
    """Make sheets that compare methods without telling which is which, or count the answers to them.

    Every portrait gives one sheet: the photo, then each method's head from five sides and with three expressions, in
    an order drawn for that sheet. Write the preferred letter, or = for none, behind every sheet in answers.csv; then
    call this again with no method but 'score'.

    Args:
        methods: two to four methods, or the word score.
        photos: a folder of portraits or one file; the sample portrait when empty.
        out: the folder of sheets, answers and key (which should stay closed until then).
        quality: of every reconstruction.
        device: auto, cpu, cuda or cuda:N.
        json: print the result as one JSON object.
    """
    from ..evaluation import blind as comparison

    if methods == ("score",):
        tally = comparison.score(out)
        told = [f"{name:12}{count:4}" for name, count in tally.votes.items()] + [f"{'no preference':12} {tally.ties}"]
        emit(
            {"votes": tally.votes, "ties": tally.ties, "p": tally.p},
            "\n".join([*told, f"sign test p {tally.p:.3f}"]),
            as_json=json,
        )
        return 0
    from ..evaluation.benchmarks.common import Candidate
    from ..evaluation.runner import find_photos
    from ..head import load_head
    from ..server.devices import resolve_device

    files, missing = find_photos(Path(photos) if photos else None)
    if not files:
        raise EvaluationError(
            "There are no photos to compare on.", remedy="; ".join(command for *_, command in missing)
        )
    head, where = load_head("default"), resolve_device(device)
    candidates = [Candidate(method, quality, head, where) for method in methods]
    progress = Progress()
    try:
        sheets, unused = comparison.make_sheets(files, candidates, out, progress)
    finally:
        progress.close()
    for name, why in unused:
        warn(f"{name}: {why}")
    result = {"sheets": [str(s) for s in sheets], "answers": str(out / comparison.ANSWERS), "unused": dict(unused)}
    emit(result, f"{out}: {len(sheets)} sheets; write your answers into {comparison.ANSWERS}", as_json=json)
    return 0
