"""What people see on the terminal: rich tables of the same values that `--json` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import JustifyMethod
from rich.table import Table

from vmjira.domain.operation import count
from vmjira.terminal import Terminal


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """To be printed on a `Terminal`, which takes nothing in it for markup."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        numeric = column.startswith("#")
        justify: JustifyMethod = "right" if numeric else "left"
        table.add_column(column.lstrip("#"), justify=justify, overflow="fold", no_wrap=column == "ticket")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    return table


def show_inspection(out: Terminal, found: Sequence[Mapping[str, Any]]) -> None:
    columns = ["file", "format", "finished", "#hosts", "#with credentials", "#records", "#findings", "#vulnerabilities"]
    keys = ["path", "format", "finished_at", "hosts", "authenticated_hosts", "records", "findings", "vulnerabilities"]
    out.print(_table("Scans", columns, ([each[key] for key in keys] for each in found)))
    for each in found:
        for warning in each["warnings"]:
            out.print(f"{each['path']}: {warning}", style="yellow")


def show_ingested(out: Terminal, scans: Iterable[Mapping[str, Any]], operations: int) -> None:
    for each in scans:
        out.print(f"{each['path']}: {each['outcome']}", soft_wrap=True)
        for warning in each.get("warnings", ()):
            out.print(f"{each['path']}: {warning}", style="yellow", soft_wrap=True)
    out.print(f"{count(operations, 'operation')} planned")


def show_hints(out: Terminal, scans: Iterable[Mapping[str, Any]]) -> None:
    """What a person should know, or do, about each scan beside its numbers: its `hints`."""
    for each in scans:
        for hint in each.get("hints", ()):
            out.print(f"{each['path']}: {hint}", style="yellow", soft_wrap=True)


def show_held(out: Terminal, held: Iterable[str]) -> None:
    """What waits, or would wait, for approval: before anything else is said."""
    for words in held:
        out.print(words, style="bold red", soft_wrap=True)


def show_adoption(out: Terminal, found: Mapping[str, Any], *, done: bool) -> None:
    """The backlog by range, what it makes, and what follows."""
    cap = f"cap {found['cap']}"
    columns = ["range", "#hosts", "#vulnerable", "#findings", "#in no category", "#cells",
               "#tickets: iteration0", "#silent", f"#{cap}", "#findings without ticket"]  # fmt: skip
    keys = ("hosts", "vulnerable", "findings", "in_no_category", "cells")
    rows = (
        [each["range"] or "(in no range)", *(each[key] for key in keys), *each["tickets"].values(),
         each["without_ticket"]]
        for each in found["ranges"]
    )  # fmt: skip
    out.print(_table(f"Backlog (adoption mode: {found['mode']})", columns, rows))
    verb = "are planned" if done else "would be made"
    words = [f"{found['creates']} tickets {verb}: {_ADOPTION[found['mode']].format(cap=found['cap'])}"]
    if found["exceeds"]:
        words.append(
            f"That is more than the limits allow ({found['exceeds']}), so they are held until you release them."
        )
    words += [
        f"A scan is not believed in {each}; `vmjira operations list` has the notice." for each in found["not_believed"]
    ]
    words.append(
        "From the next scan on, this backlog counts as known: its hosts are 'remaining', or 'safe' when it is fixed, "
        "and only what is really new makes tickets."
    )
    if not done:
        words.append("Nothing was stored or sent. `adoption` in policy.yaml chooses the mode.")
    out.print("\n".join(words), soft_wrap=True)


_ADOPTION = {
    "iteration0": "one of iteration 0 for each category and range that has backlog.",
    "silent": "the backlog is only recorded, and never gets one.",
    "cap": "at most {cap} a range, for the categories with the most vulnerable hosts; the rest is only recorded, and "
    "never gets one.",
}


def show_tickets(out: Terminal, tickets: Sequence[Mapping[str, Any]]) -> None:
    columns = [
        "ticket",
        "key",
        "status",
        "#vulnerable",
        "#new",
        "#remaining",
        "#safe",
        "#unverified",
        "#own open",
        "#own",
        "own findings",
    ]
    then = ["vulnerable", "new", "remaining", "safe", "unverified"]
    rows = (
        [each["identifier"], each["key"], each["status"], *(each["then"][name] for name in then),
         each["own"]["open"], each["own"]["total"], _ending(each)]
        for each in tickets
    )  # fmt: skip
    out.print(_table(f"{len(tickets)} tickets (hosts at their iteration; own findings now)", columns, rows))


