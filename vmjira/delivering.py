"""Commands that return when the tracker has everything."""

from __future__ import annotations

from rich.progress import Progress

from vmjira.bootstrap import Application
from vmjira.cliparts import err


def deliver(app: Application) -> list[str]:
    """Wait until nothing is queued any more, delivering here where no worker runs; what was refused, in words."""
    from vmjira.flows.waiting import wait_until_delivered  # noqa: PLC0415 - a command stays quick

    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("delivering", total=None)

        def shown(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        if app.worker_alive():
            return wait_until_delivered(app.store, shown)
        with app.worker():
            return wait_until_delivered(app.store, shown)
