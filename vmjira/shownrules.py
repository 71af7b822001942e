"""What people see on the terminal of rules: what a change of them does, and what was in force when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vmjira.domain.unguarded import FEW, OFF
from vmjira.shown import _table as table
from vmjira.terminal import Terminal

_NO_CATEGORY, _NO_RANGE = "(no category)", "(no range)"


def show_rules_preview(out: Terminal, said: Mapping[str, Any]) -> None:
    """Tables of `flows.preview.of_rules`: only those that have anything to say."""
    if said["changed"]:
        tickets = said["tickets"]
        shown = {kind: each for kind, each in tickets.items() if each["total"]}
        rows = [[kind, each["total"], _some(each["top"], each["total"])] for kind, each in shown.items()]
        out.print(table("The changed rules: what happens to tickets", ["what", "#tickets", "which"], rows))
        moves = said["moves"]
        _list(
            out,
            f"{moves['findings']} findings move, out of {moves['tickets']} tickets",
            ["#findings", "#hosts", "from", "to", "for instance"],
            moves,
            lambda each: [each["findings"], each["hosts"], _place(each["from"]), _place(each["to"]),
                          ", ".join(each["examples"])],
        )  # fmt: skip
    if said["overlaps"]["total"]:
        _list(
            out,
            f"{said['overlaps']['total']} overlaps of networks: the smaller one wins",
            ["network", "range", "its addresses in", "belong to", "#hosts there"],
            said["overlaps"],
            lambda each: [each[name] for name in ("network", "range", "winner", "winner_range", "hosts")],
        )
    if said["uncovered"]["total"]:
        _list(
            out,
            f"{said['uncovered']['total']} ranges without any host that a scan has seen",
            ["range", "title", "networks"],
            said["uncovered"],
            lambda each: [each["range"], each["title"], ", ".join(each["networks"])],
        )
    if said["unowned"]["total"]:
        _list(
            out,
            f"{said['unowned']['hosts']} hosts that no range owns",
            ["around", "#hosts", "for instance"],
            said["unowned"],
            lambda each: [each["network"] or "(no address)", each["hosts"], ", ".join(each["examples"])],
        )
    if said["untaken"]["total"]:
        _list(
            out,
            f"{said['untaken']['findings']} findings that no category takes",
            ["family", "#findings", "#hosts", "severities", "a last category with this `where` would take them"],
            said["untaken"],
            lambda each: [each["family"] or "(none)", each["findings"], each["hosts"],
                          ", ".join(f"{number} {name}" for name, number in each["severities"].items()), each["where"]],
        )  # fmt: skip
    for note in [*_unguarded(said["unguarded"]), *said["notes"]]:
        out.print(f"Note: {note}", style="yellow", soft_wrap=True)
    if said["exceeds"]:
        out.print(
            f"More than the limits allow, so a person has to release it: {said['exceeds']}",
            style="bold red", soft_wrap=True,
        )  # fmt: skip


def _unguarded(said: Mapping[str, Any]) -> list[str]:
    words = [OFF] if said["off"] else [each["words"] for each in said["top"][:FEW]]
    more = said["total"] - FEW
    return [*words, *([f"The same holds for {more} more ranges and scanners."] if more > 0 else [])]


def show_history(out: Terminal, periods: Sequence[Mapping[str, Any]]) -> None:
    rows = (
        [each["since"][:16], (each["until"] or "")[:16] or "in force", each["digest"][:12], each["how"],
         each["released_by"], "\n".join(map(_edited, each["files"]))]
        for each in periods
    )  # fmt: skip
    columns = ["since (UTC)", "until (UTC)", "rules", "why", "released by", "files that changed"]
    out.print(table(f"{len(periods)} times, the newest first", columns, rows))


def _edited(file: Mapping[str, Any]) -> str:
    who = f" by {file['who']} ({file['from']}, {file['at'][:16]})" if file.get("who") else ""
    return f"{file['file']} +{file['added']} -{file['removed']}{who}"


def _list(out: Terminal, title: str, columns: list[str], listed: Mapping[str, Any], row: Any) -> None:
    shown = listed["top"]
    more = f" (the first {len(shown)} of {listed['total']} lines)" if len(shown) < listed["total"] else ""
    out.print(table(title + more, columns, map(row, shown)))


def _some(names: list[str], total: int) -> str:
    few = names[:3]
    return ", ".join(few) + (f" and {total - len(few)} more" if total > len(few) else "")


def _place(place: Mapping[str, Any]) -> str:
    """A ticket, or what there is of a cell, and whose it is."""
    cell = f"{place['category'] or _NO_CATEGORY} × {place['range'] or _NO_RANGE}"
    ticket = place["ticket"] or cell
    key = f" ({place['key']})" if place["key"] else ""
    return f"{ticket}{key}\n{place['team'] or ''}".strip()
