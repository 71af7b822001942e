"""Catalogues by name: from where, and what they tell."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import polars as pl

from vmjira.enrichment import epss, kev
from vmjira.enrichment.content import content, shown
from vmjira.errors import CatalogueUnreadable
from vmjira.flows.enrich import Catalogue

READERS: dict[str, Callable[[bytes], tuple[pl.DataFrame, str]]] = {"kev": kev.read, "epss": epss.read}


def read_catalogue(name: str, source: str) -> Catalogue:
    """`name`: kev or epss; `source`: an https address or a path, packed with gzip or not.

    Raises CatalogueUnreadable, in words for a person, unless all of it is as its publisher writes it.
    """
    unpacked = content(source)
    try:
        rows, edition = READERS[name](unpacked)
    except ValueError as error:
        raise CatalogueUnreadable(f"{shown(source)}: {error}") from error
    return Catalogue(rows, sha256(unpacked).hexdigest(), edition, shown(source))
