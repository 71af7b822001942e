"""Wiki markup of Jira: foreign text that shows as itself, and lengths as Jira counts them."""

from __future__ import annotations

import re

#: WORD JOINER: invisible, no white space, no letter. It parts what would otherwise be read as one sign.
JOINER = "\u2060"

_SPACE = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
# Controls, bidi overrides and isolates, invisible signs, lone surrogates, tags: what shows otherwise than it is.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_OUR_BRACKETS = str.maketrans("⟦⟧", "[]")  # so that no foreign text can look like one of our marks

# What a backslash takes the meaning from, on Data Center and (ported from there) on Cloud. `-` inside of an ASCII word
# strikes nothing through: a phrase neither starts after nor ends before a letter or digit.
_ESCAPABLE = re.compile(r"[{}\[\]|*^~!?@()#+_]|(?<![A-Za-z0-9])-|-(?![A-Za-z0-9])")
# A backslash cannot be escaped: `\\` is a line break, and `\\[` is no escaped bracket.
_BACKSLASH = re.compile(r"\\(?![A-Za-z0-9 ])")
_ENTITY = re.compile(r"&(?=[#A-Za-z])")  # Data Center shows `&lt;` as `<`
_EMOTICON = re.compile(r"[:;](?=[DPpOoSs](?![A-Za-z])|/)")  # `:)` needs no joiner, its bracket is escaped
_LINK = re.compile(r"(https?|ftps?|nntp|news|irc|mailto|file):", re.IGNORECASE)
_BLOCK = re.compile(r" ?(h[1-6]|bq)\.", re.IGNORECASE)  # a heading or a quotation, at the start of a line


class Wiki(str):
    """Text that is wiki markup already."""

    __slots__ = ()


def plain(text: str) -> str:
    """One line of what can be seen: white space becomes one space, and what is invisible becomes U+FFFD."""
    return _seen(text).strip()


def escape(value: object) -> Wiki:
    """`value` as wiki markup that shows as itself, wherever in a line it stands. Wiki stays as it is."""
    if isinstance(value, Wiki):
        return value
    text = _seen(str(value)).translate(_OUR_BRACKETS)
    text = _BACKSLASH.sub(rf"\\{JOINER}", text)
    for joined in (_ENTITY, _LINK, _EMOTICON):
        text = joined.sub(rf"\g<0>{JOINER}", text)
    text = _ESCAPABLE.sub(r"\\\g<0>", text)
    return Wiki(JOINER + text if _BLOCK.match(text) else text)


def units(text: str) -> int:
    """Length as Jira counts: Java characters, so an emoji is two."""
    return len(text) + sum(character > "\uffff" for character in text)


def clip(text: str, limit: int) -> str:
    """`text` with at most `limit` units, ending in `…` if it was longer."""
    if units(text) <= limit:
        return text
    kept = text[: max(limit - 1, 0)]
    while kept and units(kept) > limit - 1:
        kept = kept[:-1]
    return kept.rstrip() + "…" if limit > 0 else ""


def _seen(text: str) -> str:
    return _UNSEEN.sub("\ufffd", _SPACE.sub(" ", text))
