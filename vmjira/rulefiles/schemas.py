"""The five rule files as marshmallow schemas: the one place that says which keys there are."""

from __future__ import annotations

from typing import Any, ClassVar, get_args

from marshmallow import ValidationError, validates_schema

from vmjira.domain.rulebook import AdoptionMode, AutoClose, Cadence, IdentityKind, OnClose, Policy, Range
from vmjira.rulefiles import conditions, networks, parsing, templates
from vmjira.rulefiles.fields import Choice, Day, Flag, Keys, ListOf, Number, Section, Shape, Switch, Text
from vmjira.rulefiles.scanner_schema import ScannersFile
from vmjira.rulefiles.schedule_schema import RemindersSchema, RetentionSchema, ScheduleSchema
from vmjira.rulefiles.ticket_schema import TicketSchema

POLICY = Policy()
RANGE = Range("", "", ())


class CategorySchema(Keys):
    id = Text(
        "Short name, part of labels and file names. To change it later, write the old one under `aliases`.",
        "web-servers",
        parse=parsing.id_,
        pattern=parsing.ID,
        required=True,
    )
    title = Text("What people read.", "Web servers", parse=parsing.title, required=True)
    where = Text(
        "SQL condition on one finding. The first category in file order whose condition holds takes the finding.",
        "severity >= 'high'",
        parse=conditions.check,
        required=True,
    )
    priority = Text("Priority of the tickets, by the tracker's name for it.", "Highest", default="the tracker's own")
    due = Text(
        "Time to repair, from the start of the ticket.",
        "14d",
        parse=parsing.duration,
        pattern=parsing.DURATION,
        default="no due date",
    )
    aliases = ListOf(
        Text("An id.", "web", parse=parsing.id_, pattern=parsing.ID),
        "Ids that it had before it was renamed: tickets and findings of an old id continue under the new one.",
        default="none",
    )


class CategoriesFile(Keys):
    """What is repaired in the same way. A finding goes to the first category whose condition holds."""

    categories = ListOf(Section(CategorySchema), "The categories, the most specific first.", least=1, required=True)


class RangeSchema(Keys):
    id = Text(
        "Short name, part of labels and file names. To change it later, write the old one under `aliases`.",
        "boston",
        parse=parsing.id_,
        pattern=parsing.ID,
        required=True,
    )
    title = Text("What people read.", "Boston Office", parse=parsing.title, required=True)
    networks = ListOf(
        Text("A network.", "10.1.0.0/16", parse=networks.parse),
        "Networks (10.1.0.0/16), spans (10.2.0.0-10.2.3.255) and single addresses, IPv4 or IPv6. "
        "Where networks of several ranges hold an address, the one with the fewest addresses wins.",
        least=1,
        required=True,
    )
    iteration = Choice(
        "What one round of scanning is: all scans of a day, an ISO week, a month, or each scan.",
        "month",
        of=get_args(Cadence),
        default=RANGE.iteration,
    )
    identity = ListOf(
        Choice("A kind of identifier.", "hostname", of=get_args(IdentityKind)),
        "What tells hosts apart: the first of these that a host has. Where addresses change (DHCP), "
        "write [agent_uuid, hostname, ip].",
        least=1,
        default=f"[{', '.join(RANGE.identity)}]",
    )
    ticket = Section(TicketSchema, "What differs from `ticket` in policy.yaml.")
    aliases = ListOf(
        Text("An id.", "boston-office", parse=parsing.id_, pattern=parsing.ID),
        "Ids that it had before it was renamed: tickets and findings of an old id continue under the new one.",
        default="none",
    )

    @validates_schema
    def no_kind_twice(self, data: Any, **_: Any) -> None:
        kinds = data.get("identity", ())
        if len(set(kinds)) < len(kinds):
            raise ValidationError({"identity": ["a kind is listed twice; list each once, the most trusted first"]})


class RangesFile(Keys):
    """Who repairs what: networks, each owned by one group of administrators."""

    ranges = ListOf(Section(RangeSchema), "The ranges.", least=1, required=True)


