"""The command `enrich`: catalogues of exploitation, also for servers that reach no internet."""

from __future__ import annotations

from dataclasses import asdict

import click

from vmjira.bootstrap import Application
from vmjira.cliparts import JSON, out, pass_app, print_json
from vmjira.domain.rulebook import Enrichment
from vmjira.errors import VmjiraError

_WHERE = "An https address or a file; without --kev and --epss, those of policy.yaml."


@click.command()
@click.option("--kev", metavar="FILE-OR-URL", help=f"CISA's known exploited vulnerabilities (JSON). {_WHERE}")
@click.option("--epss", metavar="FILE-OR-URL", help="FIRST's EPSS scores (CSV, packed or not).")
@click.option("--shrunk", is_flag=True, help="Take a catalogue also if it names far fewer CVEs than the last one.")
@JSON
@pass_app
def enrich(app: Application, kev: str | None, epss: str | None, shrunk: bool, as_json: bool) -> None:
    """Take what is known of exploitation (KEV, EPSS); the next scans of each host go by it."""
    from vmjira.enrichment import read_catalogue
    from vmjira.flows.enrich import enrich as flow

    sources = Enrichment(kev, epss) if kev or epss else app.load_rules().policy.enrichment
    if sources == Enrichment():
        raise VmjiraError("no catalogue is named; give --kev or --epss, or write enrichment: into policy.yaml")
    report = flow(app.outside, read_catalogue, sources, shrunk=shrunk)
    if as_json:
        print_json(asdict(report))
    else:
        out.print(report.words(), markup=False, highlight=False, soft_wrap=True)
    if report.refused:
        raise VmjiraError("\n".join(report.refused.values()))
