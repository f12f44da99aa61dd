"""Which sources the settings mean: those listed, one a language where a field tells it, one a file of the folder."""

from __future__ import annotations

from importlib.util import find_spec

from tasks.sources.language_checks import DETECT, check_detection
from tasks.sources.language_codes import checked_code, code_of
from tasks.sources.readers import labelled_documents, sources_of_folder
from tasks.sources.settings import SourceSettings, SourcesSettings


def resolve_sources(settings: SourcesSettings) -> tuple[SourceSettings, ...]:
    """The listed sources, then one for each file of the folder and its sub-folders, named for it and sorted by name.

    Files that are left out are said. Raises ValueError for a folder that is missing or holds none, and for names that
    collide.
    """
    if settings.fuzzy_duplicates is not None:
        check_fuzzy_duplicates()
    listed = tuple(one for source in settings.listed for one in _by_language(source))
    found = () if settings.folder is None else sources_of_folder(settings.folder)
    places = {source.name: source.path for source in found}
    for source in listed:
        if source.name in places:
            raise ValueError(
                f"sources: duplicate name {source.name!r}: in sources.listed and of {places[source.name]}; rename one"
            )
    if len({source.name for source in listed}) < len(listed):
        raise ValueError(
            f"sources: names {sorted(source.name for source in listed)}: one stands twice, as language_field makes "
            "names too; rename one"
        )
    everything = (*listed, *found)
    silent = [source.name for source in everything if source.language is None]
    if settings.tokenizer_balance == "languages" and silent:
        raise ValueError(
            f"sources.tokenizer_balance='languages': {', '.join(silent)}: no language; allowed: language or "
            "language_field of every source, or the balance 'sources'"
        )
    return everything


def _by_language(source: SourceSettings) -> tuple[SourceSettings, ...]:
    """The source; where a field of its documents says their language, a source for each of them."""
    if source.language == DETECT:
        check_detection(f"source {source.name!r}: language={DETECT!r}")
    if source.language_field is None or source.language is not None:
        return (source,)
    return tuple(
        SourceSettings(
            **source.model_dump() | {"name": f"{source.name}-{code}", "language": code, "languages": ()}
        )
        for code in source_languages(source)
    )


def source_languages(source: SourceSettings) -> list[str]:
    """The languages that a source's field says its documents are in, as codes, sorted.

    Raises ValueError for a value that is no language code where the source does not say which languages it wants.
    """
    assert source.language_field is not None
    told = {str(language) for _, language in labelled_documents(source)}
    if source.languages:
        found = {code_of(one) for one in told}
        if missing := [code for code in source.languages if code not in found]:
            raise ValueError(
                f"source {source.name!r}: languages: no document says {', '.join(missing)} in field "
                f"{source.language_field!r}; it says {', '.join(sorted(told)[:20])}"
            )
        return sorted(source.languages)
    where = f"source {source.name!r}: language_field {source.language_field!r}"
    return sorted({checked_code(one, where) for one in told})


def check_fuzzy_duplicates() -> None:
    """ValueError where near duplicates cannot be looked for, as the package is not there."""
    if find_spec("datasketch") is None:
        raise ValueError(
            "sources.fuzzy_duplicates: near duplicates are found by the package datasketch, which is not there; "
            "allowed: pip install 'mixstitch[fuzzy]', or without the setting"
        )
