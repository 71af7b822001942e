"""Delivers the outbox of webhooks in threads of its own, so that no request ever waits for a receiver."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import threading
import time

import requests

from vmjira.sandbox.config import Config
from vmjira.sandbox.store import Store

ATTEMPTS = 6  # Cloud: one, and up to five retries
RETRIED = {408, 409, 425, 429}
LEASE = 60.0  # seconds after which a delivery begun by a process that died is taken up by another
THREADS = 4
IDLE = 1.0  # seconds between looks for what other processes have left
SIGNED_SINCE = 10  # no source says that a Data Center before 10 signs


class Sender:
    """Wakes up when told to; starts its threads with the first wake."""

    def __init__(self, store: Store, config: Config) -> None:
        self._store = store
        self._config = config
        self._work = threading.Condition()
        self._threads: list[threading.Thread] = []

    def wake(self) -> None:
        with self._work:
            if not self._threads:
                self._threads = [
                    threading.Thread(target=self._run, name=f"webhooks-{n}", daemon=True) for n in range(THREADS)
                ]
                for thread in self._threads:
                    thread.start()
            self._work.notify_all()

    def _run(self) -> None:
        while True:
            if not self.deliver_one():
                with self._work:
                    self._work.wait(IDLE)

    def deliver_one(self) -> bool:
        """Send one delivery that is due; whether there was one."""
        row = self._claim()
        if row is None:
            return False
        status, answer = self._post(row)
        again = (status is None or status in RETRIED or status >= 500) and self._config.cloud
        state = "sent" if status and status < 300 else "waiting" if again and row["attempts"] + 1 < ATTEMPTS else "lost"
        with self._store.begin() as transaction:
            sql = "UPDATE outbox SET state = ?, answer = ?, attempts = attempts + 1, due = ? WHERE id = ?"
            transaction.run(sql, state, answer, time.time() + self._config.webhook_retry, row["id"])
        return True

    def _claim(self) -> sqlite3.Row | None:
        with self._store.begin() as transaction:
            due = "state = 'waiting' AND due <= ?"
            if not transaction.row(f"SELECT 1 FROM outbox WHERE {due}", time.time()):  # noqa: S608 - a constant
                return None
            transaction.lock()
            sql = "SELECT outbox.*, url, secret FROM outbox JOIN webhooks ON webhooks.id = webhook"
            row = transaction.row(f"{sql} WHERE {due} ORDER BY due, outbox.rowid LIMIT 1", time.time())
            if row:
                transaction.run("UPDATE outbox SET due = ? WHERE id = ?", time.time() + LEASE, row["id"])
            return row

    def _post(self, row: sqlite3.Row) -> tuple[int | None, str]:
        timeout = (5.0, self._config.webhook_timeout)
        try:
            answer = requests.post(row["url"], data=row["body"], headers=self._headers(row), timeout=timeout)
        except requests.RequestException as error:
            return None, type(error).__name__
        return answer.status_code, str(answer.status_code)

    def _headers(self, row: sqlite3.Row) -> dict[str, str]:
        config = self._config
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Atlassian HttpClient (sandbox)"}
        if row["secret"] and (config.cloud or config.version_numbers[0] >= SIGNED_SINCE):
            digest = hmac.new(row["secret"].encode(), row["body"], hashlib.sha256).hexdigest()
            headers["X-Hub-Signature"] = f"sha256={digest}"
        if config.cloud:
            headers["X-Atlassian-Webhook-Identifier"] = row["id"]
            headers["X-Atlassian-Webhook-Flow"] = "Primary"
            if row["attempts"]:
                headers["X-Atlassian-Webhook-Retry"] = str(row["attempts"])
        return headers


def deliveries(store: Store) -> list[dict[str, object]]:
    """What became of the latest deliveries, for people and tests."""
    with store.begin() as transaction:
        rows = transaction.rows("SELECT id, webhook, state, attempts, answer, body FROM outbox ORDER BY rowid DESC")
    return [
        {**{name: row[name] for name in ("id", "webhook", "state", "attempts", "answer")}, "event": _event(row["body"])}
        for row in rows[:200]
    ]


def _event(body: bytes) -> str | None:
    return json.loads(body).get("webhookEvent") if body else None
