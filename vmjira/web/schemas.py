"""The shapes of the API: what is taken as a query and what is answered. The OpenAPI document is made from these."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from vmjira.domain.frames import OPENINGS, SEVERITIES
from vmjira.domain.ticket import STATES as FINDING_STATES
from vmjira.flows.search import KINDS
from vmjira.web.site import EVENT_STATES, LAST, STATES

_SEVERITY = validate.OneOf(SEVERITIES)


def text(**further: Any) -> fields.String:
    return fields.String(required=True, **further)


def maybe(**options: Any) -> fields.String:
    return fields.String(required=True, allow_none=True, **options)


def number() -> fields.Integer:
    return fields.Integer(required=True)


def truth(**further: Any) -> fields.Boolean:
    return fields.Boolean(required=True, **further)


def ended() -> tuple[fields.Boolean, fields.Boolean]:
    """settled, verified."""
    return (
        truth(metadata={"description": "none of its findings is open any more"}),
        truth(metadata={"description": "settled, and all its findings were fixed"}),
    )


def moment(**further: Any) -> fields.AwareDateTime:
    return fields.AwareDateTime(required=True, format="iso", **further)


def some(schema: type[Schema] | fields.Field[Any]) -> fields.List[Any]:
    inner = schema if isinstance(schema, fields.Field) else fields.Nested(schema)
    return fields.List(inner, required=True)


def one(schema: type[Schema], **further: Any) -> fields.Nested:
    return fields.Nested(schema, required=True, **further)


# --- queries ----------------------------------------------------------------------------------------------------------


class PageQuery(Schema):
    page = fields.Integer(load_default=1, validate=validate.Range(1, LAST), metadata={"description": "from 1 on"})


class NoQuery(Schema):
    pass


class ReasonQuery(Schema):
    reason = fields.String(load_default="", validate=validate.Length(0, 500), metadata={"description": "why"})


_ID = validate.Length(1, 200)


class TicketsQuery(PageQuery):
    which = fields.String(
        load_default="all",
        validate=validate.OneOf(["all", "living", "overdue"]),
        metadata={"description": "living: with something left to patch; overdue: and its due day is over"},
    )
    category = fields.String(load_default=None, validate=_ID)
    range = fields.String(load_default=None, validate=_ID)


class EvidenceQuery(PageQuery):
    state = fields.String(load_default=None, validate=validate.OneOf([*FINDING_STATES, "open"]))


class OperationsQuery(PageQuery):
    state = fields.String(load_default=None, validate=validate.OneOf(STATES))
    ticket = fields.String(load_default=None, validate=_ID, metadata={"description": "identifier of a ticket"})


class EventsQuery(PageQuery):
    state = fields.String(load_default=None, validate=validate.OneOf(EVENT_STATES))


class SearchQuery(PageQuery):
    q = fields.String(
        required=True, validate=validate.Length(1, 200),
        metadata={"description": "part of a name, an address, a CVE, a title, a key; whatever its case"},
    )  # fmt: skip
    kind = fields.String(load_default=None, validate=validate.OneOf(KINDS))


# --- what several answers share ---------------------------------------------------------------------------------------


class Failure(Schema):
    error = text(metadata={"description": "what is wrong, in words"})


class Paged(Schema):
    page, pages, total = number(), number(), number()


class HostNumbers(Schema):
    vulnerable, last, new, remaining, safe, unverified = (number() for _ in range(6))


class OwnNumbers(Schema):
    total, fixed, open, unverified, moved, gone, accepted = (number() for _ in range(7))


class TopHost(Schema):
    host, ip, hostname = text(), maybe(), maybe()
    score, findings = number(), number()


class Named(Schema):
    id, title = text(), text()


class Iteration(Schema):
    iteration, numbers = text(), one(HostNumbers)


class Observation(Schema):
    scanner, observed_at = text(), moment()
    authenticated = truth(allow_none=True, metadata={"description": "null: the scanner does not say"})
    complete = truth(allow_none=True, metadata={"description": "null: the scanner does not say"})
    scan = maybe(metadata={"description": "its id; null: recorded by an earlier version"})


class Finding(Schema):
    scanner, vulnerability_id, title = text(), text(), maybe()
    severity, state = text(validate=_SEVERITY), text(validate=validate.OneOf(FINDING_STATES))
    ports = some(fields.String())
    first_seen, last_seen, ended_at = moment(), moment(), moment(allow_none=True)
    last_authenticated = truth(allow_none=True)
    last_scan = maybe(metadata={"description": "id of the scan that saw it last"})
    ended_scan = maybe(metadata={"description": "id of the scan that ended it, such as the one that proved it fixed"})


# --- cells and tickets ------------------------------------------------------------------------------------------------


class Trend(Schema):
    iteration, vulnerable = text(), number()


class TicketSums(Schema):
    tickets, living, overdue, settled, verified, open, unverified, fixed = (number() for _ in range(8))


class CellTicket(Schema):
    identifier, key, status = text(), maybe(), maybe()


class Cell(Schema):
    category, range, iteration = text(), text(), maybe()
    numbers = one(HostNumbers, allow_none=True)
    state = text(validate=validate.OneOf(["overdue", "new", "unverified", "remaining", "settled", "clean"]))
    trend = some(Trend)
    tickets = one(TicketSums)
    ticket = one(CellTicket, allow_none=True)


class Button(Schema):
    words, page = text(), text()
    query = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class Item(Schema):
    level = text(validate=validate.OneOf(["act", "look"]))
    title, text, page = text(), text(), text()
    query = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    acts = some(Button)


def _severities() -> fields.Dict:
    return fields.Dict(keys=fields.String(validate=_SEVERITY), values=fields.Integer(), required=True)


class UnownedNetwork(Schema):
    network, hosts, examples = maybe(), number(), some(fields.String())


class Unowned(Schema):
    hosts, without_address, findings, total = number(), number(), number(), number()
    severities, top = _severities(), some(UnownedNetwork)


class UntakenFamily(Schema):
    family, findings, severities = maybe(), number(), _severities()
    where = text(metadata={"description": "as the last category, this condition would take them"})


class Untaken(Schema):
    findings, total, severities, top = number(), number(), _severities(), some(UntakenFamily)


class Unplaced(Schema):
    unowned, untaken, hints = one(Unowned), one(Untaken), some(fields.String())


class Overview(Schema):
    totals, categories, ranges = one(TicketSums), some(Named), some(Named)
    page, pages = number(), number()
    cells = some(Cell)
    attention = fields.List(fields.Nested(Item), required=True, metadata={"description": "what needs a person"})
    unplaced = one(Unplaced, metadata={"description": "hosts in no range, open findings in no category"})


class CellTickets(Schema):
    identifier, category, range, iteration, title = text(), text(), text(), text(), text()
    key, status, previous, next = maybe(), maybe(), maybe(), maybe()
    settled, verified = ended()
    then, own, top = one(HostNumbers), one(OwnNumbers), some(TopHost)
    median_days_to_fix = fields.Float(required=True, allow_none=True)
    fixed_in_due_time = fields.Float(required=True, allow_none=True, metadata={"description": "from 0 to 1"})


class Burning(Schema):
    identifier, iteration = text(), text()
    open = fields.List(fields.Integer(allow_none=True), required=True)


class BurnDown(Schema):
    iterations, tickets = some(fields.String()), some(Burning)


class CellStory(Schema):
    category, range, title, condition = text(), text(), text(), maybe()
    due_days = fields.Integer(required=True, allow_none=True)
    iterations, top, burn_down, tickets = some(Iteration), some(TopHost), one(BurnDown), some(CellTickets)
    median_days_to_fix = fields.Float(required=True, allow_none=True)
    fixed_in_due_time = fields.Float(required=True, allow_none=True, metadata={"description": "from 0 to 1"})


class BriefTicket(Schema):
    identifier, category, range, iteration, title = text(), text(), text(), text(), text()
    key, status, closing = maybe(), maybe(), text()
    due = fields.Date(required=True, allow_none=True)
    overdue, own = truth(), one(OwnNumbers)
    settled, verified = ended()


class Tickets(Paged):
    items = some(BriefTicket)


class TicketRescan(Schema):
    """Hosts that the last closing asked for, and what is to be said of all of them."""

    state = text(validate=validate.OneOf(["waiting", "running", "seen", "missed", "dropped"]))
    words, scanner, hosts, run = text(), maybe(), some(fields.String()), maybe()
    asked_at, launched_at, ended_at = moment(), moment(allow_none=True), moment(allow_none=True)


class MovedPart(Schema):
    identifier, key, findings = text(), maybe(), number()


class Ticket(Schema):
    identifier, category, range, iteration, title = text(), text(), text(), text(), text()
    key, status, previous, next, closing, condition = maybe(), maybe(), maybe(), maybe(), text(), maybe()
    then, own, top, iterations = one(HostNumbers), one(OwnNumbers), some(TopHost), some(Iteration)
    moved_from, moved_to = some(MovedPart), some(MovedPart)
    created_at, closed_at = moment(allow_none=True), moment(allow_none=True)
    due = fields.Date(required=True, allow_none=True)
    overdue, reopened = truth(), number()
    settled, verified = ended()
    attachments, rescans = some(fields.String()), some(TicketRescan)
    left_as_set = fields.Dict(
        keys=fields.String(), values=fields.String(), required=True,
        metadata={"description": "field to value that a person set, where the rules give another one"},
    )  # fmt: skip


class EvidenceHost(Schema):
    host, ip, hostname = text(), maybe(), maybe()
    open, total, severity, last_seen = number(), number(), text(validate=_SEVERITY), moment()
    observations, findings = some(Observation), some(Finding)


class FindingCounts(Schema):
    new, remaining, unverified, fixed, moved, gone, accepted = (number() for _ in range(7))


class Evidence(Paged):
    identifier, state, counts, hosts = text(), maybe(), one(FindingCounts), some(EvidenceHost)


# --- hosts, vulnerabilities, search -----------------------------------------------------------------------------------


class Life(Finding):
    category, range, ticket, previous_ticket = maybe(), maybe(), maybe(), maybe()
    opened_as, reappeared = text(validate=validate.OneOf(OPENINGS)), number()


class Day(Schema):
    day, open = fields.Date(required=True), number()


class Host(Paged):
    host, ip, hostname, netbios, mac = text(), maybe(), maybe(), maybe(), maybe()
    agent_uuid, os, range, range_title = maybe(), maybe(), maybe(), maybe()
    identified_by, also = some(fields.String()), some(fields.String())
    gone, observations, open, over_time, findings = truth(), some(Observation), number(), some(Day), some(Life)


class RangeCount(Schema):
    range, title, hosts = maybe(), maybe(), number()


class VulnerableHost(Schema):
    host, ip, hostname, range, category = text(), maybe(), maybe(), maybe(), maybe()
    severity, first_seen, last_seen = text(validate=_SEVERITY), moment(), moment()


class Vulnerability(Schema):
    scanner, vulnerability_id, title, family = text(), text(), maybe(), maybe()
    severity = text(validate=_SEVERITY, allow_none=True)
    cvss2, cvss3 = fields.Float(required=True, allow_none=True), fields.Float(required=True, allow_none=True)
    cves = fields.List(fields.String(), required=True, allow_none=True)
    references = fields.List(fields.String(), required=True, allow_none=True)
    exploit_available, kev = truth(allow_none=True), truth(allow_none=True)
    kev_due, epss = fields.Date(required=True, allow_none=True), fields.Float(required=True, allow_none=True)
    solution, description, synopsis = maybe(), maybe(), maybe()
    published, patch_published = (
        fields.Date(required=True, allow_none=True),
        fields.Date(required=True, allow_none=True),
    )
    open, ranges, page, pages, hosts = number(), some(RangeCount), number(), number(), some(VulnerableHost)


class FoundHost(Schema):
    host, ip, hostname, netbios, mac = text(), maybe(), maybe(), maybe(), maybe()
    range, os, observed_at = maybe(), maybe(), moment()


class FoundVulnerability(Schema):
    scanner, vulnerability_id, title, family = text(), text(), maybe(), maybe()
    severity, cves = text(validate=_SEVERITY, allow_none=True), some(fields.String())


class FoundTickets(Schema):
    total, pages, items = number(), number(), some(BriefTicket)


class FoundHosts(Schema):
    total, pages, items = number(), number(), some(FoundHost)


class FoundVulnerabilities(Schema):
    total, pages, items = number(), number(), some(FoundVulnerability)


class Search(Schema):
    q, kind, page = text(), maybe(), number()
    tickets, hosts = fields.Nested(FoundTickets), fields.Nested(FoundHosts)
    vulnerabilities = fields.Nested(FoundVulnerabilities)


# --- what was done, told and decided ----------------------------------------------------------------------------------


class Act(Schema):
    at, actor, via, action, operation = text(), text(), text(), text(), text()


class Acts(Paged):
    items = some(Act)


class Operation(Schema):
    id, operation, identifier, reason = text(), text(), text(), text()
    state, plan, attempts, answer = text(validate=validate.OneOf(STATES)), text(), number(), text()
    planned_at, started_at, ended_at = maybe(), maybe(), maybe()
    details = fields.Dict(keys=fields.String(), required=True)
    acts = some(Act)


class Operations(Paged):
    items = some(Operation)


class Event(Schema):
    id, received_at, event, issue, state, answer = text(), text(), text(), text(), text(), text()
    ticket, key, decided_at = maybe(), maybe(), maybe()


class Events(Schema):
    page, more, items = number(), truth(), some(Event)


class Acceptance(Schema):
    source, scope, reason, approver = text(), text(), text(), text()
    ticket, key, since = maybe(), maybe(), maybe()
    until = text(metadata={"description": "the last day on which it holds"})
    days_left, findings = number(), number()
    state = text(validate=validate.OneOf(["holds", "ends soon", "ended"]))


class Acceptances(Schema):
    items = some(Acceptance)


class RuleProblem(Schema):
    file, line, column, message = text(), number(), number(), text()


class RuleCategory(Schema):
    id, title, where, priority = text(), text(), text(), maybe()
    due_days = fields.Integer(required=True, allow_none=True)


class RuleRange(Schema):
    id, title, iteration, project = text(), text(), text(), text()
    identity, networks = some(fields.String()), some(fields.String())


class RuleFile(Schema):
    file, added, removed = text(), number(), number()
    who, at, source = fields.String(), fields.String(), fields.String(data_key="from", attribute="from")


class RulePeriod(Schema):
    digest, since, until, how, released_by = text(), text(), maybe(), text(), maybe()
    files, changes = some(RuleFile), text(metadata={"description": "a unified diff"})


class RuleHistory(Paged):
    items = some(RulePeriod)


class HeldRules(Schema):
    operation, reason, since = text(), text(), moment(allow_none=True)
    preview = fields.Dict(
        keys=fields.String(), required=True, allow_none=True,
        metadata={"description": "what they would do: the `rules` of `vmjira plan --json`"},
    )  # fmt: skip
    changes = text(metadata={"description": "a unified diff"})


class Rules(Schema):
    digest, since = maybe(), moment(allow_none=True)
    files = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    categories, ranges, problems, history = some(RuleCategory), some(RuleRange), some(RuleProblem), one(RuleHistory)
    held = one(HeldRules, allow_none=True)


class ScannerRule(Schema):
    id, type, fetch = text(), text(), maybe()


class Heard(Schema):
    scanner, scans, first, last = text(), number(), moment(), moment()


class Firing(Schema):
    due, state, words = moment(), text(), text()
    started_at, ended_at = moment(allow_none=True), moment(allow_none=True)


class Job(Schema):
    job, cron, next = text(), text(), moment(allow_none=True)
    last = one(Firing, allow_none=True)


class WaitingRescan(Schema):
    words, hosts, tickets, since = text(), some(fields.String()), some(fields.String()), moment()


class RescanRun(Schema):
    name, state = text(), text(validate=validate.OneOf(["launching", "running", "done", "failed"]))
    words, hosts, tickets = text(), some(fields.String()), some(fields.String())
    since, ended_at = moment(), moment(allow_none=True)


class Rescans(Schema):
    scanner, trouble = text(), text(metadata={"description": "why nothing could be done at the last look"})
    looked_at, next_look = moment(allow_none=True), moment(allow_none=True)
    waiting, runs = some(WaitingRescan), some(RescanRun)


class CatalogueState(Schema):
    name, source, edition, cves, taken_at = text(), text(), maybe(), number(), moment()


class Scanners(Schema):
    configured, heard, jobs, rescans = some(ScannerRule), some(Heard), some(Job), some(Rescans)
    catalogues = some(CatalogueState)


class ScanOf(Schema):
    id, scanner, format, name = number(), text(), text(), text()
    scan, state, note, digest = text(), text(), text(), text()
    started_at, finished_at, folded_at = moment(allow_none=True), moment(), moment(allow_none=True)
    hosts, findings, records, unreadable, rescan = number(), number(), number(), number(), truth()
    records_by_severity = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    warnings = some(fields.String())


class Scans(Paged):
    items = some(ScanOf)


class PlannedChange(Schema):
    operation, identifier, key, reason = text(), text(), maybe(), text()
    details = fields.Dict(keys=fields.String(), required=True)


class Withdrawal(Schema):
    scan, state, exceeds = number(), text(), maybe()
    operations = some(PlannedChange)
