"""The keys of policy.yaml that belong to the clock: when jobs are due, what they remind of, what they forget."""

from __future__ import annotations

from vmjira.domain.rulebook import Reminders, Retention, Schedule
from vmjira.rulefiles import cron, parsing
from vmjira.rulefiles.fields import Keys, Number, Text

SCHEDULE, REMINDERS, RETENTION = Schedule(), Reminders(), Retention()
NEVER = "never"
_DURATION = rf"({parsing.DURATION}|{NEVER})"


def _cron(text: str) -> str | None:
    return None if text == NEVER else cron.check(text)


def _duration(text: str) -> object:
    return None if text == NEVER else parsing.duration(text)


def _due(about: str, job: str, example: str = "30 6 * * mon-fri") -> Text:
    return Text(about, example, parse=_cron, default=f"`{getattr(SCHEDULE, job)}`")


class ScheduleSchema(Keys):
    reconcile = _due("Compare the tickets with the tracker: what webhooks missed.", "reconcile")
    doctor = _due("Check that the tracker lets us do what the rules name.", "doctor")
    acceptances = _due("Say which acceptances end soon, and in a ticket that its own has ended.", "acceptances")
    reminders = _due("Remind of due dates in tickets: see `reminders`.", "reminders")
    retention = _due("Forget what is not needed any more: see `retention`.", "retention")
    schedule = _due("Look whether all scanners deliver.", "schedule")
    enrich = _due("Get what is known of exploited vulnerabilities.", "enrich")
    rules = _due("Look for changed rule files.", "rules", "*/5 * * * *")


class RemindersSchema(Keys):
    before = Text(
        "So long before its due date an open ticket is reminded, by one comment; `never` for none.",
        "1w",
        parse=_duration,
        pattern=_DURATION,
        default=f"{REMINDERS.before.days}d" if REMINDERS.before else NEVER,
    )
    after = Text(
        "So long after its due date an open ticket is reminded, by one comment; `never` for none.",
        "2d",
        parse=_duration,
        pattern=_DURATION,
        default=f"{REMINDERS.after.days}d" if REMINDERS.after else NEVER,
    )


class RetentionSchema(Keys):
    versions = Number(
        "Versions of the ledger that are kept, beside those that a ticket still shows. Replaying rebuilds all.",
        100,
        between=(1, 1_000_000),
        default="all",
    )
    firings = Text(
        "How long it is remembered what the clock did, and what went through the queues.",
        "90d",
        parse=parsing.duration,
        pattern=parsing.DURATION,
        default=f"{RETENTION.firings.days}d",
    )
