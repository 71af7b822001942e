"""What hardly changes and costs a call to ask for: texts of vulnerabilities, packed, for a day, in this process."""

from __future__ import annotations

import time
import zlib
from collections import OrderedDict

FRESH = 24 * 3600.0
MOST = 20_000


class Remembered:
    """By the address of a scanner and an id. A source lives for one fetch, so it is one for the process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[float, bytes]] = OrderedDict()

    def get(self, origin: str, id: str) -> bytes | None:
        made, packed = self._kept.get((origin, id), (0.0, b""))
        return zlib.decompress(packed) if packed and time.monotonic() - made < FRESH else None

    def put(self, origin: str, id: str, text: bytes) -> None:
        self._kept[origin, id] = time.monotonic(), zlib.compress(text)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        self._kept.clear()
