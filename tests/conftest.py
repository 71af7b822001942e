"""Fixtures that every test may ask for."""

from hypothesis import settings

from tests.databases import database_url, postgres, postgres_url, s3_root, s3_server, sqlite_url, store  # noqa: F401

#: How long an example takes depends on what else the machine does: benchmarks are for speed, tests are not.
settings.register_profile("vmjira", deadline=None)
settings.load_profile("vmjira")
