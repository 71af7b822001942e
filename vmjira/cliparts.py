"""What the modules of commands share: the application, where they print, and how."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console

from vmjira.bootstrap import Application

JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")
out, err = Console(), Console(stderr=True)
pass_app = click.make_pass_decorator(Application)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
