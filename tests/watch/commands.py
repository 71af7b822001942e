"""The command line, run in this process against a sandbox."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from pathlib import Path

from click.testing import CliRunner, Result

from tests.flows.jira import TOKENS, Jira
from vmjira.bootstrap import Application
from vmjira.cli import main
from vmjira.flows.ingest import Report, adopt_rules
from vmjira.settings import load_settings

SECRET = "a-long-random-text"


#: Databases with rules in force, by the rules: making one takes longer than most tests.
_KEPT = Path(tempfile.mkdtemp(prefix="vmjira-test-"))
atexit.register(shutil.rmtree, _KEPT, ignore_errors=True)


class Commands:
    """Rules in a folder, in force; as a Jira administrator unless told otherwise."""

    def __init__(self, folder: Path, jira: Jira, **rules: str) -> None:
        self.folder, self.jira = folder, jira
        kept = _KEPT / hashlib.sha256(repr(rules).encode()).hexdigest()
        if kept.exists():
            shutil.copytree(kept, folder, dirs_exist_ok=True)
            return
        (folder / "rules").mkdir()
        for name, text in rules.items():
            (folder / "rules" / f"{name}.yaml").write_text(text, encoding="utf-8")
        app = Application(load_settings(self._environ("vmjira", "")))
        adopt_rules(app.outside, app.load_rules, Report())
        app.store.close()
        for part in ("rules", "var"):
            shutil.copytree(folder / part, kept / part)

    def __call__(self, *arguments: str, who: str = "admin", secret: str = SECRET) -> Result:
        return CliRunner().invoke(main, list(arguments), env=self._environ(who, secret), catch_exceptions=False)

    def _environ(self, who: str, secret: str) -> dict[str, str]:
        return {
            "VMJIRA_RULES": str(self.folder / "rules"),
            "VMJIRA_DATA": str(self.folder / "var"),
            "VMJIRA_LOG": "error",
            "JIRA_URL": self.jira.url,
            "JIRA_USER": who if self.jira.flavour == "cloud" else "",
            "JIRA_TOKEN": TOKENS[who],
            "JIRA_WEBHOOK_SECRET": secret,
            "COLUMNS": "220",
        }
