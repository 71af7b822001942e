"""The command `adopt`: the first scans of a network with a backlog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from vmjira.bootstrap import Application
from vmjira.cliparts import FILES, JSON, err, out, pass_app, print_json
from vmjira.shown import show_adoption


@click.command()
@FILES
@click.option("--dry-run", is_flag=True, help="Only show the numbers; stores and sends nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON
@pass_app
def adopt(app: Application, files: Sequence[Path], dry_run: bool, yes: bool, as_json: bool) -> None:
    """Take in the first scans of a network with a backlog: it becomes iteration 0, and no news later.

    Give all files at once. Which part of the backlog gets tickets is the policy's `adoption`.
    """
    from vmjira.flows import adopt as flow

    if as_json and not (dry_run or yes):
        raise click.UsageError("--json asks nothing: give it with --dry-run or --yes")
    with app.reader() as read:
        scans = flow.read_all(files, read)
        if dry_run or not yes:
            numbers = flow.rehearse(app.outside, scans, app.load_rules)
            if as_json:
                print_json(numbers)
            elif numbers:
                show_adoption(out, numbers, done=False)
            else:
                out.print("all of it was taken in before: nothing to adopt", highlight=False)
            if dry_run or not numbers:
                return
            click.confirm("Take this backlog in?", abort=True)
        report = flow.adopt(app.outside, scans, app.load_rules)
    if report.rules:
        err.print(report.rules, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print_json({"scans": report.scans, "operations": report.operations, **report.numbers})
        return
    for scan in report.scans:
        out.print(f"{scan['path']}: {scan['outcome']}", markup=False, highlight=False, soft_wrap=True)
    if report.numbers:
        show_adoption(out, report.numbers, done=True)
