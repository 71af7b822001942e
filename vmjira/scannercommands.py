"""The commands about scanners: what they are, whether they answer, and fetching from them now."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from vmjira.bootstrap import Application
from vmjira.cliparts import JSON, err, out, pass_app, print_json
from vmjira.domain.rulebook import Scanner
from vmjira.errors import VmjiraError
from vmjira.flows.fetch import Fetched
from vmjira.flows.sources import RemoteScan
from vmjira.shown import show_checks, show_fetched, show_scanners
from vmjira.terminal import visible


@click.group()
def scanners() -> None:
    """Where scans come from."""


@scanners.command("list")
@JSON
@pass_app
def scanners_list(app: Application, as_json: bool) -> None:
    """Each scanner of the rules: when it is looked at, what came of that, and whether it delivers."""
    found = app.scanners()
    print_json(found) if as_json else show_scanners(out, found)


@scanners.command("test")
@click.argument("name")
@JSON
@pass_app
def scanners_test(app: Application, name: str, as_json: bool) -> None:
    """Connect to a scanner, and say which of its scans would be taken; takes none."""
    from vmjira.flows.jobs import find

    checks = app.tools.connect(find(app.tools.rules(), name)).check()
    print_json([asdict(each) for each in checks]) if as_json else show_checks(out, name, checks)
    if not all(each.ok for each in checks):
        sys.exit(1)


@scanners.command("fetch")
@click.argument("name", required=False)
@click.option("--again", metavar="ID", help="Take this scan of NAME once more; `scanners list --json` has the ids.")
@JSON
@pass_app
def scanners_fetch(app: Application, name: str | None, again: str | None, as_json: bool) -> None:
    """Take new scans now, from one scanner or from all that are scheduled, and queue what follows."""
    from vmjira.flows import fetch as flow
    from vmjira.flows.jobs import find

    if again and not name:
        raise click.UsageError("--again needs the NAME of the scanner")
    rulebook = app.tools.rules()
    chosen = [find(rulebook, name)] if name else [each for each in rulebook.scanners if each.fetch]
    if again:
        flow.again(app.outside, chosen[0].id, again)
    done, problems = _fetch(app, chosen)
    if as_json:
        print_json([each.as_json() for each in done])
    else:
        show_fetched(out, done)
    problems += [f"{each.scanner}: {row.name}: {row.words}" for each in done for row in each.refused]
    problems += [f"{each.scanner}: {why}" for each in done for why in each.failed]
    if problems:
        raise VmjiraError("\n".join(problems))


def _fetch(app: Application, chosen: Sequence[Scanner]) -> tuple[list[Fetched], list[str]]:
    """From each in turn; what one of them says does not keep the others from being asked."""
    from vmjira.flows.jobs import fetch

    done, problems = list[Fetched](), list[str]()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("", total=None)
        for scanner in chosen:
            progress.reset(task, description=scanner.id, total=None)

            def hear(scan: RemoteScan, came: int, total: int, scanner: Scanner = scanner) -> None:
                about = visible(f"{scanner.id}: {scan.name}")
                progress.update(task, description=about, completed=came, total=total or None)

            try:
                done.append(fetch(app.tools, scanner, hear))
            except VmjiraError as error:
                problems.append(str(error))
    for each in done:
        if each.rules:
            err.print(each.rules, markup=False, highlight=False, soft_wrap=True)
    return done, problems
