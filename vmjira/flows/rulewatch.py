"""Which rules come into force, and when: the rule files are looked at, judged, and taken, held or refused.

A changed set of files that is valid, and whose plan is within the limits, comes into force by itself. One that exceeds
them is held: it is kept as it is, and comes into force when a person releases it, whatever the files say by then. At
most one set is held; when the files change again, the newer one is judged in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import structlog

from vmjira.domain.limits import rules_exceeded
from vmjira.domain.rulebook import Rulebook
from vmjira.errors import RulesInvalid
from vmjira.flows.foresee import Outcome, foresee_rules
from vmjira.flows.keep import keep, titles
from vmjira.flows.knowledge import Base, load
from vmjira.flows.operations import RULES
from vmjira.flows.ports import Conflict, Outside, Unit
from vmjira.flows.preview import of_rules
from vmjira.flows.rows import Editors, EventRow, Mark, OfferedRules, OperationRow, RulesRow
from vmjira.flows.rules import read_rules

log = structlog.get_logger(__name__)

LoadRules = Callable[[], Rulebook]

#: Mark: the files as they were at the last look. details: digest, against (of the rules in force then), state, words.
SEEN = "rules.seen"
#: Mark: what is wrong with the files, since when. details: problems, a list of {file, line, column, message}.
PROBLEMS = "rules.problems"


@dataclass(frozen=True)
class Verdict:
    """What became of the files in the folder, in words; empty if they are those in force."""

    state: Literal["in force", "held", "dropped", "broken", "changing"]
    words: str = ""
    operations: tuple[str, ...] = ()  # ids that were planned


def run(outside: Outside, load_rules: LoadRules) -> str:
    """The job `rules`: what was released comes into force, then the files are looked at; what became of them.

    Files that changed since the last look are judged at the next one: whoever saves them may not be through yet.
    """
    return look(outside, load_rules, patient=True).words or "the rules in the folder are in force"


def look(outside: Outside, load_rules: LoadRules, *, patient: bool = False) -> Verdict:
    """Put in force what was released, then judge the files; if `patient`, only those that the last look saw too.

    Raises RulesInvalid if no rules can be used at all.
    """
    released, planned = _settle(outside)
    verdict = _look(outside, load_rules, patient=patient)
    if not released:
        return verdict
    words = "; ".join(["released rules are in force now", *([verdict.words] if verdict.words else [])])
    return replace(verdict, words=words, operations=(*planned, *verdict.operations))


def settle(outside: Outside) -> list[str]:
    """Put the rule set in force that a person released, exactly as it was held; ids of what is planned."""
    return _settle(outside)[1]


# --- looking ----------------------------------------------------------------------------------------------------------


def _look(outside: Outside, load_rules: LoadRules, *, patient: bool) -> Verdict:
    with outside.store.reading() as unit:
        in_force, seen = unit.rules_in_force(), unit.mark(SEEN)
    try:
        rulebook = load_rules()
    except RulesInvalid as error:
        _remember_problems(outside, error)
        if in_force is None:
            raise
        log.error("rules not accepted", problems=[str(problem) for problem in error.problems])
        since = f"{in_force.since:%Y-%m-%d %H:%M}"
        return Verdict("broken", f"the rules in the folder are not valid, so those of {since} stay:\n{error}")
    _remember_problems(outside, None)
    last = seen.details if seen else {}
    changed = last.get("digest") != rulebook.digest
    if in_force and in_force.digest == rulebook.digest:
        if changed:
            with outside.store.begin() as unit:
                _supersede(unit, outside, "", "dropped: the files are again those in force")
                _remember(unit, outside, rulebook.digest, Verdict("in force"), rulebook.digest)
        return Verdict("in force")
    if patient and in_force and changed:
        verdict = Verdict("changing", "the rule files have changed; they are judged at the next look if they stay so")
        with outside.store.begin() as unit:
            _remember(unit, outside, rulebook.digest, verdict, "")
        return verdict
    if in_force and not changed and last["against"] == in_force.digest and (known := _still(outside, rulebook, last)):
        return known
    return _judge(outside, rulebook)


def _still(outside: Outside, rulebook: Rulebook, last: Mapping[str, Any]) -> Verdict | None:
    """What was said of these files when they were held; None if that has to be found out again."""
    with outside.store.reading() as unit:
        row = unit.operation(_id(rulebook))
    if row is None or row.state not in ("held", "dropped"):
        return None
    if row.state == "held":
        return Verdict("held", str(last["words"]))
    words = f"the changed rules were {row.answer}; those in force stay until the files change"
    return Verdict("dropped", words)


# --- judging ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Taking:
    """A rule set on its way into force."""

    rulebook: Rulebook
    how: str
    editors: Editors
    released: OperationRow | None = None
    by: str = ""


def _judge(outside: Outside, rulebook: Rulebook) -> Verdict:
    while True:
        at = outside.clock()
        in_force, base, outcome = _foresee(outside, rulebook, at)
        if in_force and in_force.digest == rulebook.digest:  # somebody else was quicker
            return Verdict("in force")
        editors = _editors(outside, rulebook, in_force)
        if in_force and outcome:
            before = read_rules(outside.rulebook, in_force)
            if why := rules_exceeded(outcome.plan, outcome.before, before, rulebook, outcome.moves):
                said = of_rules(base, outcome, rulebook, before)
                return _hold(
                    outside, OfferedRules(rulebook.digest, rulebook.files, outside.clock(), editors), said, why
                )
        taking = _Taking(rulebook, "changed files" if in_force else "the first rules", editors)
        try:
            operations = _take(outside, taking, in_force, outcome, at)
        except Conflict:
            continue
        words = "changed rules are in force now" if in_force else "first rules are in force now"
        return Verdict("in force", words, tuple(operations))


def _settle(outside: Outside) -> tuple[bool, list[str]]:
    planned: list[str] = []
    with outside.store.reading() as unit:
        released = [row for row in unit.operations("waiting") if row.operation == RULES]
    for row in released:
        with outside.store.reading() as unit:
            offered = unit.offered_rules(row.details["digest"])
        if offered is None:
            with outside.store.begin() as unit:
                unit.update_operation(
                    row.id, state="dropped", answer="dropped: its files were not kept, save them again"
                )
            continue
        by = str(row.details.get("released_by") or "a person")
        taking = _Taking(outside.rulebook(offered.files), row.reason, offered.editors, row, by)
        while True:
            at = outside.clock()
            in_force, _, outcome = _foresee(outside, taking.rulebook, at)
            try:
                planned += _take(outside, taking, in_force, outcome, at)
            except Conflict:
                continue
            break
    return bool(released), planned


def _foresee(outside: Outside, rulebook: Rulebook, at: datetime) -> tuple[RulesRow | None, Base, Outcome | None]:
    """The rules in force, what is known, and what the change does to it then; None if nothing is known yet."""
    with outside.store.reading() as unit:
        in_force = unit.rules_in_force()
    base = load(outside.store)
    if in_force is None or in_force.digest == rulebook.digest or not base.version:
        return in_force, base, None
    before = read_rules(outside.rulebook, in_force)
    words = titles(outside, rulebook)
    return in_force, base, foresee_rules(base, rulebook, words, at=at, before=before)


def _take(
    outside: Outside, taking: _Taking, in_force: RulesRow | None, outcome: Outcome | None, at: datetime
) -> list[str]:
    """Put rules in force, `at` the time of `_foresee`; ids of what follows for the tracker. Raises Conflict if anything
    changed since then."""
    rulebook, released = taking.rulebook, taking.released
    row = RulesRow(rulebook.digest, rulebook.files, at)

    def record(unit: Unit) -> None:
        if unit.rules_in_force() != in_force or (released and not _waits(unit, released)):
            raise Conflict("other rules came into force meanwhile")
        if in_force is None or in_force.digest != row.digest:
            unit.put_rules(row, how=taking.how, released_by=taking.by, editors=taking.editors)
        _supersede(unit, outside, row.digest, "dropped: other rules came into force")
        if released:
            answer = f"released by {taking.by}: in force since {row.since:%Y-%m-%d %H:%M} UTC"
            unit.update_operation(released.id, state="done", answer=answer, ended_at=row.since)
        else:
            _remember(unit, outside, rulebook.digest, Verdict("in force"), rulebook.digest)

    with outside.store.reading() as unit:
        if released and not _waits(unit, released):
            return []
    if outcome is None:
        with outside.store.begin() as unit:
            record(unit)
        return []
    rows = keep(outside, outcome, rulebook, EventRow(0, "rules", None, "", row.since), record=record)
    log.info("rules in force", digest=rulebook.digest[:12], operations=len(rows), released_by=taking.by)
    return [each.id for each in rows]


def _hold(outside: Outside, offered: OfferedRules, said: Mapping[str, Any], why: str) -> Verdict:
    id = f"{RULES}:{offered.digest[:12]}"
    row = OperationRow(
        id, RULES, RULES, f"changed rules wait for a person: {why}",
        {"digest": offered.digest, "preview": said}, "held", plan=id, planned_at=outside.clock(),
    )  # fmt: skip
    verdict = Verdict(
        "held",
        f"the changed rules are held, the previous ones stay in force: {why}; look at `vmjira plan`, then "
        f"`vmjira operations release {id}` or `vmjira operations drop {id}`, or mend the rules",
    )
    with outside.store.begin() as unit:
        unit.offer_rules(offered)
        if unit.operation(id) is None:
            unit.add_operations([row])
        else:  # these files were held once before
            changed = ("reason", "details", "state", "planned_at", "ended_at", "answer")
            unit.update_operation(id, **{name: getattr(row, name) for name in changed})
        _supersede(unit, outside, offered.digest, "dropped: the files changed again, the newer ones are judged")
        _remember(unit, outside, offered.digest, verdict, str(said["in_force"]))
    log.warning("rules held", why=why)
    return verdict


# --- small things -----------------------------------------------------------------------------------------------------


def _id(rulebook: Rulebook) -> str:
    return f"{RULES}:{rulebook.digest[:12]}"


def _supersede(unit: Unit, outside: Outside, digest: str, why: str) -> None:
    """No set but that of this digest is held any more."""
    for row in unit.operations("held"):
        if row.operation == RULES and row.details["digest"] != digest:
            unit.update_operation(row.id, state="dropped", ended_at=outside.clock(), answer=why)


def _waits(unit: Unit, released: OperationRow) -> bool:
    """Nobody else has put it in force already."""
    row = unit.operation(released.id)
    return row is not None and row.state == "waiting"


def _remember(unit: Unit, outside: Outside, digest: str, verdict: Verdict, against: str) -> None:
    details = {"digest": digest, "against": against, "state": verdict.state, "words": verdict.words}
    unit.put_mark(Mark(SEEN, outside.clock(), details))


def _remember_problems(outside: Outside, error: RulesInvalid | None) -> None:
    """Written only when they differ: so the mark's time is since when they are there."""
    problems = [vars(problem) for problem in error.problems] if error else []
    with outside.store.reading() as unit:
        known = unit.mark(PROBLEMS)
    if problems != (known.details["problems"] if known else []):
        with outside.store.begin() as unit:
            unit.put_mark(Mark(PROBLEMS, outside.clock(), {"problems": problems}))


def _editors(outside: Outside, rulebook: Rulebook, in_force: RulesRow | None) -> Editors:
    """Of those files whose text differs from what is in force."""
    before = in_force.files if in_force else {}
    changed = {name for name, text in rulebook.files.items() if before.get(name) != text}
    return {name: editor for name, editor in outside.editors().items() if name in changed}
