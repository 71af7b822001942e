"""The commands: each checks, calls one flow, and prints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from rich.progress import Progress

from vmjira.adoptcommand import adopt
from vmjira.bootstrap import Application, configure_logging
from vmjira.cliparts import FILES, JSON, err, out, pass_app, print_json, whoami
from vmjira.delivering import deliver
from vmjira.domain.rulebook import Rulebook
from vmjira.enrichcommand import enrich
from vmjira.errors import VmjiraError
from vmjira.rebindcommand import rebind
from vmjira.rulescommands import rules
from vmjira.scannercommands import scanners
from vmjira.scanscommands import scans
from vmjira.settings import load_settings
from vmjira.shown import (
    show_acceptances,
    show_explanation,
    show_held,
    show_hints,
    show_ingested,
    show_inspection,
    show_operations,
    show_ticket,
)
from vmjira.shownrules import show_rules_preview
from vmjira.terminal import never_fail
from vmjira.ticketscommand import tickets
from vmjira.trackercommands import doctor, reconcile, webhook
from vmjira.usercommands import users

if TYPE_CHECKING:
    from vmjira.domain.frames import Scan

#: Operations that a person is shown one by one; a program gets all.
MANY = 100


class Commands(click.Group):
    """Expected errors in plain words and exit status 1; a traceback only for our own faults."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VmjiraError as error:
            err.print(str(error), style="red", soft_wrap=True)
            sys.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vmjira")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Vulnerability tickets that stay true: one per category, IP range and scanning iteration."""
    if ctx.resilient_parsing:
        return
    never_fail()
    settings = load_settings()
    configure_logging(settings.log)
    ctx.obj = Application(settings)


@main.command()
@FILES
@JSON
@pass_app
def inspect(app: Application, files: Sequence[Path], as_json: bool) -> None:
    """Read scan files and say what is in them; changes nothing."""
    from vmjira.scanners.summary import summary

    found, failed = [], []
    placed = _placed(app)
    with app.reader() as read:
        for file in files:
            try:
                found += [{**summary(scan, file), **placed(scan)} for scan in read(file)]
            except VmjiraError as error:
                failed.append(str(error))
    if as_json:
        print_json({"files": found})
    else:
        show_inspection(out, found)
    show_hints(err if as_json else out, found)
    _fail(failed)


def _placed(app: Application) -> Callable[[Scan], dict[str, Any]]:
    """What the rules in the folder leave without range or category; nothing where they cannot be read."""
    from vmjira.flows.knowledge import enriched, nothing
    from vmjira.flows.unplaced import alone

    try:
        rulebook = app.load_rules()
    except VmjiraError:
        words = "Ranges and categories were not checked, because the rules cannot be read. Run `vmjira rules check`."
        err.print(words, style="yellow", soft_wrap=True)
        return lambda scan: {}
    with app.store.reading() as unit:
        base = enriched(nothing(), app.store, unit.enrichment())
    return lambda scan: alone(base, scan, rulebook)


@main.command()
@FILES
@click.option("--wait", is_flag=True, help="Return when the tracker has everything; deliver here if no worker runs.")
@JSON
@pass_app
def ingest(app: Application, files: Sequence[Path], wait: bool, as_json: bool) -> None:
    """Fold scans in and queue what follows for the tracker."""
    from vmjira.flows import ingest as flow

    if wait:
        app.settings.require_jira()
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("reading", total=None)
        with app.reader(lambda done, total: progress.update(task, completed=done, total=total or None)) as read:
            report = flow.ingest(app.outside, files, read, app.load_rules)
    if report.rules:
        err.print(report.rules, soft_wrap=True)
    waiting = deliver(app) if wait else []
    if as_json:
        print_json({"scans": report.scans, "refused": report.refused, "operations": report.operations})
    else:
        show_ingested(out, report.scans, len(report.operations))
    show_hints(err if as_json else out, report.scans)
    _fail([*(each["reason"] for each in report.refused), *waiting])


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--preview", is_flag=True, help="Also what the rules mean for what is known; with --json, one object.")
@JSON
@pass_app
def plan(app: Application, files: Sequence[Path], preview: bool, as_json: bool) -> None:
    """What would change in the tracker now, or if these files were ingested; sends and stores nothing.

    Where the rule files were changed, also what moves where and why; with --preview in any case.
    """
    from vmjira.flows.preview import preview_in_words

    with app.reader() as read:
        found = preview_in_words(app.outside, files, read, app.load_rules)
    show_held(err if as_json else out, found.held)
    if as_json:
        print_json(
            {"operations": found.operations, "rules": found.rules, "scans": found.scans, "held": found.held}
            if preview
            else found.operations
        )
    elif preview or found.rules["changed"]:
        show_rules_preview(out, found.rules)
    if not as_json:
        show_operations(out, found.operations, at_most=MANY)
    show_hints(err if as_json else out, found.scans)


@main.command()
@click.argument("identifier")
@JSON
@pass_app
def ticket(app: Application, identifier: str, as_json: bool) -> None:
    """One ticket, with the hosts behind its numbers."""
    from vmjira.flows.present import one_ticket

    found = one_ticket(app.outside, identifier)
    print_json(found) if as_json else show_ticket(out, found)


