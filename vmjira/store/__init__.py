"""What vmjira keeps: SQL for what changes, Parquet for what was seen."""

from vmjira.store.store import SqlStore, open_store

__all__ = ["SqlStore", "open_store"]