def _ending(ticket: Mapping[str, Any]) -> str:
    return "verified" if ticket["verified"] else "settled" if ticket["settled"] else ""


def show_ticket(out: Terminal, ticket: Mapping[str, Any]) -> None:
    out.print(_table(ticket["title"], ["", ""], [(name, ticket[name]) for name in _HEAD]))
    if ticket["left_as_set"]:
        rows = [[name, value or "empty"] for name, value in ticket["left_as_set"].items()]
        out.print(_table("Left as a person set it, though the rules say otherwise", ["field", "value"], rows))
    out.print(_table("Hosts at its iteration", list(ticket["then"]), [list(ticket["then"].values())]))
    ending = f": {said}" if (said := _ending(ticket)) else ""
    out.print(_table(f"Own findings now{ending}", list(ticket["own"]), [list(ticket["own"].values())]))
    top = [[host["hostname"] or host["ip"] or host["host"], host["score"], host["findings"]] for host in ticket["top"]]
    out.print(_table("Most vulnerable hosts", ["host", "#score", "#findings"], top))
    for name, hosts in ticket["hosts"].items():
        out.print(_table(f"{name}: {len(hosts)} hosts", ["host"], [[host] for host in hosts]))
    for name, words in (("moved_from", "Findings that moved here, from"), ("moved_to", "Findings that moved away, to")):
        if ticket[name]:
            rows = [[each["identifier"], each["key"], each["findings"]] for each in ticket[name]]
            out.print(_table(words, ["ticket", "key", "#findings"], rows))
    if ticket["rescans"]:
        rows = [[each["state"], len(each["hosts"]), each["words"], _moment(each["asked_at"])]
                for each in ticket["rescans"]]  # fmt: skip
        out.print(_table("Rescans since it was closed (times in UTC)", ["state", "#hosts", "", "asked for"], rows))
    show_operations(out, ticket["operations"])


_HEAD = ("identifier", "key", "status", "closing", "closed_at", "reopened", "previous", "next")


def show_operations(out: Terminal, operations: Sequence[Mapping[str, Any]], *, at_most: int | None = None) -> None:
    columns = ["state", "operation", "ticket", "why", "answer", "id"]
    rows = (
        [_state(each), each["operation"], each["identifier"], each["reason"], each.get("answer", ""),
         each.get("id", "")]
        for each in map(_told, operations[:at_most])
    )  # fmt: skip
    more = "" if at_most is None or len(operations) <= at_most else f" (the first {at_most}; --json prints all)"
    out.print(_table(f"{len(operations)} operations{more}", columns, rows))


def _state(operation: Mapping[str, Any]) -> str:
    """Its own; a planned one may say in its details what it would be."""
    state = operation.get("state") or operation.get("details", {}).get("state")
    return str(state or "planned")


def show_scans(out: Terminal, scans: Sequence[Mapping[str, Any]], total: int) -> None:
    columns = ["#number", "id", "state", "ended", "scanner", "#hosts", "#findings", "taken in", "file", "note"]
    more = "" if total == len(scans) else f" (the newest {len(scans)}; --json prints all)"
    rows = (
        [each["id"], each["scan"], each["state"], _moment(str(each["finished_at"])), each["scanner"], each["hosts"],
         each["findings"], _moment(str(each["folded_at"] or "")), each["name"], each["note"]]
        for each in scans
    )  # fmt: skip
    out.print(_table(f"{total} scans{more}", columns, rows))


def show_scan(out: Terminal, scan: Mapping[str, Any]) -> None:
    rows = ([name.replace("_", " "), str(value)] for name, value in scan.items() if value not in ("", [], None))
    out.print(_table(f"Scan {scan['id']}: {scan['name']}", ["", ""], rows))


