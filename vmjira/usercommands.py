"""Commands about those who may look at the pages and act on them."""

from __future__ import annotations

import click

from vmjira.cliparts import err
from vmjira.errors import VmjiraError

SHORTEST = 10


@click.group()
def users() -> None:
    """Lines for the file VMJIRA_USERS: who may look, and who may act."""


NAME = click.argument("name")
ROLE = click.option(
    "--role", default="viewer", show_default=True, type=click.Choice(["viewer", "operator"]),
    help="A viewer looks; an operator also retries, drops and releases.",
)  # fmt: skip


@users.command("hash")
@NAME
@ROLE
def users_hash(name: str, role: str) -> None:
    """Ask for a password; print the line that lets NAME in with it."""
    from vmjira.web.users import password_line

    _checked(name)
    password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if len(password) < SHORTEST:
        raise VmjiraError(f"the password has {len(password)} characters; it must have {SHORTEST} at least")
    click.echo(password_line(name, "operator" if role == "operator" else "viewer", password))


@users.command("token")
@NAME
@ROLE
def users_token(name: str, role: str) -> None:
    """Make a token for a program; print the line that lets it in, and (once, on stderr) the token."""
    from vmjira.web.users import token_line

    _checked(name)
    token, line = token_line(name, "operator" if role == "operator" else "viewer")
    err.print(
        f"The token, shown only now; send it as `Authorization: Bearer …`:\n{token}", highlight=False, markup=False
    )
    click.echo(line)


def _checked(name: str) -> None:
    from vmjira.web.users import NAME as ALLOWED

    if not ALLOWED.fullmatch(name):
        raise VmjiraError(f"'{name}' is no name of a user; allowed are letters, digits and . @ + - _")
