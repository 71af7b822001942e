"""The command `tickets`: all of them, and what to do about those that were deleted in the tracker."""

from __future__ import annotations

from collections.abc import Sequence

import click

from vmjira.bootstrap import Application
from vmjira.cliparts import JSON, out, pass_app, print_json, whoami
from vmjira.flows.operations import Person
from vmjira.shown import show_tickets


@click.group(invoke_without_command=True)
@JSON
@click.pass_context
def tickets(context: click.Context, as_json: bool) -> None:
    """All tickets with their numbers, links and status."""
    if context.invoked_subcommand:
        return
    from vmjira.flows.present import all_tickets

    found = all_tickets(context.find_object(Application).store)  # type: ignore[union-attr]
    print_json(found) if as_json else show_tickets(out, found)


@tickets.command()
@JSON
@pass_app
def deleted(app: Application, as_json: bool) -> None:
    """Tickets that are not in the tracker any more and have open findings: decide about each."""
    from vmjira.flows.deleted import deleted_json

    with app.store.reading() as unit:
        found = deleted_json(unit)
    if as_json:
        print_json(found)
        return
    for each in found:
        what = f"{each['identifier']} ({each['key']}): {each['status']}, {each['open']} open on {each['hosts']} hosts"
        out.print(what, markup=False, highlight=False, soft_wrap=True)
    if not found:
        out.print("No deleted ticket has open findings", highlight=False)


@tickets.command()
@click.argument("identifiers", nargs=-1, required=True)
@pass_app
def again(app: Application, identifiers: Sequence[str]) -> None:
    """Make new tickets in place of deleted ones (by identifier or key)."""
    from vmjira.flows.deleted import again as flow

    done = flow(app.outside, identifiers, by=Person(whoami(), "command"))
    out.print(f"{len(done)} tickets will be made again", highlight=False)


@tickets.command()
@click.argument("identifier")
@click.option("--reason", required=True, help="Why the risk is accepted; kept with the findings.")
@pass_app
def forget(app: Application, identifier: str, reason: str) -> None:
    """Accept the risk of the open findings of a deleted ticket (by identifier or key)."""
    from vmjira.flows.deleted import forget as flow

    done = flow(app.outside, identifier, reason, by=Person(whoami(), "command"))
    text = f"{done.identifier}: its open findings are accepted until {done.accepted_until:%Y-%m-%d}"
    out.print(text, markup=False, highlight=False, soft_wrap=True)
