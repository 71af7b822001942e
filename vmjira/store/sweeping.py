"""What need not be kept: files that no row refers to, and old versions of the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, exists, func, or_, select, tuple_, update

from vmjira.store import tables as t
from vmjira.store.data import Data

FOLDERS = ("scans", "ledger", "enrichment")  # nothing else is ever swept


def old_files(data: Data, before: datetime) -> set[str]:
    """Files that a crash may have left: nobody has touched them since `before`."""
    return {path for folder in FOLDERS for path, changed in data.files(folder) if changed < before}


def used_files(connection: Connection, names: list[str]) -> set[str]:
    """Every file that a row refers to; `names` are those of the files of a scan."""
    parts = set(connection.scalars(select(t.ledger_parts.c.path)))
    parts |= set(connection.scalars(select(t.enrichments.c.path)))
    return parts | {f"{folder}/{name}" for folder in connection.scalars(select(t.scans.c.path)) for name in names}


def forget_unused(connection: Connection, before: datetime) -> None:
    """Forget versions of the catalogues of exploitation that no event refers to and that are not the newest.

    Whoever folds with one of them has begun before there was a newer one: only if that is older than `before`, it goes.
    """
    versions, later = t.enrichments.c, t.enrichments.alias().c
    superseded = exists().where(later.sequence > versions.sequence, later.taken_at < before)
    used = exists().where(t.ledger_versions.c.enrichment == versions.digest)
    connection.execute(delete(t.enrichments).where(superseded, ~used))


def prune(connection: Connection, keep: int) -> int:
    """Forget versions of the ledger, except these; how many.

    Kept are the newest `keep`, and those that show a ticket that may still have to be written as of its iteration: one
    that the tracker does not show as planned, and the newest of its cell. Events stay, so replaying still rebuilds all.
    """
    if keep < 1:
        raise ValueError(f"the newest version of the ledger is always kept, so keep must be 1 or more: {keep}")
    versions, tickets, later = t.ledger_versions.c, t.tickets.c, t.tickets.alias().c
    superseded = exists().where(
        later.category == tickets.category, later.range == tickets.range, later.ordinal > tickets.ordinal
    )
    needed = select(tickets.ledger).where(or_(tickets.facts != tickets.shown, ~superseded))
    newest = select(func.max(t.ledger_versions.alias().c.version)).scalar_subquery()
    old = and_(~versions.pruned, versions.version <= newest - keep, versions.version.not_in(needed))
    count = connection.execute(update(t.ledger_versions).where(old).values(pruned=True)).rowcount
    connection.execute(
        delete(t.ledger_parts).where(tuple_(t.ledger_parts.c.name, t.ledger_parts.c.version).in_(_unseen()))
    )
    return count


def _unseen() -> Select[Any]:
    """Parts that no kept version shows: all versions from the part's own to the next one of its name are pruned."""
    parts, versions = t.ledger_parts.c, t.ledger_versions.c
    following = func.lead(parts.version).over(partition_by=parts.name, order_by=parts.version).label("following")
    part = select(parts.name, parts.version, following).subquery().c
    shown = exists().where(~versions.pruned, versions.version >= part.version, versions.version < part.following)
    return select(part.name, part.version).where(part.following.is_not(None), ~shown)
