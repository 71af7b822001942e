"""The picture: the same numbers give the same bytes, and every number is in it."""

import io
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from vmjira.domain.ticket import HistoryPoint, HostNumbers
from vmjira.rendering import Renderer, png, svg
from vmjira.rendering.chart import HEIGHT, WIDTH, Box, Text, layout
from vmjira.rendering.sample import FULL

NUMBERS = HostNumbers(vulnerable=17, last=37, new=12, remaining=5, safe=30, unverified=2)


def history(length: int, factor: int = 1) -> list[HistoryPoint]:
    numbers = HostNumbers(**{name: value * factor for name, value in vars(NUMBERS).items()})
    return [HistoryPoint(f"2026-W{week}", numbers) for week in range(10, 10 + length)]


def texts(points: list[HistoryPoint]) -> list[str]:
    return [shape.text for shape in layout(points) if isinstance(shape, Text)]


def test_the_picture_is_a_png_twice_as_fine_as_it_is_shown() -> None:
    image = Image.open(io.BytesIO(png(history(5))))
    assert image.size == (WIDTH * 2, HEIGHT * 2)
    assert len(png(history(12))) < 40_000


def test_the_same_history_gives_the_same_bytes() -> None:
    assert png(history(5)) == png(history(5)) != png(history(6))
    assert not Image.open(io.BytesIO(png(history(5)))).info


def test_parts_are_as_high_as_their_numbers() -> None:
    bars = [shape for shape in layout(history(1)) if isinstance(shape, Box) and shape.title]
    heights = {bar.title: bar.height for bar in bars}
    assert heights["2026-W10: 30 safe"] == pytest.approx(heights["2026-W10: 12 new"] * 30 / 12)
    assert len(bars) == 4


def test_the_legend_names_each_part_with_its_number_in_the_last_scan() -> None:
    assert texts(history(3))[:4] == ["12 new", "5 remaining", "2 unverified", "30 safe"]


@pytest.mark.parametrize("length", [0, 1, 2, 10, 60])
@pytest.mark.parametrize("factor", [0, 1, 1000, 100_000])
def test_everything_lies_within_the_picture(length: int, factor: int) -> None:
    for shape in layout(history(length, factor)):
        assert 0 <= shape.x <= WIDTH and 0 <= shape.y <= HEIGHT
        if isinstance(shape, Box):
            assert shape.x + shape.width <= WIDTH and shape.y + shape.height <= HEIGHT + 0.01


def test_labels_do_not_touch_and_the_last_one_is_always_there() -> None:
    labels = [text for text in texts(history(60)) if text.startswith("2026")]
    assert labels[-1] == "2026-W69"
    assert len(labels) == 5


def test_no_history_says_so() -> None:
    assert "no hosts yet" in texts([])
    assert png([]).startswith(b"\x89PNG")


def test_the_svg_is_well_formed_and_hostile_labels_are_text() -> None:
    drawn = svg([HistoryPoint("<script>&", NUMBERS)])
    root = ET.fromstring(drawn)
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert "&lt;script&gt;" in drawn
    assert root.get("aria-label") == "<script>&: 12 new, 5 remaining, 2 unverified, 30 safe"


def test_a_picture_beyond_the_limit_is_left_out() -> None:
    assert [file.name for file in Renderer().files(FULL, 1_000)] == [f"{FULL.identifier}.own.csv"]


def test_nothing_that_draws_is_imported_before_it_is_needed() -> None:
    code = "import sys, vmjira.rendering; print([name for name in ('PIL', 'matplotlib') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
