"""Rescans of closed tickets: what is asked for, what runs, and the comment that tells of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0003"

_COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # A default, because rows may be there already.
    op.add_column("tickets", sa.Column("answer", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "rescans",
        sa.Column("id", _COUNTER, nullable=False),
        sa.Column("scanner", sa.Text(), nullable=False),
        sa.Column("hosts", sa.JSON(), nullable=False),
        sa.Column("tickets", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("launched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("remote", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rescans")),
    )
    op.create_index(op.f("ix_rescans_state"), "rescans", ["state"])
    op.create_table(
        "rescan_requests",
        sa.Column("id", _COUNTER, nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("scanner", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rescan", _COUNTER, nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["rescan"], ["rescans.id"], name=op.f("fk_rescan_requests_rescan")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rescan_requests")),
    )
    op.create_index(op.f("ix_rescan_requests_identifier"), "rescan_requests", ["identifier"])
    op.create_index(op.f("ix_rescan_requests_state"), "rescan_requests", ["state"])
