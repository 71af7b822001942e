"""The commands about scans that were taken in: which there are, and taking one back."""

from __future__ import annotations

import click

from vmjira.bootstrap import Application
from vmjira.cliparts import JSON, err, out, pass_app, print_json, whoami
from vmjira.flows.lists import scan_json
from vmjira.flows.looking import Page
from vmjira.shown import show_operations, show_scan, show_scans

#: Scans that a person is shown; a program gets all.
MANY = 50
REASON = click.option("--reason", default="", help="Why; it is kept beside the scan.")
DRY = click.option("--dry-run", is_flag=True, help="Only show what would change in the tracker.")


@click.group()
def scans() -> None:
    """Scans that were taken in."""


@scans.command("list")
@JSON
@pass_app
def scans_list(app: Application, as_json: bool) -> None:
    """All scans, the newest first, and whether they count."""
    with app.store.reading() as unit:
        rows, total = unit.look.scans(Page(limit=2**31 if as_json else MANY))
    found = [scan_json(row) for row in rows]
    print_json(found) if as_json else show_scans(out, found, total)


@scans.command("show")
@click.argument("id")
@JSON
@pass_app
def scans_show(app: Application, id: str, as_json: bool) -> None:
    """One scan, by its number or its id (as tickets and CSV files name it)."""
    from vmjira.flows.withdraw import find

    with app.store.reading() as unit:
        found = scan_json(find(unit, id))
    print_json(found) if as_json else show_scan(out, found)


@scans.command("withdraw")
@click.argument("id")
@DRY
@REASON
@JSON
@pass_app
def scans_withdraw(app: Application, id: str, dry_run: bool, reason: str, as_json: bool) -> None:
    """Take a scan back with all that followed from it: it counts for nothing, from the beginning."""
    _change(app, id, "withdraw", dry_run=dry_run, reason=reason, as_json=as_json)


@scans.command("restore")
@click.argument("id")
@DRY
@REASON
@JSON
@pass_app
def scans_restore(app: Application, id: str, dry_run: bool, reason: str, as_json: bool) -> None:
    """Count a scan again that was withdrawn, as if it had never been."""
    _change(app, id, "restore", dry_run=dry_run, reason=reason, as_json=as_json)


def _change(app: Application, id: str, what: str, *, dry_run: bool, reason: str, as_json: bool) -> None:
    from vmjira.flows import withdraw as flow
    from vmjira.flows.operations import Person

    if dry_run:
        found = flow.preview(app.outside, id, "withdraw" if what == "withdraw" else "restore")
    else:
        act = flow.withdraw if what == "withdraw" else flow.restore
        found = act(app.outside, id, by=Person(whoami(), "command"), reason=reason)
    if as_json:
        print_json(found.as_json())
        return
    show_operations(out, found.operations, at_most=MANY)
    if found.exceeds:
        held = "would wait" if dry_run else "waits"
        err.print(
            f"this exceeds the policy's limits, so it {held} for approval: {found.exceeds}",
            markup=False,
            soft_wrap=True,
        )
    if not dry_run:
        out.print(f"scan {found.scan.id}: {found.scan.note or 'it counts again'}", markup=False, soft_wrap=True)
