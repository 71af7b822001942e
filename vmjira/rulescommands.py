"""Commands about rule files: are they right, what may stand in them, what was in force when."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmjira.cliparts import JSON, err, out, pass_app, print_json
from vmjira.errors import RulesInvalid

if TYPE_CHECKING:
    from vmjira.bootstrap import Application


@click.group()
def rules() -> None:
    """Rule files."""


@rules.command("check")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--format", "form", default="text", show_default=True, type=click.Choice(["text", "github", "sarif"]),
    help="For people, as annotations of GitHub Actions, or as SARIF 2.1.0 for code scanning.",
)  # fmt: skip
@pass_app
def check(app: Application, folder: Path | None, form: str) -> None:
    """Validate rule files: every problem at once, as file:line:column. Exit status 1 if there is any."""
    from vmjira import rulefiles
    from vmjira.rendering import check_templates
    from vmjira.rulefiles import annotations

    folder = folder or app.settings.rules
    rulebook, problems = None, []
    try:
        rulebook = rulefiles.load(folder)
        problems = check_templates(folder / "templates")
    except RulesInvalid as error:
        problems = error.problems
    if form == "text" and problems:
        raise RulesInvalid(problems)
    if form != "text":
        write = annotations.sarif if form == "sarif" else annotations.github
        click.echo(write(annotations.beside(problems, folder)))
        sys.exit(1 if problems else 0)
    assert rulebook is not None
    for hint in rulefiles.hints(rulebook):
        err.print(f"{folder.name}/{hint}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    out.print(
        f"{folder}: {len(rulebook.categories)} categories, {len(rulebook.ranges)} ranges, "
        f"{len(rulebook.acceptances)} acceptances, {len(rulebook.scanners)} scanners: all is well",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


@rules.command("schema")
@click.argument("file", required=False)
def schema(file: str | None) -> None:
    """The JSON Schema of the rule files (or of one, such as ranges.yaml), for editors.

    \b
    Editors with the YAML language server need it beside the rule files:
        vmjira rules schema > rules/schema.json
    and a first line in each file, here in policy.yaml:
        # yaml-language-server: $schema=schema.json#/$defs/policy.yaml

    More in docs/editors-and-ci.md.
    """
    from vmjira import rulefiles
    from vmjira.rulefiles.schemas import FILES

    if file is not None and file not in FILES:
        raise click.BadParameter(f"'{file}' is no rule file; there are {', '.join(FILES)}", param_hint="FILE")
    print_json(rulefiles.json_schema(file))


@rules.command("apply")
@click.option("--wait", is_flag=True, help="Return when the tracker has everything; deliver here if no worker runs.")
@JSON
@pass_app
def apply(app: Application, wait: bool, as_json: bool) -> None:
    """Put edited rules in force now. Exit status 1 if they are not: broken, or held for approval."""
    from vmjira.delivering import deliver
    from vmjira.flows.rulewatch import look

    if wait:
        app.settings.require_jira()
    verdict = look(app.outside, app.load_rules)
    refused = deliver(app) if wait and verdict.state == "in force" else []
    words = verdict.words or "The rules in the folder are in force already."
    if as_json:
        found = {"state": verdict.state, "words": words, "operations": list(verdict.operations), "refused": refused}
        print_json(found)
    else:
        console = out if verdict.state == "in force" else err
        console.print(words, markup=False, highlight=False, soft_wrap=True)
        out.print(f"{len(verdict.operations)} changes planned", highlight=False)
        for each in refused:
            err.print(each, style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(0 if verdict.state == "in force" and not refused else 1)


@rules.command("history")
@JSON
@pass_app
def history(app: Application, as_json: bool) -> None:
    """Which rules were in force from when till when, who changed which file, and who released them."""
    from vmjira.flows.history import history as flow
    from vmjira.shownrules import show_history

    found = flow(app.store)
    print_json(found) if as_json else show_history(out, found)


@rules.command("diff")
@click.argument("one", required=False, default="")
@click.argument("other", required=False, default="")
@pass_app
def diff(app: Application, one: str, other: str) -> None:
    """What differs between two rule sets, called by the beginning of their digests.

    Without any: from those in force to the files in the folder. With one: what that one changed.
    """
    from vmjira import rulefiles
    from vmjira.flows.history import diff as flow

    files = {} if one else rulefiles.read_texts(app.settings.rules)
    click.echo(flow(app.store, files, one, other), nl=False)
