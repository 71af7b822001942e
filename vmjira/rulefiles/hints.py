"""What is no mistake in rule files, but perhaps not meant."""

from __future__ import annotations

from collections.abc import Iterator

from vmjira.domain.rulebook import Rulebook
from vmjira.rulefiles import conditions
from vmjira.rulefiles.places import where

#: Column of a condition → the catalogue that fills it.
_CATALOGUE = {"kev": "kev", "kev_due": "kev", "epss": "epss"}


def hints(rulebook: Rulebook) -> list[str]:
    """`file:line: what; what to do`, in file order."""
    return list(_without_catalogue(rulebook))


def _without_catalogue(rulebook: Rulebook) -> Iterator[str]:
    """Conditions on exploitation, though no catalogue of it is configured."""
    for index, category in enumerate(rulebook.categories):
        named = sorted(_CATALOGUE.keys() & conditions.parsed(category.where).meta.root_names())
        for catalogue in dict.fromkeys(_CATALOGUE[column] for column in named):
            if getattr(rulebook.policy.enrichment, catalogue) is None:
                columns = ", ".join(column for column in named if _CATALOGUE[column] == catalogue)
                place = where(rulebook.files, [("categories.yaml", "categories", index, "where")])
                yield (
                    f"{place}: category '{category.id}': where: no scanner tells {columns}, so the condition is not "
                    f"true without a catalogue; name one in policy.yaml (enrichment: {{{catalogue}: …}}), or "
                    f"bring one with `vmjira enrich --{catalogue} FILE`"
                )
