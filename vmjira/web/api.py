"""The API: all that the pages show, as JSON. One table of answers makes the addresses and the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, request
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import BadRequest

from vmjira.flows import lists
from vmjira.flows.acceptances import all_acceptances
from vmjira.flows.attention import needs_a_person
from vmjira.flows.cells import cell
from vmjira.flows.evidence import evidence, find, ticket
from vmjira.flows.hosts import host
from vmjira.flows.looking import Wanted
from vmjira.flows.operations import Person
from vmjira.flows.overview import overview
from vmjira.flows.search import search
from vmjira.flows.unplaced import known as unplaced
from vmjira.flows.vulnerabilities import vulnerability
from vmjira.flows.withdraw import find as find_scan
from vmjira.flows.withdraw import preview, restore, withdraw
from vmjira.web import schemas as s
from vmjira.web.openapi import Operation, document
from vmjira.web.site import Site, asking

Query = Mapping[str, Any]


@dataclass(frozen=True)
class Answers:
    """What each address answers: the values that the pages show."""

    site: Site

    def overview(self, page: int) -> Any:
        rules = self.site.rules()
        with self.site.store().reading() as unit:
            items = needs_a_person(unit, rules, self.site.problems(), self.site.clock())
            found = overview(unit, rules, self.site.today(), page=page)
        return {**found, "attention": [asdict(item) for item in items], "unplaced": unplaced(self.site.store())}

    def cell(self, category: str, range: str) -> Any:
        return cell(self.site.store(), category, range, self.site.rules(), self.site.clock())

    def tickets(self, which: Any, category: str | None, range: str | None, page: int) -> Any:
        with self.site.store().reading() as unit:
            return lists.tickets(unit, Wanted(which, category, range), self.site.today(), page)

    def ticket(self, identifier: str) -> Any:
        return ticket(self.site.store(), identifier, self.site.rules(), self.site.today())

    def evidence(self, identifier: str, state: str | None, page: int) -> Any:
        with self.site.store().reading() as unit:
            row = find(unit, identifier)
        return evidence(self.site.store(), row, state, page)

    def host(self, host: str, page: int) -> Any:
        return host_(self.site, host, page)

    def vulnerability(self, scanner: str, id: str, page: int) -> Any:
        return vulnerability(self.site.store(), scanner, id, self.site.rules(), page)

    def search(self, q: str, kind: Any, page: int) -> Any:
        return search(self.site.store(), q, kind, page, self.site.today())

    def operations(self, state: Any, ticket: str | None, page: int) -> Any:
        with self.site.store().reading() as unit:
            return lists.operations(unit, [state] if state else [], page, identifier=ticket)

    def audit(self, page: int) -> Any:
        with self.site.store().reading() as unit:
            return lists.acts(unit, page)

    def events(self, state: Any, page: int) -> Any:
        with self.site.store().reading() as unit:
            return lists.events(unit, [state] if state else [], page)

    def acceptances(self) -> Any:
        return {"items": all_acceptances(self.site.store(), self.site.rules(), self.site.clock())}

    def rules(self, page: int) -> Any:
        with self.site.store().reading() as unit:
            return lists.rules(unit, self.site.rules(), self.site.problems(), page)

    def scanners(self) -> Any:
        with self.site.store().reading() as unit:
            return lists.scanners(unit, self.site.rules(), self.site.due)

    def scans(self, page: int) -> Any:
        with self.site.store().reading() as unit:
            return lists.scans(unit, page)

    def scan(self, scan: str) -> Any:
        with self.site.store().reading() as unit:
            return lists.scan_json(find_scan(unit, scan))

    def withdrawal(self, scan: str) -> Any:
        return preview(self.site.outside(), scan).as_json()

    def withdraw(self, scan: str, reason: str) -> Any:
        return withdraw(self.site.outside(), scan, by=_person(), reason=reason).as_json()

    def restore(self, scan: str, reason: str) -> Any:
        return restore(self.site.outside(), scan, by=_person(), reason=reason).as_json()


def _person() -> Person:
    return Person(asking().name, "API")


def host_(site: Site, wanted: str, page: int) -> Any:
    return host(site.store(), wanted, site.rules(), page)


OPERATIONS = (
    Operation("overview", "/overview", "The matrix of cells, totals, and what needs a person", s.PageQuery, s.Overview),
    Operation("cell", "/cells/{category}/{range}", "A cell over its iterations", s.NoQuery, s.CellStory),
    Operation("tickets", "/tickets", "Tickets, what is due first comes first", s.TicketsQuery, s.Tickets),
    Operation("ticket", "/tickets/{identifier}", "A ticket, by identifier or key", s.NoQuery, s.Ticket),
    Operation("evidence", "/tickets/{identifier}/findings", "Its own findings by host", s.EvidenceQuery, s.Evidence),
    Operation("host", "/hosts/{host}", "A host, by key, address or name", s.PageQuery, s.Host),
    Operation("vulnerability", "/vulnerabilities/{scanner}/{id}", "A vulnerability and the hosts that have it",
              s.PageQuery, s.Vulnerability),
    Operation("search", "/search", "Tickets, hosts and vulnerabilities by any part of a name", s.SearchQuery, s.Search),
    Operation("operations", "/operations", "What was done and why, the newest first", s.OperationsQuery, s.Operations),
    Operation("audit", "/audit", "What people did to operations, the newest first", s.PageQuery, s.Acts),
    Operation("events", "/events", "What the tracker told, the newest first", s.EventsQuery, s.Events),
    Operation("acceptances", "/acceptances", "Accepted risks, what ends first comes first", s.NoQuery, s.Acceptances),
    Operation("rules", "/rules", "Rules in force, problems of the files, and what changed when", s.PageQuery, s.Rules),
    Operation("scanners", "/scanners", "Scanners of the rules, and when each was heard of", s.NoQuery, s.Scanners),
    Operation("scans", "/scans", "Scans that were taken in, the newest first", s.PageQuery, s.Scans),
    Operation("scan", "/scans/{scan}", "A scan, by its number or the beginning of its digest", s.NoQuery, s.ScanOf),
    Operation("withdrawal", "/scans/{scan}/withdrawal", "What would change in the tracker if the scan were withdrawn",
              s.NoQuery, s.Withdrawal),
    Operation("withdraw", "/scans/{scan}/withdraw", "Take a scan back with all that followed from it", s.ReasonQuery,
              s.Withdrawal, method="post"),
    Operation("restore", "/scans/{scan}/restore", "Count a scan again that was withdrawn", s.ReasonQuery,
              s.Withdrawal, method="post"),
)  # fmt: skip
#: Parts of an address that may hold a slash.
ANYTHING = ("host", "id")


def api(site: Site) -> Blueprint:
    views = Blueprint("api", __name__, url_prefix="/api")
    answers = Answers(site)
    for each in OPERATIONS:
        rule = each.path
        for name in each.parameters:
            rule = rule.replace(f"{{{name}}}", f"<path:{name}>" if name in ANYTHING else f"<{name}>")
        view = _view(getattr(answers, each.name), each.query(), each.answer())
        views.add_url_rule(rule, each.name, view, methods=[each.method.upper()])

    @views.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(document(OPERATIONS))

    return views


def _view(ask: Callable[..., Any], query: Schema, answer: Schema) -> Callable[..., Response]:
    def view(**path: str) -> Response:
        return jsonify(answer.dump(ask(**path, **_given(query))))

    return view


def _given(query: Schema) -> Query:
    """The query, or what is wrong with it; a name given twice has two values, and that is wrong here."""
    twice = [name for name in request.args if len(request.args.getlist(name)) > 1]
    if twice:
        raise BadRequest(f"{', '.join(sorted(set(twice)))}: given more than once")
    try:
        found: Query = query.load(request.args.to_dict())
    except ValidationError as error:
        words = (f"{name}: {' '.join(map(str, why))}" for name, why in sorted(error.messages_dict.items()))
        raise BadRequest("; ".join(words)) from None
    return found
