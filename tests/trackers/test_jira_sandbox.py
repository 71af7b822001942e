"""The connector against a whole Jira over HTTP, in both flavours; what it sends is checked against the vendor's documents."""

from __future__ import annotations
