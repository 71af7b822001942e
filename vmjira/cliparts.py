"""What the modules of commands share: the application, where they print, and how."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import Any

import click

from vmjira.bootstrap import Application
from vmjira.terminal import Terminal

FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")
#: Where nobody looks at a terminal, tables are wide: what reads them wants whole words.
out, err = Terminal(width=None if sys.stdout.isatty() else 200), Terminal(stderr=True)
pass_app = click.make_pass_decorator(Application)


def whoami() -> str:
    """The user of the operating system who gives the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may know no name for its user
        return "an unknown user"


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
