"""What sources have in common that cannot scan single hosts again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from vmjira.errors import ScannerRefused
from vmjira.flows.sources import RemoteScan


class NoRescan:
    """The part of `Source` about rescans, for those that say why they can do none."""

    cannot_rescan: str

    def launch(self, addresses: Sequence[str], name: str) -> str:
        raise ScannerRefused(self.cannot_rescan)

    def launched_by_name(self, name: str, since: datetime, others: Collection[str] = ()) -> str | None:
        return None

    def launched(self, id: str) -> RemoteScan | None:
        raise ScannerRefused(self.cannot_rescan)

    def stop(self, id: str) -> None:
        """Nothing was launched."""
