"""The picture of a ticket: hosts by what became of them, over the last iterations; as PNG and as SVG.

One layout, two painters. Pillow and not matplotlib: it is imported many times faster, and the font it brings makes the
bytes the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from math import ceil
from typing import Literal

from vmjira.domain.ticket import HistoryPoint, HostNumbers
from vmjira.rendering.wiki import clip, plain

WIDTH, HEIGHT = 560, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 42, 30
_SHOWN = 10  # iterations
_INK, _QUIET, _GRID = "#1f2933", "#5f6b7a", "#e1e5ea"

#: From the bottom up. Okabe and Ito's colours, which the colour-blind can tell apart; in grey they differ too.
SERIES = (
    ("new", "#d55e00", "#ffffff"),
    ("remaining", "#f0b429", "#1f2933"),
    ("unverified", "#b8c0ca", "#1f2933"),
    ("safe", "#0b7a5c", "#ffffff"),
)


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    fill: str
    title: str = ""


@dataclass(frozen=True)
class Text:
    x: float
    y: float  # middle
    text: str
    fill: str = _INK
    size: int = 12
    anchor: Literal["start", "middle", "end"] = "middle"


def layout(history: Sequence[HistoryPoint]) -> Iterator[Box | Text]:
    """What is painted, in order."""
    shown = history[-_SHOWN:]
    yield Box(0, 0, WIDTH, HEIGHT, "#ffffff")
    yield from _legend(shown[-1].numbers if shown else HostNumbers())
    step, top = _scale(max((_total(point.numbers) for point in shown), default=0))
    floor = HEIGHT - _BOTTOM
    unit = (floor - _TOP) / top
    for value in range(0, top + 1, step):
        yield Box(_LEFT, floor - value * unit, WIDTH - _LEFT - _RIGHT, 1, _QUIET if value == 0 else _GRID)
        yield Text(_LEFT - 6, floor - value * unit, _number(value), _QUIET, 11, "end")
    slot = (WIDTH - _LEFT - _RIGHT) / max(len(shown), 4)
    widest = max((min(len(plain(point.label)), 12) for point in shown), default=0) * 6.4 + 6
    every = ceil(widest / slot)  # labels that would touch each other are left out, never the last one
    for index, point in enumerate(shown):
        centre = _LEFT + slot * (index + 0.5)
        yield from _bar(point, centre, min(slot * 0.68, 56), unit)
        before_last = len(shown) - 1 - index
        if before_last % every == 0:
            label = clip(plain(point.label), 12)
            yield Text(centre, floor + 15, label, _QUIET if before_last else _INK, 11)
    if not shown:
        yield Text(WIDTH / 2, HEIGHT / 2, "no hosts yet", _QUIET)


def svg(history: Sequence[HistoryPoint]) -> str:
    """The picture for pages: sharp at any size, each part with its number as a tooltip."""
    parts = []
    for shape in layout(history):
        if isinstance(shape, Box):
            tip = f"<title>{escape(shape.title)}</title>" if shape.title else ""
            size = f'x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}"'
            parts.append(f'<rect {size} fill="{shape.fill}">{tip}</rect>')
        else:
            place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" text-anchor="{shape.anchor}" dominant-baseline="central"'
            parts.append(f'<text {place} font-size="{shape.size}" fill="{shape.fill}">{escape(shape.text)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(_summary(history))}" font-family="system-ui, sans-serif">{"".join(parts)}</svg>'
    )


def png(history: Sequence[HistoryPoint]) -> bytes:
    """The picture to attach, twice as fine as its size says. The same numbers give the same bytes."""
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - only who draws pays for it

    fine = 2
    image = Image.new("RGB", (WIDTH * fine, HEIGHT * fine))
    draw = ImageDraw.Draw(image)
    anchors = {"start": "lm", "middle": "mm", "end": "rm"}
    for shape in layout(history):
        if isinstance(shape, Box):
            corners = (shape.x, shape.y, shape.x + shape.width, shape.y + shape.height)
            left, top, right, bottom = (round(value * fine) for value in corners)
            if right > left and bottom > top:
                draw.rectangle((left, top, right - 1, bottom - 1), fill=shape.fill)
        else:
            font = ImageFont.load_default(shape.size * fine)
            draw.text((shape.x * fine, shape.y * fine), shape.text, shape.fill, font, anchors[shape.anchor])
    buffer = BytesIO()
    # Median cut and `optimize` take four times as long as all the rest, to save a sixth of ten kilobytes.
    image.quantize(64, Image.Quantize.FASTOCTREE).save(buffer, "PNG")
    return buffer.getvalue()


def _legend(now: HostNumbers) -> Iterator[Box | Text]:
    """The names of the parts with their numbers now, in the order of the numbers in the text."""
    x = float(_LEFT)
    for name, fill, _ in SERIES:
        text = f"{getattr(now, name)} {name}"
        yield Box(x, 12, 12, 12, fill)
        yield Text(x + 18, 18, text, _INK, 13, "start")
        x += 38 + 7.1 * len(text)


def _bar(point: HistoryPoint, centre: float, width: float, unit: float) -> Iterator[Box | Text]:
    bottom = HEIGHT - float(_BOTTOM)
    for name, fill, ink in SERIES:
        value = getattr(point.numbers, name)
        height = value * unit
        if value:
            bottom -= height
            yield Box(centre - width / 2, bottom, width, height, fill, f"{point.label}: {value} {name}")
        if height >= 13:
            yield Text(centre, bottom + height / 2, _number(value), ink, 11)


def _number(value: int) -> str:
    """Short enough for a bar."""
    return f"{value}" if value < 10_000 else f"{value / 1000:.0f}k" if value < 1_000_000 else f"{value / 1e6:.1f}M"


def _total(numbers: HostNumbers) -> int:
    return sum(getattr(numbers, name) for name, _, _ in SERIES)


def _scale(highest: int) -> tuple[int, int]:
    """Step and end of the axis: three or four round steps."""
    step = 1
    while step * 4 < highest:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return step, step * max(-(-highest // step), 1)


def _summary(history: Sequence[HistoryPoint]) -> str:
    if not history:
        return "No hosts yet"
    last = history[-1]
    return f"{last.label}: " + ", ".join(f"{getattr(last.numbers, name)} {name}" for name, _, _ in SERIES)
