"""What a template sees of a ticket: plain values only, so that a template cannot reach a frame, a file or a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime, tzinfo
from typing import Any

import polars as pl

from vmjira.domain.frames import ENDINGS
from vmjira.domain.iterations import ZERO
from vmjira.domain.ticket import Iteration, MovedPart, Neighbour, Source, TicketView, TopHost
from vmjira.rendering.wiki import Wiki, clip, escape, plain

MEANINGS = {
    "own": "what to patch, with the present state of each finding",
    "all": "all open findings of this category and range, including those of earlier tickets",
    "diff": "what changed since the iteration before: new, remaining, fixed and unverified findings",
    "png": "the number of hosts in each iteration",
}
#: What shows the state at the ticket's iteration, and is not sent again once that is past.
FROZEN = ("all", "diff", "png")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
SOURCES_SHOWN = 5
MOVED_SHOWN = 10
ALWAYS_SHOWN = 5  # of the top hosts, however little room there is


def ticket_values(view: TicketView, *, width: int = 250, hosts: int | None = None) -> dict[str, Any]:
    """Texts of at most `width` units, and `hosts` of the top hosts."""
    short = _shortener(width)
    sources = sorted(view.sources, key=lambda source: source.finished_at, reverse=True)
    proofs = [replace(proof, source=_source(proof.source, short)) for proof in view.proofs]
    return {
        "identifier": view.identifier,
        "key": view.key,
        "title": short(view.title),
        "category": {"id": view.category.id, "title": short(view.category.title)},
        "range": {"id": view.range.id, "title": short(view.range.title)},
        "iteration": _iteration(view.iteration, view.name),
        "running": _iteration(view.running, view.running_name),
        "later": view.running.ordinal > view.iteration.ordinal,
        "backlog": view.iteration == ZERO,
        "adopted": view.adopted,
        "due": view.due,
        "overdue": view.overdue,
        "then": view.then,
        "own": view.own,
        "exploited": exploited(view.own_rows),
        "previous": _neighbour(view.previous, short),
        "next": _neighbour(view.next, short),
        **_moved("moved_from", view.moved_from, short),
        **_moved("moved_to", view.moved_to, short),
        **_settled(view, short),
        "top": [_host(host, short) for host in view.top[:hosts]],
        "top_left_out": len(view.top[hosts:]) if hosts is not None else 0,
        "shortened": width < 250,
        "sources": [_source(source, short) for source in sources[:SOURCES_SHOWN]],
        "sources_left_out": len(sources[SOURCES_SHOWN:]),
        "unscanned": replace(
            view.unscanned, first=tuple(replace(host, name=short(host.name)) for host in view.unscanned.first)
        ),
        "proofs": proofs[:SOURCES_SHOWN],
        "proofs_left_out": len(proofs[SOURCES_SHOWN:]),
        "history": view.history,
        "when": lambda moment: _when(moment, view.zone),
    }


def _source(source: Source, short: Callable[[str], str]) -> Source:
    return replace(source, scanner=short(source.scanner))


def exploited(own_rows: pl.DataFrame) -> dict[str, Any]:
    """Of the open own findings (REPORT): how many are known to be exploited, on how many hosts; the worst of all."""
    rows = own_rows.filter(~pl.col("state").cast(pl.String).is_in(ENDINGS))
    listed = pl.col("kev").fill_null(value=False)
    return rows.select(
        findings=listed.sum(),
        hosts=pl.col("host").filter(listed).n_unique(),
        due=pl.col("kev_due").filter(listed).min(),
        epss=pl.col("epss").max(),
    ).row(0, named=True)


def attachment_values(view: TicketView, attached: Sequence[str], *, show_picture: bool) -> dict[str, Any]:
    """How to refer to attachments by their names."""
    picture = f"{view.identifier}.png"

    def first(kind: str) -> Wiki | None:
        return next((_link(name) for name in attached if _kind(view, name) == kind), None)

    return {
        "attached": [
            {"name": name, "link": _link(name), "means": _means(view, _kind(view, name))} for name in attached
        ],
        "own_file": first("own"),
        "all_file": first("all"),
        "picture": Wiki(f"!{picture}|width=560!") if show_picture and picture in attached and _safe(picture) else None,
    }


def _means(view: TicketView, kind: str) -> str | None:
    if kind not in FROZEN or view.running.ordinal <= view.iteration.ordinal:
        return MEANINGS.get(kind)
    return f"{MEANINGS[kind]}; as of Scan {view.name or view.iteration.number}, no longer updated"


def _iteration(iteration: Iteration, name: str) -> dict[str, Any]:
    return {**asdict(iteration), "name": name or str(iteration.number)}


def _settled(view: TicketView, short: Callable[[str], str]) -> dict[str, Any]:
    """What became of the findings that were not fixed, beside `moved_to`."""
    known = view.settlement
    accepted = [replace(each, by=short(each.by), reason=short(each.reason)) for each in known.accepted]
    return {
        "moved_nowhere": max(view.own.moved - sum(each.findings for each in view.moved_to), 0),
        "accepted_parts": accepted[:MOVED_SHOWN],
        "accepted_left_out": sum(each.findings for each in accepted[MOVED_SHOWN:]),
        "gone_first": known.gone_first,
        "gone_last": known.gone_last,
    }


def day(date: date) -> str:
    """`15 November 2026`, whatever the language of the machine."""
    return f"{date.day} {MONTHS[date.month - 1]} {date.year}"


def _kind(view: TicketView, name: str) -> str:
    """`own` of `<identifier>.own.csv` and of `<identifier>.own.2.csv.gz`."""
    ours = name.removeprefix(f"{view.identifier}.")
    return "" if ours == name else ours.split(".", 1)[0]


def _link(name: str) -> Wiki:
    """A link to an attachment. A name with signs that a link cannot hold is only named."""
    return Wiki(f"[^{name}]") if _safe(name) else escape(name)


def _safe(name: str) -> bool:
    return re.fullmatch(r"[\w. @=,+-]+", name) is not None


def _neighbour(neighbour: Neighbour | None, short: Callable[[str], str]) -> Neighbour | None:
    return neighbour and replace(neighbour, title=short(neighbour.title))


def _moved(name: str, parts: Sequence[MovedPart], short: Callable[[str], str]) -> dict[str, Any]:
    shown = [replace(each, ticket=replace(each.ticket, title=short(each.ticket.title))) for each in parts[:MOVED_SHOWN]]
    return {name: shown, f"{name}_left_out": len(parts[MOVED_SHOWN:])}


def _host(host: TopHost, short: Callable[[str], str]) -> TopHost:
    name, address = host.hostname, host.ip
    return replace(host, hostname=name and short(name), ip=address and short(address), host=short(host.host))


def _shortener(width: int) -> Callable[[str], str]:
    return lambda text: clip(plain(text), width)


def _when(moment: datetime, timezone: tzinfo) -> str:
    local = moment.astimezone(timezone)
    return f"{local:%Y-%m-%d %H:%M} {local.tzname() or ''}".rstrip()
