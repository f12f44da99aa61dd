"""Text as commands take it: a folder of files, each a source, or one file; its documents, or a sample of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.sources.decontamination import ItemIndex
from tasks.sources.document_hashes import document_hash
from tasks.sources.lowest_hashes import LowestHashes
from tasks.sources.readers import READER_OF, read_documents, source_of_file, sources_of_folder
from tasks.sources.settings import MAX_SOURCE_NAME, SourceSettings
from tasks.tables.file_names import name_of_file


def given_sources(place: Path, option: str) -> tuple[SourceSettings, ...]:
    """The sources of a folder, or of one file. Raises ValueError, naming the option, for what holds none."""
    place = place.expanduser()
    if place.is_file():
        if not place.name.lower().endswith(tuple(READER_OF)):
            raise ValueError(f"{option}={place}: its ending is none of {', '.join(READER_OF)}")
        return (source_of_file(name_of_file(place, MAX_SOURCE_NAME, tuple(READER_OF)), place),)
    return sources_of_folder(place, option)


def first_documents(sources: tuple[SourceSettings, ...], max_bytes: int) -> dict[str, list[str]]:
    """Source -> its first documents, until they have so many bytes; the last is cut to fit."""
    found: dict[str, list[str]] = {}
    for source in sources:
        size, kept = 0, found.setdefault(source.name, [])
        for text in read_documents(source):
            raw = text.encode("utf-8", "replace")
            kept.append(
                text if size + len(raw) <= max_bytes else raw[: max_bytes - size].decode("utf-8", "ignore")
            )
            size += len(raw)
            if size >= max_bytes:
                break
    return found


def sampled_documents(
    sources: tuple[SourceSettings, ...],
    documents: int,
    characters: int,
    items: Mapping[str, list[str]],
    window: int,
) -> tuple[dict[str, list[str]], dict[str, int]]:
    """(source -> sampled documents, source -> documents passed over since they hold an item of a benchmark).

    The sample is the documents with the lowest hashes, each once, cut to so many characters, as `preparation` draws it.
    items: task -> texts; window: words in a row of an item that a document may not have. Raises ValueError where a
    source has no document left.
    """
    index = ItemIndex(items, window)
    found: dict[str, list[str]] = {}
    passed_over: dict[str, int] = {}
    for source in sources:
        sample, passed = LowestHashes(documents, characters), 0
        for text in read_documents(source):
            if index.tasks_in(text):
                passed += 1
            else:
                sample.add(document_hash(text), text)
        found[source.name] = [row["text"] for row in sample.rows()]
        passed_over[source.name] = passed
        if not found[source.name]:
            raise ValueError(
                f"source {source.name!r}: all {passed} documents hold benchmark items; none is left"
            )
    return found, passed_over
