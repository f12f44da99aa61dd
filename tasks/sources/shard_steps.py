"""The passes over a corpus, each on one unit, chunk or partition: from a job of JSON values to a result of them.

A step reads and writes the spool alone, so that it can run in any process and in any order with others of its pass.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tasks.sources.decontamination import ItemIndex
from tasks.sources.document_hashes import document_hash, is_heldout
from tasks.sources.hash_partitions import (
    HASH,
    PartitionWriter,
    hash_record,
    later_copies,
    numbers_gone,
    records_of,
    write_gone,
)
from tasks.sources.lowest_hashes import LowestHashes
from tasks.sources.near_duplicates import BAND, WIDTH, band_records, near_copies, signatures
from tasks.sources.readers import some_documents
from tasks.sources.settings import FuzzyDuplicates, SourceSettings
from tasks.sources.spool import CHUNK_DOCUMENTS, Chunk, ChunkWriter, chunk_at, numbered, texts
from tasks.sources.tokenization import SavedEncoder, write_encoded

Job = dict[str, Any]


def read_unit(job: Job) -> Job:
    """Write a unit's documents into chunks, and their hashes into partitions."""
    source, spool, unit = SourceSettings(**job["source"]), Path(job["spool"]), job["unit"]
    documents = 0
    with ChunkWriter(spool, unit) as chunks, PartitionWriter(spool / "hashes") as hashes:
        for text in some_documents(source):
            digest = document_hash(text)
            position = chunks.add(text, is_heldout(digest, job["heldout_share"]))
            hashes.add(digest[-1], hash_record(digest, position))
            documents += 1
    return {"documents": documents, "chunks": chunks.chunks}


def find_copies(job: Job) -> Job:
    """Of a partition of hashes, which documents are copies of an earlier one."""
    spool, partition = Path(job["spool"]), job["partition"]
    copies = later_copies(records_of(spool / "hashes", partition, HASH))
    write_gone(spool / "gone", "copy", partition, copies)
    return {}


def sign_chunk(job: Job) -> Job:
    """Write the MinHashes of a chunk's documents, and their bands into partitions."""
    chunk, settings = _chunk(job), FuzzyDuplicates(**job["fuzzy"])
    of_signatures, of_records = itertools.tee(_in_order(chunk))
    signed = zip(of_records, signatures((text for _, text in of_signatures), settings), strict=True)
    with (
        PartitionWriter(chunk.spool / "bands") as bands,
        chunk.path("signatures", "bin").open("wb") as stream,
    ):
        for (number, text), signature in signed:
            stream.write(signature.tobytes())
            for record in band_records(signature, document_hash(text), chunk.begin + number, settings):
                bands.add(record[0], record)
    return {}


def _in_order(chunk: Chunk) -> Iterator[tuple[int, str]]:
    """(number, text) of all documents of a chunk."""
    return heapq.merge(numbered(chunk.training), numbered(chunk.heldout), key=lambda one: one[0])


def find_near_copies(job: Job) -> Job:
    """Of a partition of bands, which documents are near to one with a lower hash."""
    spool, partition, settings = Path(job["spool"]), job["partition"], FuzzyDuplicates(**job["fuzzy"])

    @lru_cache(maxsize=64)
    def of_chunk(number: int) -> np.ndarray:
        path = chunk_at(spool, number * CHUNK_DOCUMENTS).path("signatures", "bin")
        return np.memmap(path, f"<u{WIDTH}", mode="r").reshape(-1, settings.permutations)

    def signature_of(positions: np.ndarray) -> np.ndarray:
        places = [divmod(position, CHUNK_DOCUMENTS) for position in positions.tolist()]
        return np.stack([of_chunk(chunk)[number] for chunk, number in places])

    near = near_copies(records_of(spool / "bands", partition, BAND), signature_of, settings.threshold)
    write_gone(spool / "gone", "near", partition, near)
    return {}


def sample_heldout(job: Job) -> Job:
    """Keep the held-out documents of a chunk with the lowest hashes; what goes of the whole chunk is counted."""
    chunk = _chunk(job)
    copies, near = _gone(chunk)
    kept, count = LowestHashes(job["max_documents"], job["characters"]), 0
    for number, text in numbered(chunk.heldout):
        if number not in copies and number not in near:
            count += 1
            kept.add(document_hash(text), text)
    chunk.heldout.unlink()
    _write_rows(chunk.path("parts", "heldout.jsonl"), kept)
    return {"heldout_documents": count, "duplicates": len(copies), "near_duplicates": len(near)}


def clean_chunk(job: Job) -> Job:
    """Write a chunk's training documents without copies and without benchmark items, and a sample of them."""
    chunk = _chunk(job)
    copies, near = _gone(chunk)
    index = _index(job["items"], job["window"])
    sample = LowestHashes(job["max_documents"], job["characters"])
    documents = size = removed = 0
    contaminated: dict[str, int] = {}
    with chunk.clean.open("w", encoding="utf-8") as stream:
        for number, text in numbered(chunk.training):
            if number in copies or number in near:
                continue
            if found := index.tasks_in(text):
                removed += 1
                for task in found:
                    contaminated[task] = contaminated.get(task, 0) + 1
                continue
            documents += 1
            size += len(text.encode())
            sample.add(document_hash(text), text)
            stream.write(json.dumps(text) + "\n")
    chunk.training.unlink()
    _write_rows(chunk.path("parts", "sample.jsonl"), sample)
    return {
        "documents": documents,
        "bytes": size,
        "removed": removed,
        "contaminated": contaminated,
        "items_too_short": index.num_too_short,
    }


def tokenise_chunk(job: Job) -> Job:
    """Write a chunk's tokens."""
    chunk = _chunk(job)
    encoder = _encoder(job["encoder"], job["end"], job["vocab_size"])
    return {"tokens": write_encoded(encoder, texts(chunk.clean), chunk.path("parts", "tokens"))}


STEPS: dict[str, Callable[[Job], Job]] = {
    step.__name__: step
    for step in (
        read_unit,
        find_copies,
        sign_chunk,
        find_near_copies,
        sample_heldout,
        clean_chunk,
        tokenise_chunk,
    )
}


def _chunk(job: Job) -> Chunk:
    return Chunk(Path(job["spool"]), job["unit"], job["chunk"])


def _gone(chunk: Chunk) -> tuple[set[int], set[int]]:
    """Numbers of a chunk's documents that are copies, and of the others that are near to one that is kept."""
    end = chunk.begin + CHUNK_DOCUMENTS
    copies, near = (numbers_gone(chunk.spool / "gone", name, chunk.begin, end) for name in ("copy", "near"))
    return copies, near - copies


def _write_rows(path: Path, kept: LowestHashes) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for row in kept.rows():
            stream.write(json.dumps(row) + "\n")


@lru_cache(maxsize=1)
def _index(items: str, window: int) -> ItemIndex:
    """The index of the items in a file: one a process."""
    return ItemIndex(json.loads(Path(items).read_text(encoding="utf-8")), window)


@lru_cache(maxsize=1)
def _encoder(place: str, end: int, vocab_size: int) -> SavedEncoder:
    return SavedEncoder(Path(place), end, vocab_size)
