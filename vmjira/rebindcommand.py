"""The command `rebind`: after the tracker was moved, imported elsewhere or restored."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from vmjira.bootstrap import Application
from vmjira.cliparts import JSON, out, pass_app, print_json

#: Missing tickets that a person is shown one by one; a program gets all.
MANY = 20


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be bound; stores nothing and sends nothing.")
@click.option(
    "--take-over", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
    help="Make tickets of another installation ours: a file with their identifiers or keys, one a line.",
)  # fmt: skip
@JSON
@pass_app
def rebind(app: Application, dry_run: bool, take_over: Path | None, as_json: bool) -> None:
    """Find the tickets again in a tracker that was moved, imported elsewhere or restored.

    By key and label; ids, accounts and fields may all be others. Nothing is written to the tracker.
    """
    from vmjira.flows.rebind import rebind as flow

    app.settings.require_jira()
    wanted = take_over.read_text(encoding="utf-8").split() if take_over else []
    rulebook = app.load_rules()
    done = flow(app.outside, lambda before: app.names_here(rulebook, before), dry_run=dry_run, take_over=wanted)
    if as_json:
        print_json({**done.as_json(), "dry_run": dry_run})
    else:
        _show(out, done, dry_run=dry_run)
    if done.missing or done.refused or not all(each.ok for each in done.names):
        sys.exit(1)


def _show(out: Console, done: Any, *, dry_run: bool) -> None:
    def line(text: str, style: str | None = None) -> None:
        out.print(text, markup=False, highlight=False, soft_wrap=True, style=style)

    would = "would be " if dry_run else ""
    if done.before and done.before != done.now:
        line(f"{done.before.url} → {done.now.url}")
    line(f"{len(done.bound)} tickets {would}rebound, {done.unchanged} unchanged, {len(done.missing)} not found")
    for name, found in done.taken.items():
        line(f"{found.key}: {would}taken over ({name})")
    for each in done.missing[:MANY]:
        line(f"{each.identifier}: {each.why}", "yellow")
    if len(done.missing) > MANY:
        line(f"and {len(done.missing) - MANY} more: see --json", "yellow")
    for text in done.refused:
        line(f"not taken over: {text}", "yellow")
    for each in done.names:
        if each.how:
            line(f"{each.where}: {each.what}. {each.how}", None if each.ok else "yellow")
