"""Scanning single hosts again by GVM: a copy of the target that covers them, a task like the one that scans it.

What we make carries MARK as its comment; nothing without it is ever changed or removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any

from gvm.errors import GvmError, GvmResponseError
from lxml import etree

from vmjira.errors import ScannerRefused, ScannerUnavailable
from vmjira.scanners.sources.targets import networks, within

MARK = "vmjira rescan: removed when its result was taken"


def tasks(gmp: Any, who: str) -> list[etree._Element]:
    """All that the user may see. ScannerUnavailable if the list is a part."""
    answer = gmp.get_tasks(filter_string="first=1 rows=-1", ignore_pagination=True)
    found: list[etree._Element] = answer.findall("task")
    filtered = answer.findtext("task_count/filtered") or "0"
    if filtered.isdigit() and len(found) < int(filtered):
        raise ScannerUnavailable(f"{who}: the list of tasks holds {len(found)} of {filtered}")
    return found


def is_ours(element: etree._Element) -> bool:
    return (element.findtext("comment") or "").strip() == MARK


def launch(gmp: Any, candidates: Sequence[etree._Element], addresses: Sequence[str], *, name: str, who: str) -> str:
    """`<task>/<report>`. What an earlier try under this name has left is used; what others left over is removed."""
    for task in tasks(gmp, who):
        if is_ours(task) and (task.findtext("name") or "").strip() == name:
            return f"{task.get('id')}/{_report(task) or _started(gmp, task.get('id', ''))}"
    _sweep(gmp)
    like = _covering([task for task in candidates if not is_ours(task)], addresses, gmp, who)
    with _undone(gmp) as made:
        made["target"] = target = gmp.clone_target(_ref(like, "target")).get("id", "")
        gmp.modify_target(target, name=name, comment=MARK, hosts=list(addresses))
        made["task"] = task_id = gmp.create_task(
            name, _ref(like, "config"), target, _ref(like, "scanner"), comment=MARK, preferences=_preferences(like)
        ).get("id", "")
        return f"{task_id}/{_started(gmp, task_id)}"


def begun(gmp: Any, name: str, *, who: str) -> str | None:
    """`<task>/<report>` of what was started under this name; None: nothing was."""
    ours = (task for task in tasks(gmp, who) if is_ours(task) and (task.findtext("name") or "").strip() == name)
    return next((f"{task.get('id')}/{report}" for task in ours if (report := _report(task))), None)


def remove(gmp: Any, task: str) -> None:
    """Stop it, and take away what we made for it. Gone already is done."""
    try:
        (found,) = gmp.get_task(task).findall("task")
    except (GvmResponseError, ValueError):
        return
    if not is_ours(found):
        raise ScannerRefused(f"task {task} is not one of our rescans; it is left alone")
    _quietly(gmp.stop_task, task)
    _quietly(gmp.delete_task, task, ultimate=True)
    _quietly(
        gmp.delete_target, _ref(found, "target"), ultimate=True
    )  # still in use while the task stops: the next launch sweeps it


# --- which task scans these hosts -------------------------------------------------------------------------------------


def _covering(candidates: Sequence[etree._Element], addresses: Sequence[str], gmp: Any, who: str) -> etree._Element:
    """The task, last run latest, whose target names all of them: only its credentials and checks tell the same."""
    wanted = {address: ip_address(address) for address in addresses}
    best: set[str] = set()
    for task in sorted(candidates, key=_last_end, reverse=True):
        target = _ref(task, "target")
        found = gmp.get_target(target).find("target") if target else None
        if found is None or not _ref(task, "config") or not _ref(task, "scanner"):
            continue  # an import task, or one of agents or containers
        hosts, excluded = networks(found.findtext("hosts")), networks(found.findtext("exclude_hosts"))
        covered = {text for text, one in wanted.items() if within(one, hosts) and not within(one, excluded)}
        if len(covered) == len(wanted):
            return task
        best = max(best, covered, key=len)
    lacking = ", ".join(sorted(set(wanted) - best)[:5])
    raise ScannerRefused(
        f"{who}: no single task has all of {len(wanted)} addresses in its target ({lacking} at least is missing in "
        "each); targets that name hosts by DNS cannot be matched. The next scheduled scan will tell"
    )


def _last_end(task: etree._Element) -> str:
    return task.findtext("last_report/report/scan_end") or task.findtext("last_report/report/timestamp") or ""


# --- making and removing ----------------------------------------------------------------------------------------------


@contextmanager
def _undone(gmp: Any) -> Iterator[dict[str, str]]:
    """What was made is removed again if the rest fails."""
    made: dict[str, str] = {}
    try:
        yield made
    except BaseException:
        if made.get("task"):
            _quietly(gmp.delete_task, made["task"], ultimate=True)
        if made.get("target"):
            _quietly(gmp.delete_target, made["target"], ultimate=True)
        raise


def _sweep(gmp: Any) -> None:
    """Targets that could not be removed when their task was still stopping."""
    for target in gmp.get_targets(filter_string='comment~"vmjira rescan" first=1 rows=-1').findall("target"):
        if is_ours(target) and (target.findtext("in_use") or "").strip() == "0":
            _quietly(gmp.delete_target, target.get("id", ""), ultimate=True)


def _quietly(command: Any, id: str, **how: Any) -> None:
    """What gvmd refuses here needs no person: it is gone, or the next launch tries again."""
    with suppress(GvmError, OSError):
        command(id, **how)


def _started(gmp: Any, task: str) -> str:
    return (gmp.start_task(task).findtext("report_id") or "").strip()


def _report(task: etree._Element) -> str:
    """Of a task that was started before."""
    for path in ("current_report/report", "last_report/report"):
        if (report := task.find(path)) is not None and report.get("id"):
            return report.get("id", "")
    return ""


def _ref(element: etree._Element, name: str) -> str:
    found = element.find(name)
    return found.get("id", "") if found is not None else ""


def _preferences(task: etree._Element) -> dict[str, str]:
    return {
        name: value
        for each in task.iterfind("preferences/preference")
        if (name := (each.findtext("scanner_name") or "").strip()) and (value := (each.findtext("value") or "").strip())
    }