def _told(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    """With who stepped in beside the answer."""
    said = [f"{act['action']} by {act['actor']} ({act['via']}, {act['at'][:16]})"
            for act in operation.get("acts", ())]  # fmt: skip
    return {**operation, "answer": "; ".join(filter(None, [operation.get("answer", ""), *said]))} if said else operation


def show_acceptances(out: Terminal, acceptances: Sequence[Mapping[str, Any]], summary: str) -> None:
    columns = ["until", "#days left", "state", "what", "why", "accepted by", "#findings"]
    keys = ["until", "days_left", "state", "scope", "reason", "approver", "findings"]
    out.print(_table(summary, columns, ([each[key] for key in keys] for each in acceptances)))


def show_findings(out: Terminal, findings: Sequence[Any]) -> None:
    """What is wrong comes last, where people look."""
    ordered = sorted(findings, key=lambda each: not each.ok)
    wrong = sum(not each.ok for each in findings)
    rows = (("ok" if each.ok else "!!", each.what, each.where, "" if each.ok else each.how) for each in ordered)
    out.print(_table(f"Doctor: {len(findings)} checks, {wrong} wrong", ["", "what", "rule", "how to mend it"], rows))


def show_drift(out: Terminal, report: Any) -> None:
    since = f"since {report.since:%Y-%m-%d %H:%M} UTC" if report.since else "for the first time"
    rows = ((each.ticket, each.key, each.what, each.done) for each in report.drifts)
    title = f"Reconciled {since}: {report.read} tickets read, {len(report.drifts)} differences"
    out.print(_table(title, ["ticket", "key", "what differs", "what is done"], rows))


def show_scanners(out: Terminal, found: Sequence[Mapping[str, Any]]) -> None:
    columns = ["scanner", "type", "fetch", "last run", "next run", "last scan", "#scans", "#refused", ""]
    rows = (
        [each["id"], each["type"], each["fetch"], _run(each["last_run"]), _moment(each["next_run"]),
         each["last_scan"] and f"{each['last_scan']['name']} {_moment(each['last_scan']['finished_at'])}",
         each["scans"], len(each["refused"]), "silent" if each["silent"] else ""]
        for each in found
    )  # fmt: skip
    out.print(_table(f"{len(found)} scanners (times in UTC)", columns, rows))
    for each in found:
        for scan in each["refused"]:
            about = f"{each['id']}: {scan['name']} (id {scan['id']}) was refused: {scan['why']}"
            out.print(about, style="yellow", soft_wrap=True)


def _run(run: Mapping[str, Any] | None) -> str:
    return f"{_moment(run['due'])} {run['state']}: {run['words']}" if run else "never"


def _moment(moment: str | None) -> str:
    return (moment or "")[:16].replace("T", " ")


def show_checks(out: Terminal, scanner: str, checks: Sequence[Any]) -> None:
    rows = (("ok" if each.ok else "!!", each.what, "" if each.ok else each.how) for each in checks)
    wrong = sum(not each.ok for each in checks)
    out.print(_table(f"{scanner}: {len(checks)} checks, {wrong} wrong", ["", "what", "how to mend it"], rows))


def show_fetched(out: Terminal, done: Sequence[Any]) -> None:
    for each in done:
        for row in each.taken:
            out.print(f"{each.scanner}: {row.name}: {row.outcome}", soft_wrap=True)
        for why in each.passed_over:
            out.print(f"{each.scanner}: not taken: {why}", soft_wrap=True)
        if not each.taken:
            out.print(f"{each.scanner}: nothing new", soft_wrap=True)
    operations = sum(len(each.operations) for each in done)
    out.print(f"{count(operations, 'operation')} planned")


def show_webhooks(out: Terminal, found: Iterable[Any]) -> None:
    rows = ((each.id, each.name, each.url, ", ".join(each.events), each.jql) for each in found)
    out.print(_table("Webhooks in Jira", ["id", "name", "address", "events", "filter"], rows))


def show_explanation(out: Terminal, found: Mapping[str, Any]) -> None:
    out.print(_table(f"Host {found['host']}", ["", ""], _lines(found["known"])))
    for each in found["findings"]:
        out.print(_table(f"{each['vulnerability_id']}: {each['title']}", ["", ""], _lines(each)))


def _lines(facts: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    """A line for each entry of a list; what has more to say than words for people says those."""
    for name, value in facts.items():
        if value in (None, "", []):
            continue  # nothing is known of it
        if isinstance(value, list):
            yield name, "\n".join(each["words"] if isinstance(each, dict) else str(each) for each in value)
        else:
            yield name, value
