"""Two reports, line by line: before, after, better or worse."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from .catalog import HEADLINES, metric

Verdict = Literal["better", "worse", "same", "new", "gone", "changed"]


@dataclass(frozen=True)
class Change:
    """One metric of one line. before, after: None where it was not measured."""

    benchmark: str
    method: str
    quality: str
    name: str
    before: float | None
    after: float | None
    verdict: Verdict


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """Changes of the lines that both reports have, in the order of the later one.

    Args:
        before, after: documents of :func:`report.read_report`.
    """
    old = {_key(line): line for line in before["lines"]}
    out = []
    for line in after["lines"]:
        earlier = old.get(_key(line))
        if earlier is None:
            continue
        names = list(dict.fromkeys([*line["metrics"], *earlier["metrics"]]))
        for name in names:
            a, b = earlier["metrics"].get(name), line["metrics"].get(name)
            if a is not None or b is not None:
                out.append(Change(line["benchmark"], line["method"], line["quality"], name, a, b, verdict(name, a, b)))
    return out


def verdict(name: str, before: float | None, after: float | None) -> Verdict:
    """Better or worse by the metric's direction; changes within its step of noise are the same."""
    if before is None or after is None:
        return "new" if before is None else "gone"
    about = metric(name)
    if abs(after - before) <= max(about.step, 1e-9):
        return "same"
    if about.better == "neither":
        return "changed"
    return "better" if (after > before) == (about.better == "higher") else "worse"


def unpaired(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Lines that only one of the reports has, and benchmarks whose number of items changed."""
    a, b = ({_key(line): line for line in d["lines"]} for d in (before, after))
    out = [f"only before: {' '.join(k)}" for k in a.keys() - b.keys()]
    out += [f"only after: {' '.join(k)}" for k in b.keys() - a.keys()]
    out += [
        f"{' '.join(k)}: {a[k].get('items')} items before, {b[k].get('items')} after"
        for k in a.keys() & b.keys()
        if a[k].get("items") != b[k].get("items")
    ]
    return sorted(out)


def table(changes: Iterable[Change]) -> str:
    """Text for a terminal."""
    rows, head = [], None
    for c in changes:
        if (c.benchmark, c.method, c.quality) != head:
            head = (c.benchmark, c.method, c.quality)
            rows.append(f"{c.benchmark} · {c.method} · {c.quality}")
        about = metric(c.name)
        values = "  ".join("       –" if v is None else f"{v:8.3f}" for v in (c.before, c.after))
        rows.append(f"  {c.name:<26} {values}  {about.unit:<15} {'' if c.verdict == 'same' else c.verdict}".rstrip())
    return "\n".join(rows)


def _key(line: dict[str, Any]) -> tuple[str, str, str]:
    return line["benchmark"], line["method"], line["quality"]


def table_of_line(line: dict[str, Any]) -> str:
    """One line of a report for a terminal: its headline metrics."""
    told = [
        f"{name} {line['metrics'][name]:.3f}"
        for name in HEADLINES.get(line["benchmark"], ())
        if line["metrics"].get(name) is not None
    ]
    return f"{line['benchmark']} · {line['method']} · {line['quality']} ({line['items']}): {', '.join(told)}"
