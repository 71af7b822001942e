"""What became of the own findings of a settled ticket that were not fixed: who accepted them, and when others were last
seen. Where moved findings are now is known by `flows.moved`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

import polars as pl

from vmjira.domain.acceptance import accepted_until, ends_at
from vmjira.domain.classify import newest
from vmjira.domain.frames import Time
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.statistics import latest
from vmjira.domain.ticket import AcceptedPart, Settlement, TicketRow
from vmjira.flows.rows import AcceptanceRow


def settlement(
    known: Knowledge, row: TicketRow, acceptances: Sequence[AcceptanceRow], rulebook: Rulebook
) -> Settlement:
    """`known`: the ticket's cell now; `acceptances`: those that the ticket itself had."""
    if not row.own.settled or row.own.verified:
        return Settlement()
    mine = (pl.col("category") == row.category, pl.col("range") == row.range, pl.col("first_iteration") == row.ordinal)
    own = latest(known.lives.filter(*mine))
    gone = own.filter(pl.col("ended_as") == "gone")["last_seen"].dt.convert_time_zone(rulebook.policy.timezone.key)
    days = (gone.dt.date().min(), gone.dt.date().max())
    return Settlement(
        accepted=tuple(_accepted(own.filter(pl.col("ended_as") == "accepted"), known, acceptances, rulebook)),
        gone_first=days[0] if isinstance(days[0], date) else None,
        gone_last=days[1] if isinstance(days[1], date) else None,
    )


def _accepted(
    lives: pl.DataFrame, known: Knowledge, acceptances: Sequence[AcceptanceRow], rulebook: Rulebook
) -> Iterator[AcceptedPart]:
    """Each finding once: by the ticket's own acceptance, else by the entry of acceptances.yaml that holds longest; what
    neither knows (any more) has only the end that was kept with it."""
    zone = rulebook.policy.timezone
    for each in acceptances:
        of_ticket = pl.col("ended_at") == pl.lit(each.accepted_at, Time)
        if found := lives.filter(of_ticket).height:
            day = each.accepted_until.astimezone(zone).date()
            yield AcceptedPart(found, each.accepted_by, each.reason, day)
        lives = lives.filter(~of_ticket)
    hosts = newest(known.hosts.join(lives, on="host", how="semi"))
    for entry in rulebook.acceptances:
        named = accepted_until([entry], hosts, known.vulnerabilities, zone).is_not_null()
        of_entry = (named & (pl.col("accepted_until") == pl.lit(ends_at(entry, zone), Time))).fill_null(value=False)
        if found := lives.filter(of_entry).height:
            yield AcceptedPart(found, entry.approver, entry.reason, entry.until)
        lives = lives.filter(~of_entry)
    for ends, found in lives.group_by("accepted_until").len().sort("accepted_until", nulls_last=True).iter_rows():
        yield AcceptedPart(found, "", "", _last_day(ends, rulebook))


def _last_day(ends: datetime | None, rulebook: Rulebook) -> date | None:
    """The last day that lies wholly or partly before `ends`."""
    return (ends - timedelta(microseconds=1)).astimezone(rulebook.policy.timezone).date() if ends else None
