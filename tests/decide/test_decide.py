"""The rules of a closing, as pure values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.samples import day, finding, fold_all, host, scan
from vmjira.domain.decide import Decision, News, Seen, after_data, decide, newly_closed
from vmjira.domain.rulebook import Policy
from vmjira.domain.statistics import refuted
from vmjira.domain.ticket import OwnNumbers, TicketRow
from vmjira.flows.foresee import closings

AT = datetime(2026, 6, 2, 12, tzinfo=UTC)
POLICY = Policy(accept_resolutions=("Risk Accepted",), reopen_limit=2)
OPEN = OwnNumbers(total=3, fixed=1, open=2, hosts=3, open_hosts=2)
ENDED = OwnNumbers(total=3, fixed=3, hosts=3)
ROW = TicketRow("c.r.w", "c", "r", 1, "w", 1, "Title", 1, key="VM-1", status_category="new", own=OPEN)
CLOSED = Seen("VM-1", "Done", "done", "Done", AT, "ann")
REOPENED = replace(CLOSED, status="To Do", status_category="new", resolution=None, since=AT + timedelta(hours=1))


def kinds(decision: Decision) -> list[str]:
    return [each.operation for each in decision.operations]


def closed(row: TicketRow = ROW, policy: Policy = POLICY, *, hits: int = 0, **seen: object) -> Decision:
    return decide(row, replace(CLOSED, **seen), hits, policy)


def news(row: TicketRow, own: OwnNumbers, policy: Policy = POLICY, *, hits: int = 0, running: int = 2) -> Decision:
    came_in = own.total > row.own.total
    return after_data(row, replace(row, own=own), News("scan", running, hits, came_in), policy)


WAITING = closed().row


def test_an_unverified_closing_waits_and_says_so_once() -> None:
    decision = closed()
    assert (decision.row.closing, decision.row.closed_at, kinds(decision)) == ("waiting", AT, ["closed"])
    assert "closed by ann at 2026-06-02 12:00 with 2 findings open on 2 hosts" in decision.words[0]
    assert kinds(decide(decision.row, CLOSED, 0, POLICY)) == []


def test_a_closing_of_what_has_ended_is_confirmed_with_evidence_once() -> None:
    decision = closed(replace(ROW, own=ENDED))
    assert (decision.row.closing, decision.row.told, kinds(decision)) == ("confirmed", "verified", ["verified"])
    assert kinds(closed(replace(ROW, own=ENDED, told="verified"))) == []


def test_data_that_is_newer_than_a_closing_heard_of_late_refutes_it_at_once() -> None:
    decision = closed(hits=1)
    assert (decision.row.closing, decision.row.reopened, kinds(decision)) == ("", 1, ["reopen"])


@pytest.mark.parametrize(("mode", "closing", "done"), [("strict", "", ["reopen"]), ("trust", "trusted", [])])
def test_the_policy_decides_about_unverified_closings(mode: str, closing: str, done: list[str]) -> None:
    decision = closed(policy=replace(POLICY, on_close=mode))
    assert (decision.row.closing, kinds(decision)) == (closing, done)


@pytest.mark.parametrize("mode", ["verify", "strict", "trust"])
def test_a_resolution_of_the_policy_accepts_whatever_else_it_says(mode: str) -> None:
    decision = closed(policy=replace(POLICY, on_close=mode), resolution="risk accepted")
    assert (decision.row.closing, decision.acceptance, kinds(decision)) == ("accepted", "accept", ["accepted"])


def test_a_resolution_that_is_changed_afterwards_accepts_too() -> None:
    assert decide(WAITING, replace(CLOSED, resolution="Risk Accepted"), 0, POLICY).acceptance == "accept"


def test_nothing_open_needs_no_acceptance() -> None:
    assert closed(replace(ROW, own=ENDED), resolution="Risk Accepted").row.closing == "confirmed"


def test_reopened_by_a_person_means_open_and_ends_an_acceptance() -> None:
    decision = decide(WAITING, REOPENED, 0, POLICY)
    assert (decision.row.closing, decision.row.reopened, kinds(decision)) == ("", 0, [])
    accepted = closed(resolution="Risk Accepted").row
    decision = decide(accepted, REOPENED, 0, POLICY)
    assert (decision.row.closing, decision.acceptance, kinds(decision)) == ("", "unaccept", ["unaccepted"])


def test_a_closing_after_a_reopening_is_a_new_one() -> None:
    again = replace(CLOSED, since=AT + timedelta(hours=2))
    row = decide(WAITING, REOPENED, 0, POLICY).row
    assert not newly_closed(row, CLOSED)
    assert kinds(decide(row, again, 0, POLICY)) == ["closed"]


def test_while_our_reopening_is_on_its_way_the_old_closing_is_no_new_one() -> None:
    refuted_row = closed(hits=1).row
    assert kinds(decide(refuted_row, CLOSED, 0, POLICY)) == []
    passing = replace(CLOSED, status="Resolved", since=AT + timedelta(days=1), ours=True, busy=True)
    assert kinds(decide(refuted_row, passing, 0, POLICY)) == []


def test_a_later_step_of_a_person_among_closed_statuses_moves_only_the_time() -> None:
    later = replace(CLOSED, status="Archived", since=AT + timedelta(hours=3))
    decision = decide(WAITING, later, 0, POLICY)
    assert (decision.row.closed_at, kinds(decision)) == (later.since, [])
    assert decide(WAITING, replace(later, ours=True), 0, POLICY).row.closed_at == AT


def test_deleted_is_told_once_and_visible_again_is_mended() -> None:
    gone = decide(ROW, None, 0, POLICY)
    assert (gone.row.gone, kinds(gone)) == (True, [])
    assert decide(gone.row, None, 0, POLICY).words == ()
    back = decide(gone.row, replace(REOPENED, since=AT), 0, POLICY)
    assert (back.row.gone, kinds(back)) == (False, ["update"])


def test_what_is_ours_is_put_back() -> None:
    seen = replace(REOPENED, key="SEC-9", labels_missing=("vmjira",), intact=False)
    decision = decide(replace(ROW, description="abc"), seen, 0, POLICY)
    assert kinds(decision) == ["relabel", "update"]
    assert (decision.row.key, decision.row.description) == ("SEC-9", "")
    assert decision.words[0] == "moved from VM-1 to SEC-9"


# --- new data ---------------------------------------------------------------------------------------------------------


def test_newer_data_that_still_shows_them_reopens() -> None:
    decision = news(WAITING, OPEN, hits=2)
    assert (decision.row.closing, decision.row.closed_at, kinds(decision)) == ("", AT, ["reopen"])


def test_after_the_limit_it_is_escalated_and_then_left_alone() -> None:
    decision = news(replace(WAITING, reopened=2), OPEN, hits=2)
    assert (decision.row.closing, kinds(decision)) == ("escalated", ["escalate"])
    assert kinds(news(decision.row, OPEN, hits=2)) == []
    ended = news(decision.row, ENDED)
    assert (ended.row.closing, kinds(ended)) == ("confirmed", ["verified"])


def test_what_is_unknown_is_said_when_it_changed_once_an_iteration() -> None:
    fewer = replace(OPEN, fixed=2, open=1, open_hosts=1)
    assert kinds(news(WAITING, OPEN)) == []
    decision = news(WAITING, fewer)
    assert (decision.row.closing, kinds(decision)) == ("waiting", ["waiting"])
    more = news(decision.row, OPEN)
    assert kinds(more) == []
    assert kinds(news(more.row, fewer, running=3)) == ["waiting"]


@pytest.mark.parametrize("closing", ["confirmed", "settled", "accepted", "waiting", "trusted"])
def test_new_findings_in_a_closed_ticket_reopen_it_whatever_was_decided(closing: str) -> None:
    row = replace(WAITING, closing=closing, reopened=9)
    decision = news(row, replace(OPEN, total=4, open=3, open_hosts=3))
    assert (decision.row.closing, kinds(decision)) == ("", ["reopen"])


def test_trusted_is_not_checked() -> None:
    assert kinds(news(replace(WAITING, closing="trusted"), OPEN)) == []


def test_what_was_accepted_is_not_called_verified() -> None:
    accepted = OwnNumbers(total=3, fixed=1, accepted=2, hosts=3)
    assert kinds(news(replace(WAITING, closing="accepted"), accepted)) == []


MOVED = OwnNumbers(total=3, fixed=1, moved=2, hosts=3)
ACCEPTED = OwnNumbers(total=3, fixed=1, moved=1, accepted=1, hosts=3)
GONE = OwnNumbers(total=3, gone=3, hosts=3)


@pytest.mark.parametrize("own", [MOVED, ACCEPTED, GONE])
def test_a_ticket_whose_findings_did_not_all_end_as_fixed_is_settled_and_never_called_verified(own: OwnNumbers) -> None:
    assert (own.settled, own.verified, own.ending) == (True, False, "settled")
    told = news(ROW, own)
    assert (kinds(told), told.row.told, told.row.closing) == (["settled"], "settled", "")
    assert kinds(news(told.row, own)) == []
    assert (closed(replace(ROW, own=own)).row.closing, kinds(closed(replace(ROW, own=own)))) == ("settled", ["settled"])
    assert kinds(closed(told.row)) == []
    ended = news(WAITING, own)
    assert (ended.row.closing, kinds(ended)) == ("settled", ["settled"])
    assert not any("verified" in word for word in (*told.words, *ended.words))


def test_no_findings_and_open_ones_are_neither_settled_nor_verified() -> None:
    assert (OwnNumbers().ending, OPEN.ending, ENDED.ending) == ("", "", "verified")
    assert (closed(replace(ROW, own=OwnNumbers())).row.closing, kinds(closed(replace(ROW, own=OwnNumbers())))) == (
        "settled",
        [],
    )


def test_a_settled_ticket_of_which_other_numbers_change_is_not_told_again_but_that_it_is_verified_is() -> None:
    told = news(ROW, MOVED).row
    assert kinds(news(told, replace(MOVED, total=4, moved=3))) == []
    verified = news(replace(told, closing="settled"), ENDED)
    assert (kinds(verified), verified.row.closing, verified.row.told) == (["verified"], "confirmed", "verified")
    back = news(told, OPEN)
    assert (kinds(back), back.row.told) == ([], "")
    assert kinds(news(back.row, MOVED)) == ["settled"]


@pytest.mark.parametrize(
    ("mode", "closes"), [(False, []), ("verified", [ENDED, MOVED]), ("settled", [ENDED, MOVED, ACCEPTED, GONE])]
)
def test_the_policy_says_which_ended_tickets_are_closed(mode, closes: list[OwnNumbers]) -> None:
    policy = replace(POLICY, auto_close=mode)
    assert [own for own in (ENDED, MOVED, ACCEPTED, GONE) if "close" in kinds(news(ROW, own, policy))] == closes


@pytest.mark.parametrize("closing", ["confirmed", "settled", "accepted", "waiting", "trusted"])
def test_a_reopening_because_the_rules_were_edited_does_not_count_towards_the_limit(closing: str) -> None:
    row = replace(WAITING, own=MOVED, closing=closing, reopened=2)
    after = replace(row, own=replace(OPEN, total=4, open=3, open_hosts=3))
    decision = after_data(row, after, News("change of rules", 2, 1, came_in=True, by_edit=True), POLICY)
    assert (decision.row.closing, decision.row.reopened, kinds(decision)) == ("", 2, ["reopen"])
    assert decision.operations[0].details["by_edit"] and "because the rules were changed" in decision.words[0]


def test_verified_tickets_are_closed_if_the_policy_says_so_but_only_once() -> None:
    policy = replace(POLICY, auto_close="verified")
    decision = news(ROW, ENDED, policy)
    assert kinds(decision) == ["verified", "close"]
    assert decision.row.closing == ""
    assert kinds(news(decision.row, ENDED, policy)) == []
    assert kinds(news(WAITING, ENDED, policy)) == ["verified"]


def test_each_finding_is_judged_by_the_time_of_its_own_host() -> None:
    first = scan(day(0), ["10.1.0.1", "10.1.0.2"], [finding("10.1.0.1", "a"), finding("10.1.0.2", "a")])
    hosts = [host("10.1.0.1", scanned_at=day(1.4)), host("10.1.0.2", scanned_at=day(1.6))]
    second = scan(day(2), hosts, [finding("10.1.0.1", "a"), finding("10.1.0.2", "a")])
    lives = fold_all(first, second).lives
    (ordinal,) = lives["first_iteration"].unique()
    row = replace(ROW, category="windows", range="boston", ordinal=ordinal, closed_at=day(1.5))
    assert refuted(lives, closings([row]))["refuted"].to_list() == [1]
    assert refuted(lives, closings([])).is_empty()
    assert refuted(lives.filter(pl.col("host") == ""), closings([row])).is_empty()


# --- no loop ----------------------------------------------------------------------------------------------------------

numbers = st.sampled_from([OPEN, ENDED, MOVED, ACCEPTED])
rows = st.builds(
    lambda own, closing, at, reopened, told: replace(
        ROW, own=own, closing=closing, closed_at=at if not closing else at or AT, reopened=reopened, told=told
    ),
    numbers,
    st.sampled_from(["", "waiting", "confirmed", "settled", "trusted", "accepted", "escalated"]),
    st.sampled_from([None, AT, AT - timedelta(days=1)]),
    st.integers(0, 3),
    st.sampled_from(["", "settled", "verified"]),
)
seens = st.builds(
    lambda base, resolution, ours, busy, missing, intact: replace(
        base, resolution=resolution, ours=ours, busy=ours and busy, labels_missing=missing, intact=intact
    ),
    st.sampled_from([CLOSED, REOPENED]),
    st.sampled_from([None, "Done", "Risk Accepted"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(), ("vmjira",)]),
    st.booleans(),
)
policies = st.builds(
    lambda mode, auto, limit: replace(POLICY, on_close=mode, auto_close=auto, reopen_limit=limit),
    st.sampled_from(["verify", "strict", "trust"]),
    st.sampled_from([False, "verified", "settled"]),
    st.integers(0, 3),
)


def applied(decision: Decision, seen: Seen) -> tuple[TicketRow, Seen]:
    """The world after our operations were delivered: the ticket in the tracker, and what delivery records."""
    row, later = decision.row, seen.since + timedelta(minutes=5)
    done = kinds(decision)
    if "reopen" in done:
        seen = replace(REOPENED, since=later, by="us", ours=True)
    if "relabel" in done:
        seen = replace(seen, labels_missing=())
    if "update" in done:
        seen = replace(seen, intact=True)
    if decision.acceptance == "accept":
        row = replace(row, own=replace(row.own, open=0, open_hosts=0, accepted=row.own.open))
    return row, seen


@given(rows, seens, policies, st.integers(0, 2))
def test_the_echo_of_our_own_operations_decides_nothing(row: TicketRow, seen: Seen, policy: Policy, hits: int) -> None:
    row, seen = applied(decide(row, seen, hits, policy), seen)
    echo = decide(row, seen, hits, policy)
    assert kinds(echo) == []
    assert (echo.row.closing, echo.acceptance) == (row.closing, "")


@given(rows, seens, policies, st.integers(0, 2))
def test_the_same_state_twice_decides_once_even_before_anything_is_delivered(
    row: TicketRow, seen: Seen, policy: Policy, hits: int
) -> None:
    first = decide(row, seen, hits, policy)
    again = decide(first.row, seen, hits, policy)
    assert [kind for kind in kinds(again) if kind not in ("relabel", "update")] == []


@given(rows, numbers, policies, st.integers(0, 2))
def test_the_same_data_twice_decides_once(row: TicketRow, own: OwnNumbers, policy: Policy, hits: int) -> None:
    first = news(row, own, policy, hits=hits)
    again = news(first.row, own, policy, hits=hits)
    assert kinds(again) == []


@given(rows, seens, policies, st.integers(0, 2))
def test_a_decision_about_the_status_makes_at_most_one_comment(
    row: TicketRow, seen: Seen, policy: Policy, hits: int
) -> None:
    comments = {"verified", "settled", "closed", "waiting", "accepted", "unaccepted", "reopen", "escalate"}
    assert len(comments & set(kinds(decide(row, seen, hits, policy)))) <= 1
