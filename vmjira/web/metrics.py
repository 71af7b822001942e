"""Metrics for Prometheus: what the database counts, and how the tracker answers the process that asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from wsgiref.simple_server import WSGIServer

import structlog
from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from vmjira.errors import VmjiraError
from vmjira.flows.ports import Store
from vmjira.flows.rows import Mark, Tally
from vmjira.flows.unplaced import families, known
from vmjira.web.health import RECONCILED, SCHEDULE, STALE

log = structlog.get_logger(__name__)

Clock = Callable[[], datetime]
#: Seconds. Jira answers in tenths; a wait for its limits may last long.
BUCKETS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


def metrics(store: Callable[[], Store], clock: Clock) -> Blueprint:
    views = Blueprint("metrics", __name__)
    registry = CollectorRegistry()
    registry.register(Numbers(store, clock))

    @views.get("/metrics")
    def show() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return views


LABELS = ["scanner", "state"]


class Numbers(Collector):
    """Counted anew at each scrape, so that they survive processes and are the same in all of them."""

    def __init__(self, store: Callable[[], Store], clock: Clock) -> None:
        self._store, self._clock = store, clock

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = self._clock()
        try:
            with self._store().reading() as unit:
                tally, since = unit.tally(), unit.waiting_since()
                scanned, reconciled = unit.last_scan(), unit.mark(RECONCILED)
                schedule = unit.mark(SCHEDULE)
                workers = len(unit.live_slots(now, stale_after=STALE))
            nowhere, by_family = known(self._store())["unowned"], families(self._store())
        except VmjiraError as error:
            log.error("no metrics", why=str(error))
            yield _one("vmjira_database_up", "Whether the database can be read.", 0)
            return
        yield _one("vmjira_database_up", "Whether the database can be read.", 1)
        yield _one("vmjira_workers", "Workers that are alive.", workers)
        yield from _counts(tally)
        yield from _unplaced(nowhere, by_family)
        yield from _rescans(tally, now)
        yield from _queues(tally.queues, since, now)
        yield _moment("vmjira_last_scan_timestamp_seconds", "Latest end of a scan.", scanned)
        at = reconciled.at if reconciled else None
        yield _moment("vmjira_last_reconciliation_timestamp_seconds", "Last reconciliation with the tracker.", at)
        yield from _scanners(schedule)


def _counts(tally: Tally) -> Iterator[GaugeMetricFamily]:
    yield _many("vmjira_webhook_events", "Webhooks received, by what became of them.", ["state"], tally.deliveries)
    yield _many("vmjira_operations", "Changes planned, by kind and state.", ["operation", "state"], tally.operations)
    yield _many("vmjira_tickets", "Tickets, by status category in the tracker.", ["category"], tally.tickets)
    about = "Tickets: with open findings, settled (none is open, not all were fixed), verified (all fixed), or deleted."
    yield _many("vmjira_ticket_endings", about, ["ending"], tally.endings)
    yield _many("vmjira_firings", "What the clock has done lately, by job and state.", ["job", "state"], tally.firings)
    about = "Own findings of all tickets, now. Those that are unverified are among the open ones."
    yield _many("vmjira_findings", about, ["range", "state"], tally.findings)
    about = "Hosts in the newest iteration, added up over categories."
    yield _many("vmjira_hosts", about, ["range", "state"], tally.hosts)


def _unplaced(nowhere: Mapping[str, Any], by_family: Mapping[tuple[str, str], int]) -> Iterator[GaugeMetricFamily]:
    yield _one("vmjira_hosts_without_range", "Hosts that are in no range of the rules.", nowhere["hosts"])
    about = "Open findings on hosts that are in no range."
    yield _many("vmjira_findings_without_range", about, ["severity"], nowhere["severities"])
    about = "Open findings in no category, informational ones apart."
    yield _many("vmjira_findings_without_category", about, ["family", "severity"], by_family)


def _rescans(tally: Tally, now: datetime) -> Iterator[GaugeMetricFamily]:
    yield _many("vmjira_rescans", "Rescans of closed tickets, by what became of them.", LABELS, tally.rescans)
    about = "Hosts of closed tickets that were asked for again, by what became of that."
    yield _many("vmjira_rescan_hosts", about, LABELS, tally.rescan_hosts)
    ages = {scanner: max((now - since).total_seconds(), 0.0) for scanner, since in tally.rescans_wait.items()}
    about = "How long the oldest of those that wait for a rescan has waited."
    yield _many("vmjira_rescan_waiting_seconds", about, ["scanner"], ages)


def _scanners(mark: Mark | None) -> Iterator[GaugeMetricFamily]:
    known = mark.details["scanners"] if mark else {}
    silent = {name: float(each["silent"]) for name, each in known.items()}
    yield _many("vmjira_scanner_silent", "1: nothing came for twice the usual time.", ["scanner"], silent)
    since = {
        name: datetime.fromisoformat(each["since"]).timestamp() for name, each in known.items() if each["delivered"]
    }
    about = "When the last scan was taken from a scanner."
    yield _many("vmjira_scanner_last_scan_timestamp_seconds", about, ["scanner"], since)


def _queues(
    counts: Mapping[str, int], since: Mapping[str, datetime | None], now: datetime
) -> Iterator[GaugeMetricFamily]:
    ages = {name: max((now - oldest).total_seconds(), 0.0) if oldest else 0.0 for name, oldest in since.items()}
    yield _many(
        "vmjira_queue_length",
        "Webhooks (react), changes (deliver) and jobs of the clock (job) that wait.",
        ["queue"],
        counts,
    )
    yield _many("vmjira_queue_age_seconds", "How long the oldest of them has waited.", ["queue"], ages)


def _many(
    name: str, about: str, labels: list[str], values: Mapping[str, float] | Mapping[tuple[str, str], float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=labels)
    for key, value in values.items():
        family.add_metric([key] if isinstance(key, str) else [*key], value)
    return family


def _one(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value=value)


def _moment(name: str, about: str, at: datetime | None) -> GaugeMetricFamily:
    """Without a sample while it never happened."""
    return GaugeMetricFamily(name, about, value=at.timestamp() if at else None)


class TrackerCalls:
    """How the tracker answers this process: called once for each call that was made."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._took = Histogram(
            "vmjira_tracker_seconds",
            "How long the tracker took to answer, by call and HTTP status (or lost).",
            ["call", "outcome"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._waited = Histogram(
            "vmjira_tracker_wait_seconds",
            "How long calls waited for our own rate limit and the tracker's.",
            buckets=BUCKETS,
            registry=self.registry,
        )

    def __call__(self, call: str, outcome: str, *, waited: float, took: float) -> None:
        self._took.labels(call, outcome).observe(took)
        self._waited.observe(waited)

    def serve(self, listen: str) -> WSGIServer:
        """Answer on `host:port` in the background, as long as the process lives."""
        host, _, port = listen.rpartition(":")
        try:
            server, _thread = start_http_server(int(port), addr=host.strip("[]") or "127.0.0.1", registry=self.registry)
        except OSError as error:
            raise VmjiraError(f"VMJIRA_METRICS: cannot listen on '{listen}': {error}") from error
        return server
