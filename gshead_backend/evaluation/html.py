"""The report as one HTML page that needs nothing else: the lines first, then pictures, then every number."""

from __future__ import annotations

import statistics
from html import escape
from typing import TYPE_CHECKING, Any

from .catalog import GOALS, HEADLINES, metric
from .pictures import jpeg_uri

if TYPE_CHECKING:
    from .report import Report

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1280px;padding:0 1em;color:#1b1b1b;background:#fff}
h1{font-size:1.5em}h2{margin-top:2em;border-bottom:1px solid #ccc}h3{margin:1.4em 0 .3em}
table{border-collapse:collapse;margin:.6em 0}th,td{padding:.2em .7em;text-align:right;border-bottom:1px solid #e4e4e4}
th:first-child,td:first-child{text-align:left}td.left,th.left{text-align:left}th{font-weight:600;vertical-align:bottom}
th small{display:block;font-weight:400;color:#666}.wide{overflow-x:auto}
figure{display:inline-block;margin:.4em .8em .4em 0;vertical-align:top}figcaption{font-size:.85em;color:#444}
img{display:block;max-width:100%}.note{color:#666;font-size:.9em}code{background:#f2f2f2;padding:.1em .3em}
"""


WORST = 5
"""So many of a line's items are named; of lines with no more, none."""


def page(report: Report, document: dict[str, Any]) -> str:
    """HTML text; pictures are inside it."""
    title = f"gshead evaluate {', '.join(dict.fromkeys(n.method for n in report.lines))}"
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        f"<meta name='viewport' content='width=device-width'><title>{escape(title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(title)}</h1><p class='note'>{escape(document['date'])} · gshead {escape(document['gshead'])}"
        f"{' · ' + escape(document['commit']) if document['commit'] else ''} · {escape(document['device'])} · "
        f"{document['seconds']:.0f} s</p>",
        *_summary(report), *_worst(report), *_missing(report), *_items(report), *_everything(report),
        *_networks(document),
    ]  # fmt: skip
    return "\n".join(parts) + "</html>\n"


def number(value: float | None) -> str:
    """A value with the digits that mean something."""
    if value is None:
        return "–"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def _summary(report: Report) -> list[str]:
    out = ["<h2>One line per method and quality</h2>"]
    for benchmark in dict.fromkeys(n.benchmark for n in report.lines):
        lines = [n for n in report.lines if n.benchmark == benchmark]
        names = [k for k in HEADLINES[benchmark] if any(n.metrics.get(k) is not None for n in lines)]
        head = "".join(
            f"<th title='{escape(metric(k).about)}'>{escape(k)}<small>{_sense(k)}</small></th>" for k in names
        )
        rows = "".join(
            f"<tr><td>{escape(n.method)} · {escape(n.quality)}</td><td>{len(n.items)}</td>"
            + "".join(f"<td>{number(n.metrics.get(k))}</td>" for k in names)
            + "</tr>"
            for n in lines
        )
        out.append(f"<h3>{benchmark}</h3><div class='wide'><table><tr><th>method · quality</th>"
                   f"<th>items</th>{head}</tr>{rows}</table></div>")  # fmt: skip
    return out


def _worst(report: Report) -> list[str]:
    """Medians beside their goals, and the items that are worst, with links to their pictures."""
    out: list[str] = []
    for n, line in enumerate(report.lines):
        if len(line.items) <= WORST:
            continue
        rows = []
        for name, goal in GOALS.get(line.benchmark, {}).items():
            found = [(value, i) for i, item in enumerate(line.items) if (value := item.metrics.get(name)) is not None]
            if not found:
                continue
            median = statistics.median(value for value, _ in found)
            low = metric(name).better == "lower"
            short = median > goal if low else median < goal
            links = ", ".join(
                f"<a href='#item-{n}-{i}'>{escape(line.items[i].name)}</a> {number(value)}"
                for value, i in sorted(found, reverse=low)[:WORST]
            )
            reached = f"<b>{number(median)}</b>" if short else number(median)
            rows.append(f"<tr><td>{escape(name)}</td><td>{reached}</td><td>{number(goal)}</td>"
                        f"<td>{'no' if short else 'yes'}</td><td class='left'>{links}</td></tr>")  # fmt: skip
        if rows:
            out.append(
                f"<h3>{escape(line.benchmark)} · {escape(line.method)} · {escape(line.quality)}</h3><table><tr><th>"
                f"metric</th><th>median of {len(line.items)}</th><th>goal</th><th>reached</th>"
                f"<th class='left'>worst {WORST}</th></tr>{''.join(rows)}</table>"
            )
    return ["<h2>Medians, goals and the worst</h2>", *out] if out else []


def _sense(name: str) -> str:
    about = metric(name)
    arrow = {"higher": "↑", "lower": "↓", "neither": ""}[about.better]
    return escape(f"{about.unit} {arrow}".strip())


def _missing(report: Report) -> list[str]:
    rows = [
        f"<tr><td>{escape(w)}</td><td class='left'>{escape(y)}</td><td class='left'><code>{escape(c)}</code></td></tr>"
        for w, y, c in report.missing
    ]
    rows += [f"<tr><td>{escape(w)}</td><td class='left' colspan='2'>{escape(e)}</td></tr>" for w, e in report.failures]
    if not rows:
        return []
    return ["<h2>Not measured</h2><table><tr><th>what</th><th class='left'>why</th><th class='left'>command</th></tr>"
            + "".join(rows) + "</table>"]  # fmt: skip


def _items(report: Report) -> list[str]:
    out = ["<h2>Pictures</h2><p class='note'>Three pictures: truth, rendering, difference × 3; its dim part does not "
           "count.</p>"]  # fmt: skip
    for n, line in enumerate(report.lines):
        for i, item in enumerate(line.items):
            out.append(
                f"<h3 id='item-{n}-{i}'>{escape(line.benchmark)} · {escape(item.name)} · {escape(line.method)} "
                f"{line.quality}</h3>"
            )
            told = [
                f"{k} {number(item.metrics[k])} {metric(k).unit}".strip()
                for k in HEADLINES[line.benchmark]
                if item.metrics.get(k) is not None
            ]
            out.append(f"<p class='note'>{escape('; '.join(told))}<br>{escape(' · '.join(item.notes))}</p>")
            out += [
                f"<figure><img loading='lazy' alt='{escape(caption or 'more')}' src='{jpeg_uri(picture)}'>"
                f"<figcaption>{escape(caption)}</figcaption></figure>"
                for caption, picture in item.pictures
            ]
    return out


def _everything(report: Report) -> list[str]:
    out = ["<h2>Every number</h2>"]
    for line in report.lines:
        head = "".join(f"<th>{escape(i.name)}</th>" for i in line.items)
        out.append(
            f"<h3>{escape(line.benchmark)} · {escape(line.method)} · {escape(line.quality)}</h3>"
            f"<div class='wide'><table><tr><th>metric</th><th>line</th>{head}<th class='left'>meaning</th></tr>"
        )
        for name, value in line.metrics.items():
            each = "".join(f"<td>{number(i.metrics.get(name))}</td>" for i in line.items)
            about = f"{metric(name).about} ({_sense(name)})" if _sense(name) else metric(name).about
            out.append(f"<tr><td>{escape(name)}</td><td>{number(value)}</td>{each}<td class='left'>{about}</td></tr>")
        out.append("</table></div>")
    return out


def _networks(document: dict[str, Any]) -> list[str]:
    rows = "".join(f"<li>{escape(k)}: {escape(v)}</li>" for k, v in document["networks"].items())
    return [f"<h2>Metrics of the papers</h2><ul>{rows}</ul>"]
