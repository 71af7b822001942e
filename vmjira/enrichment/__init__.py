"""Catalogues of exploitation from outside of the scanners, as files or over https: the edge that reads them."""

from vmjira.enrichment.reading import read_catalogue

__all__ = ["read_catalogue"]
