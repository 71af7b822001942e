"""What people do in the weeks of the demo, beside patching: close, scan again, edit rules, accept a risk, delete."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from vmjira.bootstrap import Application
from vmjira.cliparts import out
from vmjira.domain.operation import count
from vmjira.domain.rulebook import TicketRules
from vmjira.domain.ticket import TicketRow
from vmjira.flows.ingest import ingest
from vmjira.flows.present import all_tickets
from vmjira.flows.rulewatch import look
from vmjira.sandbox.campaign import write_rescan
from vmjira.sandbox.seed import TOKENS
from vmjira.trackers.jira import JiraSettings, JiraTracker, Secret, connect

#: The weeks, from 0.
CLAIM, EDIT, ACCEPT, DELETE = 2, 3, 4, 5
#: Said to be patched, and not.
SUSPECTS = ("BOS-SRV003", "BOS-WEB007")
DMZ = """
  - id: newyork-dmz
    title: New York DMZ
    networks: [10.3.0.0/24]
    ticket: {project: VM}
"""


@dataclass(frozen=True)
class People:
    """`deliver` returns when the tracker has everything, with what was refused."""

    app: Application
    jira: int  # port of the stand-in
    folder: Path
    start: date  # of the campaign
    deliver: Callable[[], list[str]]

    def act(self, week: int) -> list[str]:
        """What happens after the scans of a week; what was refused."""
        acts = {CLAIM: self._claim, EDIT: self._edit, ACCEPT: self._accept, DELETE: self._delete}
        return acts[week]() if week in acts else []

    def _claim(self) -> list[str]:
        """Boston's administrators close all that they have. A scan of two of their hosts shows whether it holds."""
        closed = [each["key"] for each in self._tickets("boston")]
        for key in closed:
            self._chief().transition(key, "close", _resolved("Done"))
        self._wait(lambda rows: sum(row.closing != "" for row in rows) >= len(closed))
        said = self.deliver()
        confirmed = sum(not each["own"]["open"] for each in self._tickets("boston"))
        _say(f"Boston's administrators closed {count(len(closed), 'ticket')}: {confirmed} confirmed, the rest waits")
        file = write_rescan(self.folder / "scans", "boston", CLAIM, SUSPECTS, start=self.start)
        with self.app.reader() as read:
            ingest(self.app.outside, [file], read, self.app.load_rules)
        said += self.deliver()
        with self.app.store.reading() as unit:
            reopened = sorted(row.key for row in unit.tickets() if row.reopened and row.key)
        _say(f"A rescan of {' and '.join(SUSPECTS)} reopened {', '.join(reopened) or 'none'}")
        return said

    def _edit(self) -> list[str]:
        """New York's DMZ gets administrators of its own."""
        ranges = self.folder / "rules" / "ranges.yaml"
        text = ranges.read_text("utf-8").replace("      - 10.3.0.0/24   # guest house\n", "")
        ranges.write_text(text + DMZ, "utf-8")
        before = self._open()
        verdict = look(self.app.outside, self.app.load_rules)
        said = self.deliver()
        new = self._tickets("newyork-dmz")
        moved = count(sum(each["own"]["total"] for each in new), "finding")
        _say(
            f"The range New York DMZ was split off ({verdict.words}): {moved} moved to {count(len(new), 'ticket')}; "
            f"open findings before and after: {before}, {self._open()}"
        )
        return said

    def _accept(self) -> list[str]:
        """Berlin's administrators accept the risk of their oldest ticket."""
        chosen = next((each for each in self._tickets("berlin") if each["own"]["open"]), None)
        if chosen is None:
            return []
        self._chief().transition(chosen["key"], "close", _resolved("Risk Accepted"))
        self._wait(lambda rows: any(row.closing == "accepted" for row in rows))
        said = self.deliver()
        _say(f"Berlin accepted the risk of {chosen['key']}: {count(chosen['own']['open'], 'finding')}")
        return said

    def _delete(self) -> list[str]:
        """Somebody deletes a ticket with open findings."""
        chosen = next((each for each in self._tickets("newyork")[::-1] if each["own"]["open"]), None)
        if chosen is None:
            return []
        address = f"http://127.0.0.1:{self.jira}/rest/api/2/issue/{chosen['key']}"
        request = Request(address, headers={"Authorization": f"Bearer {TOKENS['admin']}"}, method="DELETE")
        urlopen(request, timeout=10).close()  # noqa: S310  loopback
        self._wait(lambda rows: any(row.gone for row in rows))
        _say(f"{chosen['key']} was deleted in Jira: the overview asks what is to become of its findings")
        return self.deliver()

    def _chief(self) -> JiraTracker:
        return connect(JiraSettings(url=f"http://127.0.0.1:{self.jira}", token=Secret(TOKENS["admin"])))()

    def _tickets(self, range_: str) -> list[dict[str, Any]]:
        return [each for each in all_tickets(self.app.store) if each["range"] == range_ and each["key"]]

    def _open(self) -> int:
        return sum(each["own"]["open"] for each in all_tickets(self.app.store))

    def _wait(self, decided: Callable[[Collection[TicketRow]], bool]) -> None:
        """Until the webhooks told of it and it was decided; `deliver` says if a process has ended."""
        while True:
            with self.app.store.reading() as unit:
                if decided(unit.tickets()):
                    return
            self.deliver()
            clock.sleep(0.1)


def _resolved(resolution: str) -> TicketRules:
    return TicketRules(transition_fields={"resolution": {"name": resolution}})


def _say(text: str) -> None:
    out.print(f"    {text}")
