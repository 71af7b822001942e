"""Who changed rule files last: by git where the text is what was committed, else by the file itself."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

#: Seconds that git may take, and characters of a name that are kept.
PATIENCE, LONGEST = 5, 200


def editors(folder: Path) -> dict[str, Mapping[str, str]]:
    """By file name: who, at (ISO 8601), and from where that is known: "git" or "file". Never fails."""
    return {path.name: _by_git(path) or _by_file(path) for path in sorted(folder.glob("*.y*ml")) if path.is_file()}


def _by_git(path: Path) -> Mapping[str, str] | None:
    """The author of the last commit of the file; None if it differs from that, or there is no git."""
    if shutil.which("git") is None or _git(path, "rev-parse", f"HEAD:./{path.name}") != _git(
        path, "hash-object", "--no-filters", "--", path.name
    ):
        return None
    said = _git(path, "log", "-1", "--format=%an <%ae>%x00%aI", "--", path.name)
    who, _, at = said.partition("\0")
    return {"who": who[:LONGEST], "at": at, "from": "git"} if at else None


def _git(path: Path, *arguments: str) -> str:
    """Its answer, or nothing: no hook, monitor or signature program of the repository is run."""
    quiet = ["-c", "core.fsmonitor=false", "-c", "log.showSignature=false", "-c", "core.hooksPath=/dev/null"]
    try:
        answer = subprocess.run(  # noqa: S603 - no shell, and the name of a file of ours
            ["git", "--no-pager", *quiet, "-C", str(path.parent), *arguments],  # noqa: S607 - found by PATH, as meant
            capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.decode("utf-8", "replace").strip() if answer.returncode == 0 else ""


def _by_file(path: Path) -> Mapping[str, str]:
    try:
        at = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
        return {"who": path.owner(), "at": at, "from": "file"}
    except (OSError, KeyError, NotImplementedError):  # gone meanwhile, an unknown user, a system without owners
        return {"who": "unknown", "at": "", "from": "file"}
