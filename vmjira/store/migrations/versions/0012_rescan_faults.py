"""Rescans whose result is there and cannot be taken: since when, and when it is tried again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    for name in ("faulty_since", "again_at"):
        op.add_column("rescans", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
