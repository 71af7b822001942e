"""The rules of the ledger once more, slow and obvious: plain loops over plain objects, to compare with the frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import ip_address
from typing import Any

from vmjira.domain.frames import SEVERITIES, Scan
from vmjira.domain.rulebook import Network, Rulebook

Predicate = Callable[[dict[str, Any]], bool]


def inside(address: Any, network: Network) -> bool:
    if address is None or address.version != network.first.version:
        return False
    return bool(network.first <= address <= network.last)


@dataclass
class Life:
    host: str
    scanner: str
    vulnerability_id: str
    category: str | None
    range: str | None
    severity: str
    ports: list[str]
    first_seen: datetime
    first_iteration: int
    last_seen: datetime
    last_iteration: int
    last_authenticated: bool | None
    last_scan: str | None
    opened_as: str
    ended_at: datetime | None = None
    ended_iteration: int | None = None
    ended_as: str | None = None
    ended_scan: str | None = None
    accepted_until: datetime | None = None
    reappeared: int = 0
    previous_ticket: str | None = None
    superseded: bool = False

    @property
    def finding(self) -> tuple[str, str, str]:
        return self.host, self.scanner, self.vulnerability_id

    @property
    def open(self) -> bool:
        return self.ended_as is None

    def row(self) -> tuple[Any, ...]:
        return tuple(tuple(v) if isinstance(v, list) else v for v in (getattr(self, f.name) for f in fields(self)))


@dataclass
class Round:
    ordinal: int
    label: str
    number: int
    start: date | None  # None: a running number
    begun: bool = True


@dataclass
class Rules:
    """A rule book, and what its conditions mean in Python, by category."""

    book: Rulebook
    predicates: dict[str, Predicate]

    def category(self, facts: dict[str, Any]) -> str | None:
        for category in self.book.categories:
            if self.predicates[category.id](facts):
                return category.id
        return None

    def range(self, ip: str | None) -> str | None:
        best = None
        for order, range_ in enumerate(self.book.ranges):
            for network in range_.networks:
                address = ip_address(ip) if ip else None
                if inside(address, network):
                    best = min(best or (network.size, order, range_.id), (network.size, order, range_.id))
        return best[2] if best else None

    def end_of(self, acceptance: Any) -> datetime:
        last = acceptance.until + timedelta(days=1)
        return datetime.combine(last, time(), self.book.policy.timezone).astimezone(UTC)


@dataclass
class Model:
    lives: list[Life] = field(default_factory=list)
    known: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    catalogue: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    rounds: dict[str, list[Round]] = field(default_factory=lambda: defaultdict(list))
    scans: dict[str, tuple[datetime, bool]] = field(default_factory=dict)  # end, and whether it joined
    places: dict[tuple[str, str], int] = field(default_factory=dict)  # by scan and range: its iteration there

    # --- looking things up

    def last_life(self, finding: tuple[str, str, str]) -> Life | None:
        found = [life for life in self.lives if life.finding == finding]
        return found[-1] if found else None

    def newest(self, host: str) -> dict[str, Any]:
        seen = [(known["scanned_at"], scanner, known) for (one, scanner), known in self.known.items() if one == host]
        seen.sort(key=lambda entry: entry[:2])
        facts = dict(seen[-1][2])
        for name in ("hostname", "netbios", "os"):
            facts[name] = next((known[name] for _, _, known in reversed(seen) if known[name] is not None), None)
        return facts

    def running(self, range_: str | None) -> int:
        return max(one.ordinal for one in self.rounds[range_ or ""] if one.begun)

    def ticket(self, life: Life) -> str | None:
        if life.category is None or life.range is None:
            return None
        if life.first_iteration == 0:
            return None  # backlog without ticket
        label = next(one.label for one in self.rounds[life.range] if one.ordinal == life.first_iteration)
        return f"{life.category}.{life.range}.{label}"

    def accepted_until(self, rules: Rules, life: Life) -> datetime | None:
        host, ends = self.newest(life.host), list[datetime]()
        cves = self.catalogue.get((life.scanner, life.vulnerability_id), {}).get("cves") or []
        for one in rules.book.acceptances:
            names = [name.lower() for name in (life.host, host["ip"], host["hostname"]) if name]
            address = ip_address(host["ip"]) if host["ip"] else None
            scopes = [
                one.category in (None, life.category),
                one.range in (None, life.range),
                one.host is None or one.host.lower() in names,
                one.vulnerability is None or one.vulnerability in (life.vulnerability_id, *cves),
                one.network is None or inside(address, one.network),
            ]
            if all(scopes):
                ends.append(rules.end_of(one))
        return max(ends, default=None)

    def category(self, rules: Rules, life: Life) -> str | None:
        texts = self.catalogue.get((life.scanner, life.vulnerability_id), {})
        host = self.known.get((life.host, life.scanner), {})
        return rules.category({**host, **texts, "severity": life.severity, "ports": life.ports})

    # --- iterations

    def round_of(self, rules: Rules, range_: str | None, end: datetime, *, join: bool) -> int:
        past = self.rounds[range_ or ""]
        now = max((one for one in past if one.begun), key=lambda one: one.ordinal, default=None)
        if join and now:
            return now.ordinal
        after = now.ordinal + 1 if now else 1
        day = end.astimezone(rules.book.policy.timezone).date()
        if self.cadence(rules, range_) == "scan":
            number = 1 + max([one.number for one in past if one.start is None], default=0)
            return self.begin(range_, Round(after, str(number), number, None))
        start, label, number = self.period(rules, range_, end)
        late = now is not None and now.start is not None and day < now.start
        for one in past:
            if one.label == label:
                chosen = now if now and not late and one.ordinal < now.ordinal else one
                chosen.begun = True
                return chosen.ordinal
        if not late:
            return self.begin(range_, Round(max(start.toordinal(), after), label, number, start))
        return self.begin(range_, Round(start.toordinal(), label, number, start), step=-1)

    def cadence(self, rules: Rules, range_: str | None) -> str:
        rule = rules.book.range(range_) if range_ else None
        return rule.iteration if rule else "week"

    def period(self, rules: Rules, range_: str | None, end: datetime) -> tuple[date, str, int]:
        """First day, label and number of the day, week or month."""
        day = end.astimezone(rules.book.policy.timezone).date()
        cadence = self.cadence(rules, range_)
        if cadence == "day":
            return day, f"{day:%Y-%m-%d}", int(f"{day:%j}")
        if cadence == "week":
            return day - timedelta(days=day.weekday()), f"{day:%G-W%V}", int(f"{day:%V}")
        return date(day.year, day.month, 1), f"{day:%Y-%m}", day.month

    def begin(self, range_: str | None, one: Round, *, step: int = 1) -> int:
        past = self.rounds[range_ or ""]
        while any(other.ordinal == one.ordinal for other in past):
            one.ordinal += step
        past.append(one)
        return one.ordinal

    # --- a scan

    def observe(
        self, rules: Rules, scan: Scan
    ) -> list[tuple[str, dict[str, Any], dict[str, dict[str, Any]], set[str]]]:
        """Host key, facts, findings by vulnerability, checks not made, of each host; the same host twice is one."""
        findings = scan.findings.collect().to_dicts()
        unmade = scan.unmade.to_dicts()
        merged: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]], set[str]]] = {}
        for row in sorted(scan.hosts.to_dicts(), key=lambda one: one["scanned_at"]):
            row["range"] = rules.range(row["ip"])
            rule = rules.book.range(row["range"]) if row["range"] else None
            kinds = rule.identity if rule else ("ip", "hostname", "netbios", "mac", "agent_uuid")
            key = next((f"{kind}:{row[kind].lower()}" for kind in kinds if row[kind]), None)
            if key is None:
                continue
            own = {one["vulnerability_id"]: dict(one) for one in findings if one["host"] == row["host"]}
            not_made = {one["vulnerability_id"] for one in unmade if one["host"] == row["host"]}
            if key in merged:
                facts, others, earlier_unmade = merged[key]
                for name in ("authenticated", "complete"):
                    said = [value for value in (facts[name], row[name]) if value is not None]
                    row[name] = any(said) if said else None
                for name in ("hostname", "netbios", "os"):
                    row[name] = row[name] if row[name] is not None else facts[name]
                for vulnerability, other in others.items():
                    mine = own.setdefault(vulnerability, other)
                    mine["ports"] = sorted({*mine["ports"], *other["ports"]})
                    mine["severity"] = max(mine["severity"], other["severity"], key=SEVERITIES.index)
                not_made |= earlier_unmade
            merged[key] = row, own, not_made
        return [(key, *rest) for key, rest in merged.items()]

    def fold(self, rules: Rules, scan: Scan) -> None:
        observed = []
        for host, facts, findings, unmade in self.observe(rules, scan):
            before = self.known.get((host, scan.scanner))
            if before is None or facts["scanned_at"] > before["scanned_at"]:
                self.known[host, scan.scanner] = {**facts, "scan": scan.id}
                observed.append((host, facts, findings, unmade))
        for text in scan.vulnerabilities.to_dicts():
            known = self.catalogue.get((text["scanner"], text["vulnerability_id"]))
            if known is None or known["as_of"] < scan.finished_at:
                self.catalogue[text["scanner"], text["vulnerability_id"]] = {**text, "as_of": scan.finished_at}
        ranges = {self.newest(host)["range"] for host, *_ in observed}
        rounds = {one: self.round_of(rules, one, scan.finished_at, join=scan.rescan) for one in ranges}
        if rounds:
            self.scans[scan.id] = scan.finished_at, scan.rescan
        self.places |= {(scan.id, one or ""): ordinal for one, ordinal in rounds.items()}
        for host, facts, findings, unmade in observed:
            range_ = self.newest(host)["range"]
            known = {life.finding: life for life in self.lives if life.host == host}
            for finding in list(known):
                if finding[1] != scan.scanner and known[finding].open and known[finding].range != range_:
                    life = known[finding]
                    self.move(rules, life, life.category, range_, facts["scanned_at"], rounds, scan=scan.id)
            ids = {finding[2] for finding in known if finding[1] == scan.scanner}
            for vulnerability in sorted(ids | findings.keys()):
                self.fold_finding(
                    rules, scan, (host, range_, vulnerability),
                    facts=facts, findings=findings, unmade=unmade, rounds=rounds,
                )  # fmt: skip
        self.forget(rules, scan.finished_at)

    def adopt(self, rules: Rules, scan: Scan, ranges: set[str], *, silent: bool) -> None:
        """`ranges`: those that the scan may touch."""
        for one in ranges:
            if not self.rounds[one]:
                self.begin(one, Round(1, "0", 0, None))
        self.fold(rules, scan)
        for life in self.lives:
            if silent and life.first_iteration == 1 and (life.range or "") in ranges:
                life.first_iteration = 0

    def fold_finding(self, rules, scan, place, *, facts, findings, unmade, rounds) -> None:  # type: ignore[no-untyped-def]
        host, range_, vulnerability = place
        at, authenticated = facts["scanned_at"], facts["authenticated"]
        seen = findings.get(vulnerability)
        life = self.last_life((host, scan.scanner, vulnerability))
        if life and life.open and not seen and self.is_fixed(scan, life, facts, unmade):
            self.end(life, "fixed", at, rounds, scan.id)
            return
        if not seen and not (life and life.open):
            return
        now = Life(
            host, scan.scanner, vulnerability, None, range_,
            seen["severity"] if seen else life.severity, seen["ports"] if seen else life.ports,
            at, rounds[range_], at, rounds[range_], authenticated, scan.id, "found",
        )  # fmt: skip
        now.category = self.category(rules, now)
        rowless = now.category is None and now.severity == "info"
        until = self.accepted_until(rules, now)
        accepted = until is not None and until > at
        if life and life.open:
            if rowless or (now.category, now.range) != (life.category, life.range):
                self.move(
                    rules, life, now.category, range_, at, rounds,
                    seen=now if seen else None, rowless=rowless, scan=scan.id,
                )  # fmt: skip
                return
            if seen:
                life.severity, life.ports, life.last_authenticated = now.severity, now.ports, authenticated
                life.last_seen, life.last_iteration = at, max(life.last_iteration, rounds[range_])
                life.last_scan = scan.id
            if accepted:
                self.end(life, "accepted", at, rounds, scan.id)
                life.accepted_until = until
            return
        if rowless or accepted or (life and life.ended_as == "accepted" and life.accepted_until > at):
            return
        if life:
            life.superseded = True
            now.previous_ticket = self.ticket(life)
            now.reappeared = life.reappeared + (life.ended_as == "fixed")
            if life.ended_as in ("moved", "accepted"):
                now.first_seen = life.first_seen
            if life.ended_as == "moved" and life.first_iteration == 0:
                now.first_iteration = 0
            now.opened_as = {
                "fixed": "reappeared", "gone": "found", "moved": "moved", "accepted": "acceptance ended"
            }[life.ended_as]  # fmt: skip
        self.lives.append(now)

    def is_fixed(self, scan: Scan, life: Life, facts: dict[str, Any], unmade: set[str]) -> bool:
        if scan.unreadable or facts["complete"] is False or facts["scanned_at"] <= life.last_seen:
            return False
        had_them = facts["authenticated"] is True
        was_without = life.last_authenticated is False
        silent = facts["authenticated"] is None and life.last_authenticated is None
        if not (had_them or was_without or silent):
            return False
        check = life.vulnerability_id
        if scan.checks and check not in scan.checks and check.split("/")[0] not in scan.checks:
            return False
        return check not in unmade

    def end(
        self, life: Life, ending: str, at: datetime, rounds: dict[str | None, int], scan: str | None = None
    ) -> None:
        life.ended_as, life.ended_at, life.ended_scan = ending, at, scan
        life.ended_iteration = rounds.get(life.range, self.running(life.range))

    def move(
        self, rules, life, category, range_, at, rounds, *, seen=None, rowless=False, scan=None, evidence=None
    ) -> None:  # type: ignore[no-untyped-def]
        """`scan`: the one that moves it, if any; else `evidence`: the iteration there of the scan that saw it last."""
        self.end(life, "moved", at, rounds, scan)
        if rowless:
            return
        new = copy(life)
        life.superseded = True
        new.category, new.range, new.opened_as = category, range_, "moved"
        new.first_iteration = 0 if life.first_iteration == 0 else rounds[range_]
        new.last_iteration = rounds[range_] - 1 if evidence is None else evidence
        new.ended_as = new.ended_at = new.ended_iteration = new.ended_scan = None
        new.previous_ticket = self.ticket(life)
        if scan is None and new.last_iteration < rounds[range_]:
            new.opened_as = "moved unverified"
        if seen:
            new.severity, new.ports, new.last_authenticated = seen.severity, seen.ports, seen.last_authenticated
            new.last_seen, new.last_iteration, new.last_scan = at, rounds[range_], scan
        self.lives.append(new)
        until = self.accepted_until(rules, new)
        if until is not None and until > at:
            self.end(new, "accepted", at, rounds, scan)
            new.accepted_until = until

    def forget(self, rules: Rules, end: datetime) -> None:
        after = rules.book.policy.forget_after
        for life in self.lives:
            if after and life.open and self.newest(life.host)["scanned_at"] + after <= end:
                self.end(life, "gone", end, {})

    # --- rules and acceptances

    def apply_rules(self, rules: Rules, at: datetime, *, before: Rules) -> None:
        before = self.rename(rules, before)
        hosts = {host for host, _ in self.known}
        was = {host: self.newest(host)["range"] for host in hosts}
        for known in self.known.values():
            known["range"] = rules.range(known["ip"])
        now = {host: self.newest(host)["range"] for host in hosts}
        for life in self.lives:
            if life.ended_as == "accepted" and not life.superseded and life.accepted_until > at:
                until = max(self.accepted_until(rules, life) or at, at)
                if life.accepted_until == self.accepted_until(before, life) and until < life.accepted_until:
                    life.accepted_until = until
        changed = {range_ for host in hosts if was[host] != now[host] for range_ in (was[host], now[host])}
        goes = {id(life): (self.category(rules, life), now[life.host]) for life in self.lives if life.open}
        rowless = {id(life): goes[id(life)][0] is None and life.severity == "info" for life in self.lives if life.open}
        evidence = self.look_back(rules, changed, now, goes, rowless)
        for life in [one for one in self.lives if one.open]:
            category, range_ = goes[id(life)]
            if rowless[id(life)] or (category, range_) != (life.category, life.range):
                rounds = {life.range: self.running(life.range)}
                rounds |= {} if rowless[id(life)] else {range_: self.running(range_)}
                self.move(
                    rules, life, category, range_, at, rounds,
                    rowless=rowless[id(life)], evidence=evidence.get(id(life), life.last_iteration),
                )  # fmt: skip
                continue
            until = self.accepted_until(rules, life)
            if until is not None and until > at:
                self.end(life, "accepted", at, {})
                life.accepted_until = until

    def look_back(self, rules, changed, now, goes, rowless) -> dict[int, int]:  # type: ignore[no-untyped-def]
        """The iteration in its new range of what is known of each life that goes to another; which iterations run."""
        leaving = [one for one in self.lives if one.open and one.range != goes[id(one)][1] and not rowless[id(one)]]
        wanted = {(one.last_scan, goes[id(one)][1]) for one in leaving}
        wanted |= {(facts["scan"], now[host]) for (host, _), facts in self.known.items() if now[host] in changed}
        for scan, range_ in sorted(wanted, key=lambda one: (self.scans[one[0]][0], one[0], one[1] or "")):
            if (scan, range_ or "") not in self.places:
                self.places[scan, range_ or ""] = self.place(rules, scan, range_)
        found = {id(one): self.places[one.last_scan, goes[id(one)][1] or ""] for one in leaving}
        for range_ in changed:
            seen = [self.places[one] for one in ((scan, to or "") for scan, to in wanted if to == range_)]
            seen += [
                one.last_iteration for one in self.lives
                if one.open and one.range == range_ and not rowless[id(one)] and (one.category, range_) == goes[id(one)]
            ]  # fmt: skip
            for one in self.rounds[range_ or ""]:
                one.begun = one.ordinal <= max(seen) if seen else one.begun
        return found

    def place(self, rules: Rules, scan: str, range_: str | None) -> int:
        """The iteration of a range to which a scan belongs that did not look at it when it ended."""
        end, joins = self.scans[scan]
        past = [(self.scans[one][0], ordinal) for (one, name), ordinal in self.places.items() if name == (range_ or "")]
        by_then = [ordinal for ended_at, ordinal in past if ended_at <= end]
        if len(by_then) == len(past) and not (joins and by_then):
            return self.round_of(rules, range_, end, join=not past)
        if not joins and self.cadence(rules, range_) != "scan":
            label = self.period(rules, range_, end)[1]
            same = [one.ordinal for one in self.rounds[range_ or ""] if one.label == label]
            if same:
                return min(*same, self.running(range_))
        return max(by_then, default=min(one.ordinal for one in self.rounds[range_ or ""]) - 1)

    def rename(self, rules: Rules, before: Rules) -> Rules:
        """What an alias names goes on under its new id; the rules of before in the new words."""
        known = {life.category for life in self.lives} | {None}
        categories = self.renames(rules.book.categories, known)
        ranges = self.renames(rules.book.ranges, {name for name, rounds in self.rounds.items() if rounds} - {""})
        for life in self.lives:
            life.category, life.range = categories.get(life.category, life.category), ranges.get(life.range, life.range)
            if life.previous_ticket:
                category, range_, label = life.previous_ticket.split(".")
                names = categories.get(category, category), ranges.get(range_, range_), label
                life.previous_ticket = ".".join(names)
        for facts in self.known.values():
            facts["range"] = ranges.get(facts["range"], facts["range"])
        for old, new in ranges.items():
            self.rounds[new] = self.rounds.pop(old, [])
        self.places = {(scan, ranges.get(name, name)): ordinal for (scan, name), ordinal in self.places.items()}
        acceptances = tuple(
            replace(one, category=categories.get(one.category, one.category), range=ranges.get(one.range, one.range))
            for one in before.book.acceptances
        )
        return replace(before, book=replace(before.book, acceptances=acceptances))

    @staticmethod
    def renames(rules, known) -> dict[str, str]:  # type: ignore[no-untyped-def]
        found: dict[str, str] = {}
        for rule in rules:
            for alias in rule.aliases:
                if alias in known and alias not in found and rule.id not in known:
                    found[alias] = rule.id
                    break
        return found

    # --- numbers

    def host_numbers(self, range_: str, k: int) -> dict[str, tuple[int, ...]]:
        numbers = {}
        for category in {life.category for life in self.lives if life.range == range_ and life.category}:
            cell = [life for life in self.lives if (life.category, life.range) == (category, range_)]
            vulnerable = {one.host for one in cell if one.open and one.last_iteration == k}
            last = {
                one.host
                for one in cell
                if (one.first_iteration < k or one.opened_as == "moved unverified")
                and (one.open or (one.ended_as == "fixed" and one.ended_iteration >= k))
            }
            with_open = {one.host for one in cell if one.open}
            new, remaining, safe = vulnerable - last, vulnerable & last, last - with_open
            unverified = (last & with_open) - vulnerable
            if vulnerable or last:
                numbers[category] = tuple(map(len, (vulnerable, last, new, remaining, safe, unverified)))
        return numbers

    def own_numbers(self) -> dict[tuple[str, str, int], tuple[int, ...]]:
        tickets: dict[tuple[str, str, int], dict[tuple[str, str, str], Life]] = defaultdict(dict)
        for life in self.lives:  # in the order of their opening: the latest stays
            if life.category and life.range:
                tickets[life.category, life.range, life.first_iteration][life.finding] = life
        numbers = {}
        for ticket, own in tickets.items():
            ends = [life.ended_as for life in own.values()]
            open_ = [life for life in own.values() if life.open]
            unverified = [life for life in open_ if life.last_iteration < self.running(life.range)]
            numbers[ticket] = (
                len(own), ends.count("fixed"), len(open_), len(unverified),
                ends.count("moved"), ends.count("gone"), ends.count("accepted"),
                len({life.host for life in own.values()}), len({life.host for life in open_}),
            )  # fmt: skip
        return numbers
