"""The keys of `ticket:`, in the policy and in each range."""

from __future__ import annotations

from vmjira.domain.rulebook import TicketRules
from vmjira.rulefiles import parsing
from vmjira.rulefiles.fields import Free, Keys, ListOf, Section, Text

DEFAULTS = TicketRules()

#: Keys of which a range adds to the policy's; all other keys of a range replace the policy's.
MERGED = ("fields", "transitions", "transition_fields")


class TransitionsSchema(Keys):
    close = Text("Status that a closed ticket shall have.", "Done", default="any status that counts as done")
    reopen = Text("Status that a reopened ticket shall have.", "To Do", default="any status that does not")


class TicketSchema(Keys):
    class Meta(Keys.Meta):
        # Not class attributes: `fields` is marshmallow's own name for what a schema holds.
        include = {  # noqa: RUF012 - marshmallow reads it once
            "fields": Free(
                "Further fields of the tracker, by their id. Text in them may be a Jinja template.",
                {"environment": "{{ range.title }}"},
                jinja=True,
                default="none",
            )
        }

    project = Text(
        "Key of the project in the tracker. Each range needs one, here or in the policy.",
        "VM",
        parse=parsing.project,
        pattern=parsing.PROJECT,
        default="none",
    )
    issue_type = Text("Type of the tickets.", "Bug", default=DEFAULTS.issue_type)
    assignee = Text("Who gets the tickets.", "boston-admins", default="nobody")
    watchers = ListOf(Text("A person.", "jane.doe"), "Who is told of changes.", default="nobody")
    components = ListOf(Text("A component.", "Patching"), "Components of the project.", default="none")
    labels = ListOf(
        Text("A label without blanks.", "patching", parse=parsing.label), "Labels beside vmjira's own.", default="none"
    )
    link_type = Text("Type of the link between tickets of one cell.", "Blocks", default=DEFAULTS.link_type)
    transitions = Section(TransitionsSchema, "Statuses by name, where the workflow has several ways.")
    transition_fields = Free("Fields that a transition demands.", {"resolution": {"name": "Done"}}, default="none")