class AcceptSchema(Keys):
    class Meta(Keys.Meta):
        # Not class attributes: `for` is Python's own word.
        include = {  # noqa: RUF012 - marshmallow reads it once
            "for": Text(
                "How long such an acceptance holds.",
                "90d",
                parse=parsing.duration,
                pattern=parsing.DURATION,
                default=f"{POLICY.accept_for.days}d",
            )
        }

    resolutions = ListOf(
        Text("A resolution.", "Risk Accepted"),
        "Closed with one of these, a ticket counts as risk acceptance of its open findings.",
        default="none",
    )


class LimitsSchema(Keys):
    create = Number(
        "A plan that creates more tickets waits for a person.", 20, between=(0, 100_000), default=POLICY.limit_create
    )
    close = Number(
        "A plan that closes more tickets waits for a person.", 50, between=(0, 100_000), default=POLICY.limit_close
    )
    move = Number(
        "A change of rules that takes open findings out of more tickets waits for a person.",
        50,
        between=(0, 100_000),
        default=POLICY.limit_move,
    )


class EscalationSchema(Keys):
    priority = Text("Priority that the ticket gets.", "Highest", default="unchanged")
    label = Text("Label that is added.", "escalated", parse=parsing.label, default="none")
    watcher = Text("Person who is added.", "jane.doe", default="nobody")


class EnrichmentSchema(Keys):
    kev = Text(
        "CISA's catalogue of known exploited vulnerabilities (JSON): an https address, or the path of a file. "
        "Conditions may name `kev` and `kev_due` then.",
        "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
        parse=parsing.catalogue,
        default="not used",
    )
    epss = Text(
        "FIRST's EPSS scores (CSV, packed or not): an https address, or the path of a file. Conditions may name "
        "`epss` then.",
        "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz",
        parse=parsing.catalogue,
        default="not used",
    )


class RescanSchema(Keys):
    enabled = Flag(
        "Scan the hosts of a closed ticket again, where their scanner can, instead of waiting for its next scan.",
        False,
        default=POLICY.rescan.enabled,
    )
    at_most = Number("Rescans that run at a time on one scanner.", 1, between=(1, 100), default=POLICY.rescan.at_most)
    hours = Text(
        "Hours of the day in which rescans begin, in the policy's time zone; they may go over midnight.",
        "20-6",
        parse=parsing.hours,
        pattern=parsing.HOURS,
        default="at any time",
    )
    cooldown = Text(
        "Time between two rescans of one host.",
        "24h",
        parse=parsing.duration,
        pattern=parsing.DURATION,
        default="12h",
    )
    hosts = Number("Hosts in one rescan; more are divided.", 64, between=(1, 100_000), default=POLICY.rescan.hosts)
    give_up = Text(
        "A rescan that has not begun after so long is dropped; one that has not ended is stopped.",
        "1d",
        parse=parsing.duration,
        pattern=parsing.DURATION,
        default="3d",
    )


class AdoptionSchema(Keys):
    mode = Choice(
        "Which of its categories get a ticket in a range: `iteration0` all, `silent` none, `cap` those with the most "
        "vulnerable hosts.",
        "cap",
        of=get_args(AdoptionMode),
        default=POLICY.adoption.mode,
    )
    cap = Number("Tickets a range, with mode `cap`.", 5, between=(1, 1000), default=POLICY.adoption.cap)


