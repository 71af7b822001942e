"""What events need: how often one was tried, who described a ticket, what happened last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # A default, because rows may be there already.
    op.add_column("deliveries", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("tickets", sa.Column("noted", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("tickets", sa.Column("described", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "marks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_marks")),
    )
