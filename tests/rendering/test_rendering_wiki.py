"""Foreign text shows as itself: a small reader of Jira's wiki markup finds nothing to act on in it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmjira.rendering.wiki import JOINER, Wiki, clip, escape, plain, units

# Jira's own rule of which backslashes escape what; Cloud has a port of it.
ESCAPE = re.compile(r"(?<!\\)\\([-#*_+?^~|%{}\[\]()!@])")
BLOCK = re.compile(r"\s*(h[1-6]\.|bq\.|[*#-]+\s|-{4,}|\|)", re.IGNORECASE)
INLINE = {
    "macro, link, table or picture": r"[{}\[\]|!]",
    "line break": r"\\\\",
    "escape of ours lost": r"\\[-#*_+?^~|%{}\[\]()!@]",
    "entity": r"&(#\d+|#x[0-9a-fA-F]+|[A-Za-z]+\d*);",
    "address": r"(https?|ftps?|nntp|news|irc)://|(mailto|file):[!-~]",
    "emoticon": r"[:;]-?[()]|:[PpDOo|/](?![A-Za-z])|\((y|n|i|/|x|\+|-|\?|on|off|\*[rgby]?|!|c|r|tm)\)",
    "dash": r"(^|\s)---?(\s|$)",
    "template value": r"@[^@\s]+@",
}
PHRASES = (r"\*", "_", r"\+", "-", r"\^", "~", r"\?\?")
for sign in PHRASES:
    INLINE[f"phrase {sign}"] = rf"(?<![^\W_]){sign}[^\s{sign}]([^\n]*?[^\s{sign}])??{sign}(?![^\W_])"


def shown(markup: str) -> str:
    """What a reader sees of one line. Fails if any markup takes effect."""
    assert "\n" not in markup and not BLOCK.match(markup), f"a block begins: {markup!r}"
    text = ESCAPE.sub(lambda match: chr(0xE000 + ord(match[1])), markup)
    for what, pattern in INLINE.items():
        assert not re.search(pattern, text), f"{what} in {markup!r}"
    text = re.sub("[\ue000-\ue0ff]", lambda match: chr(ord(match[0]) - 0xE000), text)
    return text.replace(JOINER, "")


HOSTILE = [
    "{color:red}*x*|[~admin]!a.png!",
    "{noformat}{code}{panel:title=x}{quote}",
    "||head||cell|",
    "[click|https://evil.example/]",
    "see https://evil.example/?q=1#x and mailto:a@b.example",
    "\\\\server\\share",
    "\\[x] \\{y} \\\\",
    "ends in \\",
    "C:\\Windows\\System32",
    ":) ;) :( :P :D (x) (/) (!) (c) (*r) :-)",
    "----",
    "--- a -- b",
    "h1. Big",
    "  H3.x",
    "bq. quoted",
    "# one",
    "* item",
    "- item",
    "-struck- +under+ _em_ *b* ^up^ ~down~ ??cite?? {{mono}}",
    "²-struck-é",
    "aws_vpc_endpoint_id",
    "&lt;script&gt; &#123; <b>x</b> &amp; &",
    "@host@",
    "!",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_shows_as_itself(text: str) -> None:
    assert shown(escape(text)).strip() == plain(text)


SIGNS = st.sampled_from("{}[]|*^~!?@()#+_-\\&;:<>/.=%\"'hbqDPp1x aé²\n\t\r\u202e\u2060\x00")
ANY = st.characters(exclude_categories=["Co"])


@given(st.text(st.one_of(SIGNS, ANY), max_size=40))
def test_any_text_shows_as_itself(text: str) -> None:
    assert shown(escape(text)).strip() == plain(text).translate(str.maketrans("⟦⟧", "[]"))


@pytest.mark.parametrize(
    "text", ["pc-7.example.com", "10.1.2.3", "fe80::1", "2026-06-19", "MS17-010, Windows & Office"]
)
def test_ordinary_names_stay_readable_in_the_source(text: str) -> None:
    assert escape(text) == text


def test_what_cannot_be_seen_is_made_visible_and_lines_are_joined() -> None:
    assert plain(" a\r\nb\tc\u2028d ") == "a b c d"
    assert plain("exe\u202egnp.\x00\u200b") == "exe\ufffdgnp.\ufffd\ufffd"


def test_our_marks_cannot_be_forged() -> None:
    assert "⟦" not in escape("⟦/vmjira⟧")


def test_markup_stays_markup() -> None:
    assert escape(Wiki("*bold*")) == "*bold*"
    assert escape(escape("*x*")) == escape("*x*")


def test_lengths_are_counted_as_jira_does() -> None:
    assert units("a🙂") == 3
    assert clip("abc", 3) == "abc"
    assert clip("abcd", 3) == "ab…"
    assert clip("🙂🙂🙂", 4) == "🙂…"


@given(st.text(), st.integers(0, 50))
def test_a_clipped_text_never_exceeds_its_limit(text: str, limit: int) -> None:
    assert units(clip(text, limit)) <= limit
