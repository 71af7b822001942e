"""Fixtures that every test may ask for."""

from tests.databases import database_url, postgres, postgres_url, s3_root, s3_server, sqlite_url, store  # noqa: F401
