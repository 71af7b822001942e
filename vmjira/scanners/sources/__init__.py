"""The APIs of scanners: one module a type of scanners.yaml; `connect` gives the source that a rule names."""

from __future__ import annotations

from collections.abc import Mapping

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerRefused
from vmjira.flows.sources import Connect, Source


def _gvm(scanner: Scanner, environ: Mapping[str, str]) -> Source:
    from vmjira.scanners.sources import gvm  # noqa: PLC0415  imported only when it is used

    return gvm.connect(scanner, environ)


def _qualys(scanner: Scanner, environ: Mapping[str, str]) -> Source:
    from vmjira.scanners.sources import qualys  # noqa: PLC0415

    return qualys.connect(scanner, environ)


#: Type → how to connect. Each module has one function of that form, imported only when it is used.
TYPES: Mapping[str, Connect] = {"gvm": _gvm, "qualys": _qualys}


def connect(scanner: Scanner, environ: Mapping[str, str]) -> Source:
    """ScannerRefused if the type is not built yet, or a secret that the rules name is not in `environ`."""
    if scanner.type not in TYPES:
        raise ScannerRefused(f"{scanner.id}: type '{scanner.type}' cannot fetch; hand its files in by `vmjira ingest`")
    return TYPES[scanner.type](scanner, environ)