@main.command()
@click.argument("host")
@click.argument("vulnerability", required=False)
@JSON
@pass_app
def explain(app: Application, host: str, vulnerability: str | None, as_json: bool) -> None:
    """Why a host (or a finding on it) is where it is: range, category, state, evidence, ticket."""
    from vmjira.flows.explain import explain as flow

    found = flow(app.outside, host, vulnerability)
    print_json(found) if as_json else show_explanation(out, found)


main.add_command(adopt)
main.add_command(doctor)
main.add_command(enrich)
main.add_command(reconcile)
main.add_command(rebind)
main.add_command(tickets)
main.add_command(rules)
main.add_command(webhook)
main.add_command(users)
main.add_command(scanners)
main.add_command(scans)


@main.command()
@JSON
@pass_app
def acceptances(app: Application, as_json: bool) -> None:
    """Accepted risks: by the rules in force and by tickets, until when, and how many findings each holds."""
    from vmjira.flows.acceptances import all_acceptances, summary

    found = all_acceptances(app.store, app.rules_in_force() or Rulebook(), app.outside.clock())
    print_json(found) if as_json else show_acceptances(out, found, summary(found))


@main.group()
def operations() -> None:
    """What waits, failed, or is held."""


@operations.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what is done or dropped.")
@JSON
@pass_app
def operations_list(app: Application, everything: bool, as_json: bool) -> None:
    """Operations that are not done, with the tracker's own words."""
    from vmjira.flows.lists import with_acts

    with app.store.reading() as unit:
        rows = unit.operations() if everything else unit.operations("held", "queued", "refused")
        found = with_acts(unit, rows)
    print_json(found) if as_json else show_operations(out, found)


def _operation_command(name: str, flow_name: str, text: str) -> None:
    @operations.command(name, help=text)
    @click.argument("ids", nargs=-1)
    @pass_app
    def command(app: Application, ids: Sequence[str]) -> None:
        from vmjira.flows import operations as flow

        chosen: Callable[..., list[str]] = getattr(flow, flow_name)
        done = chosen(app.outside, ids, by=flow.Person(whoami(), "command"))
        if name == "release":
            from vmjira.flows import deleted
            from vmjira.flows.ingest import settle

            settle(app.outside)
            deleted.settle(app.outside)
        out.print(f"{len(done)} operations: {name}")


_operation_command("retry", "retry", "Deliver refused operations again (by id, plan or ticket; all if none is given).")
_operation_command("drop", "drop", "Never deliver these (by id, plan or ticket; all that are held if none is given).")
_operation_command("release", "release", "Deliver what is held (by id, plan or ticket; all if none is given).")
main.add_command(operations, "changes")  # what people call them; programs may use either name


@main.command()
@click.option("--check", is_flag=True, help="Only compare with what is stored.")
@pass_app
def replay(app: Application, check: bool) -> None:
    """Rebuild the ledger from the stored scans and rules, and compare."""
    from vmjira.flows import replay as flow

    rebuilt = flow.rebuild(app.outside)
    wrong = flow.differing(app.outside, rebuilt)
    if wrong and check:
        raise VmjiraError(f"the stored ledger differs from its scans in: {', '.join(wrong)}; `vmjira replay` mends it")
    flow.mend(app.outside, rebuilt, wrong)
    out.print(
        "mended: " + ", ".join(wrong) if wrong else "the ledger is exactly what its scans say",
        soft_wrap=True,
    )  # fmt: skip


@main.command()
@pass_app
def serve(app: Application) -> None:
    """The web server (gunicorn) on VMJIRA_LISTEN."""
    from vmjira.processes import serve as run

    run(app.settings)


@main.command()
@click.option("--threads", default=8, show_default=True, type=click.IntRange(1, 64))
@pass_app
def worker(app: Application, threads: int) -> None:
    """Deliver to the tracker until told to stop."""
    from vmjira.processes import work

    work(app, threads)


@main.command()
@click.option("--listen", default="127.0.0.1:8601", show_default=True)
@click.option("--database", default=Path("var/sandbox.sqlite"), show_default=True, type=click.Path(path_type=Path))
@click.option("--flavour", default="datacenter", show_default=True, type=click.Choice(["cloud", "datacenter"]))
def sandbox(listen: str, database: Path, flavour: str) -> None:
    """A stand-in for Jira: to rehearse real scans and real rules before anything touches the real one."""
    from vmjira.processes import sandbox as run

    run(listen, database, flavour)


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), help="Where to keep it; a fresh temporary one if not given.")
@click.option("--weeks", default=6, show_default=True, type=click.IntRange(1, 6))
@click.option("--once", is_flag=True, help="Stop when the campaign is in, instead of staying up.")
def demo(folder: Path | None, weeks: int, once: bool) -> None:
    """Sandbox Jira, server, worker and a made-up campaign of several weeks, on loopback."""
    from vmjira.demo import run

    with TemporaryDirectory(prefix="vmjira-demo-") as temporary:
        run(folder or Path(temporary), weeks=weeks, once=once)


def _fail(problems: Sequence[str]) -> None:
    if problems:
        raise VmjiraError("\n".join(problems))
