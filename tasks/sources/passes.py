"""The passes over the documents of all sources, each shared out to workers, and what they come to by source."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.benchmarks.items import write_items
from tasks.sources.hash_partitions import partitions_in
from tasks.sources.lowest_hashes import LowestHashes
from tasks.sources.readers import check_not_empty
from tasks.sources.settings import SourceSettings, SourcesSettings
from tasks.sources.shard_workers import Workers
from tasks.sources.sharding import Unit
from tasks.sources.source_counts import Counts
from tasks.sources.spool import Chunk, texts
from tasks.sources.tokenization import save_encoder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

COPY_BYTES = 1 << 20
Report = Callable[[str], None]


@dataclass(frozen=True)
class Spooled:
    """The documents of all sources on disk, and who works on them."""

    place: Path
    workers: Workers
    settings: SourcesSettings
    chunks: Mapping[str, list[Chunk]]

    def over_chunks(self, step: str, names: Sequence[str], **more: Any) -> Iterator[tuple[str, list[dict]]]:
        """(source, results of a step for each of its chunks) in the order of the names."""
        jobs = [self._of_chunk(chunk, more) for name in names for chunk in self.chunks[name]]
        results = self.workers.each(step, jobs)
        for name in names:
            yield name, [next(results) for _ in self.chunks[name]]
        assert next(results, None) is None

    def _of_chunk(self, chunk: Chunk, more: Mapping[str, Any]) -> dict[str, Any]:
        return {"spool": str(self.place), "unit": chunk.unit, "chunk": chunk.number, **more}

    def over_partitions(self, step: str, folder: str, **more: Any) -> None:
        """A step for each partition of a folder."""
        found = partitions_in(self.place / folder)
        jobs = [{"spool": str(self.place), "partition": number, **more} for number in found]
        for _ in self.workers.each(step, jobs):
            pass

    def clean(self, name: str) -> Iterator[str]:
        """The cleaned documents of a source."""
        for chunk in self.chunks[name]:
            yield from texts(chunk.clean)


def read_sources(
    sources: Sequence[SourceSettings], units: Mapping[str, Sequence[Unit]], to: Spooled
) -> Spooled:
    """Write the documents of all sources to the spool, in chunks, and their hashes into partitions."""
    jobs: list[dict[str, Any]] = []
    chunks = {}
    for source in sources:
        for unit in units[source.name]:
            told = {"source": unit.source.model_dump(mode="json"), "unit": len(jobs), "spool": str(to.place)}
            jobs.append({**told, "heldout_share": to.settings.heldout_share})
    results = enumerate(to.workers.each("read_unit", jobs))
    for source in sources:
        found = [next(results) for _ in units[source.name]]
        check_not_empty(source, sum(result["documents"] for _, result in found))
        chunks[source.name] = [
            Chunk(to.place, unit, number) for unit, result in found for number in range(result["chunks"])
        ]
    return replace(to, chunks=chunks)


def find_duplicates(read: Spooled, report: Report) -> None:
    """Note which documents are identical to one before, and where asked, near to one with a lower hash."""
    read.over_partitions("find_copies", "hashes")
    if (fuzzy := read.settings.fuzzy_duplicates) is not None:
        asked = fuzzy.model_dump()
        for name, _ in read.over_chunks("sign_chunk", list(read.chunks), fuzzy=asked):
            report(f"{name}: hashed for near duplicates")
        read.over_partitions("find_near_copies", "bands", fuzzy=asked)


def split_heldout(read: Spooled, counts: dict[str, Counts], report: Report) -> dict[str, list[dict]]:
    """The held-out rows by source."""
    heldout = {}
    limit, characters = read.settings.max_heldout_documents, read.settings.sample_characters
    of_chunks = read.over_chunks("sample_heldout", list(counts), max_documents=limit, characters=characters)
    for name, results in of_chunks:
        for result in results:
            counts[name].add(result)
        heldout[name] = _lowest(read.chunks[name], "heldout.jsonl", LowestHashes(limit, characters))
        report(f"{name}: read, {counts[name].heldout_documents} documents held out")
    return heldout


def _lowest(chunks: Sequence[Chunk], ending: str, kept: LowestHashes) -> list[dict]:
    """The rows with the lowest hashes of those that the chunks have kept."""
    for chunk in chunks:
        path = chunk.path("parts", ending)
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                row = json.loads(line)
                kept.add(bytes.fromhex(row["id"]), row["text"])
        path.unlink()
    return kept.rows()


def clean_documents(
    read: Spooled,
    counts: dict[str, Counts],
    item_texts: Mapping[str, list[str]],
    folder: Path,
    report: Report,
) -> int:
    """Spool the clean documents and write the utility samples; returns how many items are too short to look for."""
    items = read.place / "items.json"
    items.write_text(json.dumps(item_texts), encoding="utf-8")
    settings = read.settings
    limit, characters = settings.sample_documents, settings.sample_characters
    too_short = 0
    of_chunks = read.over_chunks(
        "clean_chunk",
        list(counts),
        items=str(items),
        window=settings.decontamination_words,
        max_documents=limit,
        characters=characters,
    )
    for name, results in of_chunks:
        count = counts[name]
        for result in results:
            too_short = result.pop("items_too_short")
            count.add(result)
        if count.documents == 0:
            near = f"{count.near_duplicates} near duplicates, " if count.near_duplicates else ""
            raise ValueError(
                f"source {name!r}: no training document is left ({count.duplicates} duplicates, {near}"
                f"{count.heldout_documents} held out, {count.removed} with evaluation items); allowed: a source "
                "with documents of its own"
            )
        rows = _lowest(read.chunks[name], "sample.jsonl", LowestHashes(limit, characters))
        write_items(folder / "samples" / f"{name}.jsonl", rows)
        report(f"{name}: {count.documents:,} documents, {count.removed} removed for evaluation items")
    return too_short


def write_token_files(
    read: Spooled,
    names: Sequence[str],
    counts: dict[str, Counts],
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    report: Report,
) -> None:
    """Write the token files of these sources."""
    encoder = save_encoder(tokenizer, read.place / "encoder.json") or folder / "tokenizer"
    told = {"encoder": str(encoder), "end": tokenizer.eos_token_id, "vocab_size": len(tokenizer)}
    for name, results in read.over_chunks("tokenise_chunk", names, **told):
        with (folder / "tokens" / f"{name}.bin").open("wb") as whole:
            for chunk, result in zip(read.chunks[name], results, strict=True):
                counts[name].add(result)
                part = chunk.path("parts", "tokens")
                with part.open("rb") as stream:
                    shutil.copyfileobj(stream, whole, COPY_BYTES)
                part.unlink()
        report(f"{name}: {counts[name].tokens:,} tokens")
