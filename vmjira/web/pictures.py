"""Pictures as SVG, drawn here and coloured by the style sheet: so they are right in light and in dark.

Each is one image for a screen reader, with its numbers in words; the same numbers stand in a table beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

SERIES = ("new", "remaining", "unverified", "safe")
_WIDTH, _HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 16, 14, 28
_SHOWN = 26  # iterations


def spark(values: Sequence[int], *, width: int = 96, height: int = 24) -> Markup:
    """A line without axes; the last value is a dot."""
    if not values:
        return Markup("")
    points = _points(values if len(values) > 1 else [*values, *values], max(values), width, height)
    x, y = points[-1]
    words = f"{values[0]} to {values[-1]} over {len(values)} iterations" if len(values) > 1 else str(values[0])
    return _svg(
        "spark", width, height, words,
        f'<polyline points="{_joined(points)}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>',
    )  # fmt: skip


def bars(iterations: Sequence[Mapping[str, Any]]) -> Markup:
    """Hosts over iterations, stacked: new at the bottom, because they are to be patched."""
    shown = iterations[-_SHOWN:]
    highest = max((sum(each["numbers"][name] for name in SERIES) for each in shown), default=0)
    axis, unit = _axis(highest)
    slot = (_WIDTH - _LEFT - _RIGHT) / max(len(shown), 6)
    parts = [
        axis,
        *_labels([each["iteration"] for each in shown], [_LEFT + slot * (i + 0.5) for i in range(len(shown))]),
    ]
    for index, each in enumerate(shown):
        left, width, floor = _LEFT + slot * index + slot * 0.14, slot * 0.72, float(_HEIGHT - _BOTTOM)
        for name in SERIES:
            if value := each["numbers"][name]:
                floor -= value * unit
                tip = escape(f"{each['iteration']}: {value} {name}")
                parts.append(
                    f'<rect class="{name}" x="{left:.1f}" y="{floor:.1f}" width="{width:.1f}" '
                    f'height="{value * unit:.1f}"><title>{tip}</title></rect>'
                )
    last = shown[-1] if shown else None
    words = f"Hosts over {len(shown)} iterations. " + (
        f"{last['iteration']}: " + ", ".join(f"{last['numbers'][name]} {name}" for name in SERIES) if last else ""
    )
    return _svg("bars", _WIDTH, _HEIGHT, words, "".join(parts))


def lines(labels: Sequence[str], series: Iterable[tuple[str, Sequence[int | None]]]) -> Markup:
    """Lines over the same labels; one that begins later has None before. The name stands at the end of each."""
    drawn = [(name, list(values)) for name, values in series]
    axis, unit = _axis(max((value for _, values in drawn for value in values if value is not None), default=0))
    right = 78 if len(drawn) > 1 else _RIGHT
    step = (_WIDTH - _LEFT - right) / max(len(labels) - 1, 1)
    parts = [axis, *_labels(labels, [_LEFT + step * i for i in range(len(labels))])]
    taken: list[float] = []
    for index, (name, values) in enumerate(drawn):
        points = [
            (_LEFT + step * i, _HEIGHT - _BOTTOM - value * unit) for i, value in enumerate(values) if value is not None
        ]
        if not points:
            continue
        x, y = points[-1]
        parts.append(f'<polyline class="line l{index % 6}" points="{_joined(points)}"/>')
        parts.append(f'<circle class="dot l{index % 6}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
        if len(drawn) > 1:
            while any(abs(y - each) < 12 for each in taken):
                y -= 12
            taken.append(y)
            parts.append(f'<text class="name" x="{x + 8:.1f}" y="{y + 4:.1f}">{escape(name)}</text>')
    told = "; ".join(f"{name}: {[v for v in values if v is not None][-1]}" for name, values in drawn if any(
        value is not None for value in values))  # fmt: skip
    return _svg("lines", _WIDTH, _HEIGHT, f"Lines over {len(labels)} points. At the end: {told}", "".join(parts))


def _axis(highest: int) -> tuple[str, float]:
    """Lines at round values, and how much one is."""
    step = 1
    while step * 4 < highest:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    top = step * max(-(-highest // step), 1)
    unit = (_HEIGHT - _TOP - _BOTTOM) / top
    parts = []
    for value in range(0, top + 1, step):
        y = _HEIGHT - _BOTTOM - value * unit
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,}</text>')
    return "".join(parts), unit


def _labels(labels: Sequence[str], places: Sequence[float]) -> Iterable[str]:
    """As many as fit, the last one always."""
    if not labels:
        return
    free = float(_WIDTH)  # of the width, from the left
    for label, x in reversed(list(zip(labels, places, strict=True))):
        half = len(label) * 4.6
        anchor = "end" if x + half > _WIDTH else "start" if x < half else "middle"
        right = x if anchor == "end" else x + 2 * half if anchor == "start" else x + half
        if right <= free:
            free = right - 2 * half - 8
            yield f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - 9}" text-anchor="{anchor}">{escape(label)}</text>'


def _points(values: Sequence[int], highest: int, width: int, height: int) -> list[tuple[float, float]]:
    step, unit = (width - 8) / (len(values) - 1), (height - 8) / max(highest, 1)
    return [(4 + step * i, height - 4 - value * unit) for i, value in enumerate(values)]


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _svg(kind: str, width: int, height: int, words: str, content: str) -> Markup:
    return Markup(  # noqa: S704  every text in it is escaped above
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(words)}">{content}</svg>'
    )
