"""Versions of the catalogues of exploitation, and which of them an event of the ledger was computed with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "enrichments",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("catalogues", sa.JSON(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_enrichments")),
        sa.UniqueConstraint("sequence", name=op.f("uq_enrichments_sequence")),
    )
    op.add_column("ledger_versions", sa.Column("enrichment", sa.Text(), nullable=True))
