"""Whatever database it is: what a unit keeps, and what it refuses."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from vmjira.domain.ticket import CellNumbers, HostNumbers, Moved, OwnNumbers, TicketRow, TopHost
from vmjira.flows.ports import Conflict
from vmjira.flows.rows import AttachmentRow, EventRow, Mark, OperationRow, RulesRow, ScanRow
from vmjira.store import SqlStore

NOON = datetime(2026, 6, 5, 12, 0, 0, 123456, UTC)
RULES = RulesRow("rules-1", {"ranges.yaml": "ranges: []\n", "a.yaml": ""}, NOON)


def scan_row(digest: str = "d1", **changes: object) -> ScanRow:
    values = {
        "id": 0,
        "digest": digest,
        "scanner": "nessus",
        "format": "nessus",
        "name": "Wöchentlich.nessus",
        "path": f"scans/{digest}",
        "started_at": None,
        "finished_at": NOON,
        "hosts": 3,
        "findings": 5_000_000_000,
        "records": 6,
        "records_by_severity": {"high": 6},
        "warnings": ("a", "b"),
        "unreadable": 0,
        "rescan": False,
        "folded_at": NOON,
    }
    return ScanRow(**(values | changes))


def ticket_row(number: int = 1, **changes: object) -> TicketRow:
    label = f"2026-W{number:02}"
    values = {
        "identifier": f"ms.boston.{label}",
        "category": "ms",
        "range": "boston",
        "ordinal": number,
        "label": label,
        "number": number,
        "title": "Windows – Boston",
        "ledger": 1,
    }
    return TicketRow(**(values | changes))


def operation_row(number: int, **changes: object) -> OperationRow:
    values = {
        "id": f"op-{number}",
        "operation": "create",
        "identifier": f"t{number}",
        "reason": "new",
        "planned_at": NOON,
    }
    return OperationRow(**(values | changes))


def with_rules(store: SqlStore) -> None:
    with store.begin() as unit:
        unit.put_rules(RULES)


def move(store: SqlStore, version: int, parts: dict[str, str]) -> None:
    with store.begin() as unit:
        unit.move_ledger(EventRow(version, "rules", None, "rules-1"), parts)


def test_a_unit_that_fails_leaves_nothing(store: SqlStore) -> None:
    with pytest.raises(ZeroDivisionError), store.begin() as unit:
        unit.put_tickets([ticket_row()])
        unit.put_rules(RULES)
        raise ZeroDivisionError
    with store.reading() as unit:
        assert unit.tickets() == []
        assert unit.rules_in_force() is None


def test_rules_that_come_again_are_in_force_again(store: SqlStore) -> None:
    other = RulesRow("rules-2", {}, NOON + timedelta(days=1))
    again = RulesRow("rules-1", RULES.files, NOON + timedelta(days=2))
    with store.begin() as unit:
        for row in (RULES, other):
            unit.put_rules(row)
            assert unit.rules_in_force() == row
        unit.put_rules(again)
        assert unit.rules_in_force() == again
        assert unit.rules("rules-2") == other
        assert unit.rules("rules-3") is None


def test_rule_files_keep_their_order(store: SqlStore) -> None:
    with_rules(store)
    with store.reading() as unit:
        row = unit.rules("rules-1")
    assert row is not None
    assert list(row.files) == ["ranges.yaml", "a.yaml"]


def test_a_scan_comes_back_as_it_went_in(store: SqlStore) -> None:
    with store.begin() as unit:
        first, second = (unit.add_scan(scan_row(digest, id=77)) for digest in ("d1", "d2"))
        assert first < second
        assert unit.scan_by_digest("d2") == scan_row("d2", id=second)
        assert unit.scan_by_digest("d3") is None
        assert [row.id for row in unit.scans()] == [first, second]


def test_times_come_back_in_utc_whatever_zone_they_had(store: SqlStore) -> None:
    there = NOON.astimezone(timezone(timedelta(hours=-4)))
    with store.begin() as unit:
        unit.add_scan(scan_row(finished_at=there))
        row = unit.scan_by_digest("d1")
    assert row is not None
    assert (row.finished_at, row.finished_at.tzinfo) == (NOON, UTC)


def test_a_time_without_a_zone_is_refused(store: SqlStore) -> None:
    with pytest.raises(Exception, match="without a zone"), store.begin() as unit:
        unit.add_scan(scan_row(finished_at=datetime(2026, 6, 5)))


def test_text_that_no_database_takes_is_mended(store: SqlStore) -> None:
    with store.begin() as unit:
        unit.add_operations([operation_row(1, answer="a\0b\udc80c\N{PILE OF POO}", details={"x": "\0\udc80"})])
    with store.reading() as unit:
        row = unit.operation("op-1")
    assert row is not None
    assert row.answer == "a\ufffdb\ufffdc\N{PILE OF POO}"
    assert row.details == {"x": "\0\udc80"}


def test_parts_are_those_of_the_wanted_version(store: SqlStore) -> None:
    with_rules(store)
    move(store, 1, {"boston": "ledger/boston/1", "paris": "ledger/paris/1"})
    move(store, 2, {"boston": "ledger/boston/2"})
    move(store, 3, {"rome": "ledger/rome/3"})
    with store.reading() as unit:
        assert unit.ledger_version() == 3
        assert unit.ledger_parts(0) == {}
        assert unit.ledger_parts(1) == {"boston": "ledger/boston/1", "paris": "ledger/paris/1"}
        assert unit.ledger_parts(2) == {"boston": "ledger/boston/2", "paris": "ledger/paris/1"}
        assert unit.ledger_parts() == unit.ledger_parts(2) | {"rome": "ledger/rome/3"}
        assert [event.version for event in unit.events()] == [1, 2, 3]


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_version_that_does_not_follow_is_a_conflict(store: SqlStore, version: int) -> None:
    with_rules(store)
    move(store, 1, {"boston": "ledger/boston/1"})
    with pytest.raises(Conflict):
        move(store, version, {"boston": "ledger/boston/other"})
    with store.reading() as unit:
        assert unit.ledger_parts() == {"boston": "ledger/boston/1"}


def test_an_event_names_a_scan_and_rules_that_exist(store: SqlStore) -> None:
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        move(store, 1, {})


def test_numbers_of_a_cell_are_replaced(store: SqlStore) -> None:
    top = (TopHost("ip:10.0.0.1", "10.0.0.1", None, 3, 1),)
    old = CellNumbers("ms", "boston", 3, "2026-W03", HostNumbers(vulnerable=1, new=1), top, "a")
    other = CellNumbers("ms", "paris", 1, "2026-W01", HostNumbers(vulnerable=2, new=2))
    new = CellNumbers("ms", "boston", 3, "2026-W03", HostNumbers(vulnerable=9, new=9), top, "b")
    with store.begin() as unit:
        unit.put_cell_numbers([old, other])
        unit.put_cell_numbers([new])
        assert unit.cell_numbers() == [new, other]
        assert unit.cell_numbers(ranges=["paris"]) == [other]
        assert unit.cell_numbers(ranges=[]) == []


def test_planning_changes_of_a_ticket_only_what_it_decides(store: SqlStore) -> None:
    with store.begin() as unit:
        unit.put_tickets([ticket_row()])
        unit.update_ticket(ticket_row().identifier, key="VM-1", shown="sent")
        unit.put_tickets([ticket_row(facts="new", own=OwnNumbers(total=1, open=1), title="other", ledger=7)])
        known = unit.ticket(ticket_row().identifier)
    assert known == ticket_row(key="VM-1", shown="sent", facts="new", own=OwnNumbers(total=1, open=1), ledger=7)


def test_updates_that_have_not_begun_are_known_and_come_in_order(store: SqlStore) -> None:
    rows = [
        operation_row(number, operation="update", state=state, identifier=ticket_row(number).identifier, attempts=tries)
        for number, state, tries in ((1, "queued", 1), (3, "queued", 0), (2, "queued", 0), (4, "done", 0))
    ]
    with store.begin() as unit:
        unit.put_tickets([ticket_row(number, key=f"VM-{number}") for number in range(1, 5)])
        unit.add_operations(rows)
        assert unit.unstarted_updates() == {ticket_row(2).identifier, ticket_row(3).identifier}
        assert unit.next_updates(5) == ["VM-3", "VM-2"]
        assert unit.next_updates(1) == ["VM-3"]
        assert unit.count_operations("queued") == 3


def test_a_ticket_changes_only_where_told(store: SqlStore) -> None:
    with store.begin() as unit:
        unit.put_tickets([ticket_row(2), ticket_row(1)])
        unit.update_ticket("ms.boston.2026-W02", key="VM-1", due=date(2026, 7, 1), created_at=NOON, gone=True)
    with store.reading() as unit:
        changed = ticket_row(2, key="VM-1", due=date(2026, 7, 1), created_at=NOON, gone=True)
        assert unit.tickets() == [ticket_row(1), changed]
        assert unit.ticket("ms.boston.2026-W02") == changed
        assert unit.ticket("nobody") is None


def test_a_change_of_no_column_or_of_no_row_is_a_fault(store: SqlStore) -> None:
    with store.begin() as unit:
        unit.put_tickets([ticket_row()])
        unit.add_operations([operation_row(1)])
        for change in ({"kee": 1}, {"identifier": "other"}):
            with pytest.raises(TypeError):
                unit.update_ticket(ticket_row().identifier, **change)
        for change in ({"sequence": 1}, {"id": "x"}, {"stat": "done"}):
            with pytest.raises(TypeError):
                unit.update_operation("op-1", **change)
        with pytest.raises(Conflict):  # an alias may have given it another identifier
            unit.update_ticket("nobody", key="VM-1")
        with pytest.raises(LookupError):
            unit.update_operation("op-2", state="done")


def test_two_tickets_never_share_a_key_and_the_error_quotes_no_values(store: SqlStore) -> None:
    with pytest.raises(Exception, match=r"(?i)unique") as caught, store.begin() as unit:
        unit.put_tickets([ticket_row(1, key="VM-1"), ticket_row(2, key="VM-1", title="precious")])
    assert "precious" not in str(caught.value)


def test_attachments_are_added_and_forgotten(store: SqlStore) -> None:
    ticket = ticket_row().identifier
    rows = [AttachmentRow(ticket, f"{n}.csv", f"id-{n}", "digest", 5) for n in range(3)]
    with store.begin() as unit:
        unit.put_tickets([ticket_row()])
        unit.put_attachments(ticket, rows[:2])
        unit.put_attachments(ticket, rows[1:], removed=["id-0", "id-9"])
        assert unit.attachments(ticket) == rows[1:]
        assert unit.attachments("nobody") == []


def test_operations_come_in_the_order_in_which_they_were_planned(store: SqlStore) -> None:
    rows = [operation_row(n, state=state, identifier="t") for n, state in ((3, "queued"), (1, "held"), (2, "queued"))]
    with store.begin() as unit:
        unit.add_operations(rows)
        unit.add_operations([operation_row(0, state="queued")])
        assert [row.id for row in unit.operations()] == ["op-3", "op-1", "op-2", "op-0"]
        assert unit.operations("queued", identifier="t") == [rows[0], rows[2]]
        assert unit.operations("held", "done") == [rows[1]]
        unit.update_operation("op-3", state="done", ended_at=NOON, attempts=2, answer="VM-1")
        changed = unit.operation("op-3")
    assert changed == operation_row(3, identifier="t", state="done", ended_at=NOON, attempts=2, answer="VM-1")


def test_the_lowest_slot_that_nobody_has_is_taken_and_a_dead_one_keeps_its_own(store: SqlStore) -> None:
    later = NOON + timedelta(seconds=40)
    with store.begin() as unit:
        first, second, third = (unit.claim_slot("a", pid, NOON) for pid in range(3))
        assert [row.slot for row in (first, second, third)] == [1, 2, 3]
        unit.release_slot(second)
        assert unit.live_slots(NOON, stale_after=60) == [1, 3]
        other = unit.claim_slot("b", 9, NOON)
        unit.release_slot(second)
        assert other.slot == 2 and other in unit.slots(), "it is another one's by now"
        unit.beat(3, later)
        assert unit.live_slots(later, stale_after=30) == [3]
        assert unit.claim_slot("b", 10, later).slot == 4
        with pytest.raises(LookupError):
            unit.beat(8, later)


def test_a_reading_unit_changes_nothing(store: SqlStore) -> None:
    with pytest.raises(Exception, match=r"(?i)read-?only"), store.reading() as unit:
        unit.put_tickets([ticket_row()])
    with store.begin() as unit:
        unit.put_tickets([ticket_row()])
        assert len(unit.tickets()) == 1


def test_a_reader_waits_for_no_writer_and_sees_one_state(store: SqlStore) -> None:
    with store.begin() as writer:
        writer.put_tickets([ticket_row(1)])
        with store.reading() as reader:
            assert reader.tickets() == []
    with store.reading() as reader:
        assert len(reader.tickets()) == 1
        with store.begin() as writer:
            writer.put_tickets([ticket_row(2)])
        assert len(reader.tickets()) == 1


def test_nothing_to_add_is_nothing(store: SqlStore) -> None:
    with store.begin() as unit:
        unit.put_tickets([])
        unit.add_operations([])
        unit.put_cell_numbers([])
        unit.update_ticket("nobody")
        assert (unit.tickets(), unit.operations(), unit.cell_numbers()) == ([], [], [])


def test_thousands_of_rows_go_in_and_out_quickly(store: SqlStore) -> None:
    began = time.perf_counter()
    with store.begin() as unit:
        unit.put_tickets(ticket_row(n) for n in range(4000))
        unit.add_operations(operation_row(n) for n in range(4000))
        unit.put_cell_numbers(CellNumbers("ms", "boston", n, "x", {"new": 1}) for n in range(4000))
        assert len(unit.tickets()) == 4000
    assert time.perf_counter() - began < 5  # measured: below 1 second; a slow machine is no fault


def test_of_a_mark_only_the_last_time_counts(store: SqlStore):
    with store.begin() as unit:
        assert unit.mark("reconciled") is None
        unit.put_mark(Mark("reconciled", NOON))
        unit.put_mark(Mark("reconciled", NOON + timedelta(hours=1), {"looked_at": 3}))
    with store.reading() as unit:
        assert unit.mark("reconciled") == Mark("reconciled", NOON + timedelta(hours=1), {"looked_at": 3})


def test_what_moved_is_found_from_both_ends_and_a_pair_is_kept_once(store: SqlStore):
    with store.begin() as unit:
        unit.put_moved([Moved("a", "b", 1), Moved("b", "c", 2)])
        unit.put_moved([Moved("a", "b", 5)])
    with store.reading() as unit:
        assert unit.moved("b") == [Moved("a", "b", 5), Moved("b", "c", 2)]
        assert unit.moved("c") == [Moved("b", "c", 2)] and unit.moved("d") == []
        assert len(unit.moved()) == 2