class PolicyFile(Keys):
    """What holds for all ranges. Every key may be left out, and so may the file."""

    timezone = Text(
        "Time zone in which days, weeks and months begin, and of scans that name none.",
        "Europe/Berlin",
        parse=parsing.timezone,
        default=POLICY.timezone.key,
    )
    title = Text(
        f"Title of a ticket. Placeholders: {', '.join(f'`{{{name}}}`' for name in templates.TITLE_PLACEHOLDERS)}. "
        "`{iteration.name}` is the number of the iteration, or its label once the range has already had an iteration "
        "with that number.",
        "{range.title}: {category.title}, round {iteration.label}",
        parse=templates.check_title,
        pattern=templates.TITLE,
        default=POLICY.title,
    )
    top_hosts = Number(
        "How many of the most vulnerable hosts a ticket names.", 5, between=(5, 10), default=POLICY.top_hosts
    )
    ticket = Section(TicketSchema, "How tickets are made. A range may override each key.")
    on_close = Choice(
        "When a ticket is closed while findings are open: `verify` waits for newer scans, `strict` reopens at once, "
        "`trust` leaves it closed.",
        "strict",
        of=get_args(OnClose),
        default=POLICY.on_close,
    )
    auto_close = Switch(
        "Close a ticket when none of its findings is open any more. `verified` (or `true`) closes tickets whose "
        "findings were all fixed or moved to other tickets. `settled` also closes those with accepted findings, or "
        "with findings that are gone with their hosts.",
        "verified",
        of=[each for each in get_args(AutoClose) if each],
        default=POLICY.auto_close,
    )
    reopen_limit = Number(
        "After so many refuted closings, a ticket stays closed and is escalated.",
        5,
        between=(0, 100),
        default=POLICY.reopen_limit,
    )
    escalation = Section(EscalationSchema, "What happens to a ticket at `reopen_limit`, beside a comment.")
    accept = Section(AcceptSchema, "Which closings are risk acceptances.")
    rescan = Section(RescanSchema, "How hosts of closed tickets are scanned again to verify them.")
    forget_after = Text(
        "The findings of a host that no scanner has seen for so long end as gone.",
        "90d",
        parse=parsing.duration,
        pattern=parsing.DURATION,
        default="never",
    )
    clock_tolerance = Text(
        "A scan that ends later than so much from now was made by a wrong clock. It is held and counts for nothing "
        "until it is released.",
        "4h",
        parse=parsing.duration,
        pattern=parsing.DURATION,
        default="1h",
    )
    limits = Section(
        LimitsSchema,
        "Brakes against a mistake in rules or scans. A change of rules always waits if a category or range that stays "
        "would take none any more of its ten or more open findings.",
    )
    breaker = Number(
        "A scan that loses more than this share of the hosts or findings that a range had is held for a person: "
        "nothing of that range is called fixed or closed because of it until it is released, or the next scan has "
        "them again. 1 switches this off.",
        0.3,
        between=(0, 1),
        default=POLICY.breaker,
    )
    calls_per_second = Number(
        "Calls to the tracker, by one process.", 2.5, between=(0.1, 100), default=POLICY.calls_per_second
    )
    enrichment = Section(
        EnrichmentSchema, "What is known of exploitation outside of the scanners. Off by default; see enrichment.md."
    )
    schedule = Section(
        ScheduleSchema,
        "When the jobs are due: cron expressions as for `fetch` of scanners.yaml, or `never`.",
    )
    reminders = Section(RemindersSchema, "Comments about the due date in tickets that are open.")
    adoption = Section(
        AdoptionSchema, "Which part of a backlog gets tickets when `vmjira adopt` takes it in: docs/adoption.md."
    )
    retention = Section(RetentionSchema, "What is forgotten. Scans never are: the ledger is rebuilt from them.")


SCOPES = ("category", "range", "host", "network", "vulnerability")


class AcceptanceSchema(Keys):
    reason = Text("Why the risk is acceptable.", "Isolated network, replaced in May", required=True)
    approver = Text("Who decided.", "jane.doe", required=True)
    until = Day("Last day on which it holds.", "2027-06-30", required=True)
    category = Text("Id of a category.", "web-servers")
    range = Text("Id of a range.", "boston")
    host = Text("Host name, address, or key of a host.", "plc7.example.com")
    network = Text("A network, as in ranges.yaml.", "10.1.9.0/24", parse=networks.parse)
    vulnerability = Text("A vulnerability id of a scanner, or a CVE.", "CVE-2021-44228", numbers=True)

    TOGETHER: ClassVar[Shape] = {"anyOf": [{"required": [scope]} for scope in SCOPES]}

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def some_scope(self, data: Any, original: Any, **_: Any) -> None:
        if isinstance(original, dict) and not any(original.get(scope) for scope in SCOPES):
            raise ValidationError(f"accepts everything; say what is accepted: at least one of {', '.join(SCOPES)}")


class AcceptancesFile(Keys):
    """Risks that somebody has accepted: no ticket for them until that day. The file may be missing."""

    acceptances = ListOf(Section(AcceptanceSchema), "The acceptances. Every scope that is given must match.")


#: In the order in which people write them.
FILES: dict[str, type[Keys]] = {
    "categories.yaml": CategoriesFile,
    "ranges.yaml": RangesFile,
    "policy.yaml": PolicyFile,
    "acceptances.yaml": AcceptancesFile,
    "scanners.yaml": ScannersFile,
}
MANDATORY = ("categories.yaml", "ranges.yaml")
