"""Tickets keep earlier identifiers, what was last said of their findings, and the fields vmjira set; scans a state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    # With defaults, because rows may be there already.
    op.add_column("tickets", sa.Column("former", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("tickets", sa.Column("fields", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("tickets", sa.Column("told", sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE tickets SET told = 'verified' WHERE verified")
    op.drop_column("tickets", "verified")
    op.add_column("tickets", sa.Column("name", sa.Text(), nullable=False, server_default=""))
    op.add_column("scans", sa.Column("state", sa.Text(), nullable=False, server_default="folded"))
    op.add_column("scans", sa.Column("note", sa.Text(), nullable=False, server_default=""))
