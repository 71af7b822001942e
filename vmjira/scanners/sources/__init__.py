"""The APIs of scanners: one module a type of scanners.yaml; `connect` gives the source that a rule names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerRefused
from vmjira.flows.sources import Connect, Source


def _later(module: str) -> Connect:
    """`connect` of a module of this package, imported only when it is used."""

    def connect_(scanner: Scanner, environ: Mapping[str, str]) -> Source:
        source: Source = import_module(f"{__name__}.{module}").connect(scanner, environ)
        return source

    return connect_


#: Type → how to connect. Each module has one function of that form.
TYPES: Mapping[str, Connect] = {
    "folder": _later("folder"),
    "upload": _later("upload"),
    "nessus": _later("nessus"),
    "tenable": _later("tenable"),
    "tenable-sc": _later("tenable_sc"),
    "insightvm": _later("insightvm"),
    "nexpose-xml": _later("nexpose_xml"),
    "gvm": _later("gvm"),
    "qualys": _later("qualys"),
    "withsecure": _later("withsecure"),
}


def connect(scanner: Scanner, environ: Mapping[str, str]) -> Source:
    """ScannerRefused if the type is not built yet, or a secret that the rules name is not in `environ`."""
    if scanner.type not in TYPES:
        raise ScannerRefused(f"{scanner.id}: type '{scanner.type}' cannot fetch; hand its files in by `vmjira ingest`")
    return TYPES[scanner.type](scanner, environ)
