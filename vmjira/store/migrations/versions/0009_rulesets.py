"""When which rules were in force, and those that wait for a person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts up an INTEGER only


def upgrade() -> None:
    periods = op.create_table(
        "rule_periods",
        sa.Column("number", COUNTER, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=False),
        sa.Column("editors", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["rules.digest"], name=op.f("fk_rule_periods_digest")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_rule_periods")),
    )
    op.create_table(
        "offered_rules",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("editors", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_offered_rules")),
    )
    rules = sa.table(
        "rules", sa.column("digest"), sa.column("since", sa.DateTime(timezone=True)), sa.column("sequence")
    )
    known = op.get_bind().execute(sa.select(rules.c.digest, rules.c.since).order_by(rules.c.sequence)).all()
    unknown = {"how": "", "released_by": "", "editors": {}}
    op.bulk_insert(periods, [{"digest": digest, "since": since, **unknown} for digest, since in known])
