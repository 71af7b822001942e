"""Our part of a description is replaced; a person's text is never touched."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vmjira.rendering import marks
from vmjira.rendering.marks import CLOSE, OPEN, SHORTENED, merge, room, shrink, wrap
from vmjira.rendering.wiki import units

OURS1, OURS2 = wrap("first"), wrap("second\nlines")

pieces = st.lists(
    st.one_of(st.text(), st.sampled_from([OPEN, CLOSE, "\n", "⟦", "⟦vmjira", "⟧", "vmjira⟧"])), max_size=6
)
human = pieces.map("".join)


def has_part(text: str) -> bool:
    found = list(marks._MARK.finditer(text))
    return any(not one["close"] and two["close"] for one, two in pairwise(found))


@given(human, human)
def test_our_part_is_replaced_and_the_rest_stays_byte_for_byte(a: str, b: str) -> None:
    assume(not has_part(a))
    assert merge(a + OURS1 + b, OURS2) == a + OURS2 + b


@given(human)
def test_merging_again_changes_nothing(current: str) -> None:
    once = merge(current, OURS2)
    assert merge(once, OURS2) == once
    assert merge(merge(current, OURS1), OURS2) == once


@given(human)
def test_without_our_part_it_is_put_in_front_and_all_text_is_kept(current: str) -> None:
    assume(not has_part(current))
    merged = merge(current, OURS1)
    assert merged.startswith(OURS1)
    assert merged.endswith(current)


@pytest.mark.parametrize(
    "current",
    [
        f"{OPEN}\nold\ntyped by a person",
        f"typed by a person\n{CLOSE}",
        f"{CLOSE}\ntyped by a person\n{OPEN}",
        f"{OPEN}\n{OPEN}\ntyped by a person",
    ],
    ids=["closing mark deleted", "opening mark deleted", "reversed", "opening mark doubled"],
)
def test_broken_marks_never_cost_a_persons_text(current: str) -> None:
    assert merge(current, OURS1) == f"{OURS1}\n\n{current}"


def test_a_copy_of_our_part_is_left_alone() -> None:
    assert merge(f"{OURS1}\nmine\n{OURS1}", OURS2) == f"{OURS2}\nmine\n{OURS1}"


def test_only_the_inner_pair_of_nested_marks_is_ours() -> None:
    assert merge(f"{OPEN}mine{OPEN}old{CLOSE}mine too{CLOSE}", OURS2) == f"{OPEN}mine{OURS2}mine too{CLOSE}"


@pytest.mark.parametrize("opening", ["⟦ vmjira ⟧", "⟦VMJIRA: anything⟧", "*⟦vmjira: kept⟧*"])
def test_marks_are_found_although_spaces_or_markup_around_them_changed(opening: str) -> None:
    merged = merge(f"mine {opening}\r\nold\r\n⟦ /vmjira ⟧ mine", OURS2)
    assert OURS2 in merged
    assert "old" not in merged
    assert merged.startswith("mine ") and merged.endswith(" mine")


def test_a_body_cannot_hold_marks() -> None:
    assert wrap(f"a {CLOSE} b {OPEN} c").count("⟦") == 2


def test_our_part_gives_way_to_a_long_text_of_a_person() -> None:
    ours = wrap("\n".join(f"line {number}" for number in range(1000)))
    current = "🙂" * 16_000
    merged = merge(current, ours)
    assert merged.endswith(current)
    assert SHORTENED in merged
    assert units(merged) <= marks.LIMIT
    assert merge(merged, ours) == merged


def test_nothing_is_added_where_no_room_is_left() -> None:
    current = "x" * marks.LIMIT
    assert merge(current, OURS1) == current
    assert room(current) == 0


@given(human, st.integers(0, 400))
def test_a_description_never_exceeds_the_limit_if_the_persons_text_does_not(current: str, limit: int) -> None:
    assume(units(current) <= limit)
    assert units(merge(current, wrap("some\nlines\n" * 9), limit=limit)) <= limit


def test_room_is_what_fits_beside_a_persons_text() -> None:
    assert room(f"ab{OURS1}cd") == marks.LIMIT - 4
    assert units(merge("mine", shrink(wrap("x\n" * 20_000), room("mine")))) <= marks.LIMIT


@given(human, human)
def test_our_part_is_found_as_it_was_put_in(a: str, b: str) -> None:
    assume(not has_part(a))
    assert marks.part(a + OURS1 + b) == OURS1
    assert marks.part(merge(b, OURS2)) == OURS2


def test_without_both_marks_there_is_no_part_of_ours() -> None:
    assert marks.part("") == ""
    assert marks.part(f"{OPEN}\ntyped by a person") == ""
