"""What a corpus will hold, told before it is read: from settings, sizes of files and their first rows.

Bytes and items are upper bounds: nothing is known yet of duplicates and of documents that hold benchmark items.
Tokens are estimated from bytes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.stages import Cost
from tasks.benchmarks.benchmark_files import read_benchmark_folder
from tasks.benchmarks.items import Benchmark, requests_of
from tasks.benchmarks.settings import BenchmarkSettings
from tasks.sources.readers import input_files, read_documents
from tasks.sources.settings import SourceSettings, SourcesSettings
from tasks.sources.stated_sizes import sample_facts, whole_of
from tasks.sources.tokenization import load_tokenizer, token_dtype
from tasks.tables.json_lines import expansion, open_lines
from tasks.tables.parquet import open_parquet

FIRST_ROWS = 200
HEAD_BYTES = 1 << 16
DOCUMENT_BYTES = 4_000  # of a dataset of which nothing but the number of documents is known
UNKNOWN_BYTES = 10**12
REQUESTS_AN_ITEM, REQUEST_BYTES = 4, 400  # of tasks that are not made yet
HARNESS_ITEMS = 1_000  # of a harness task without evaluation.max_items
SECONDS_A_MEGABYTE = 0.5  # reading, decontaminating and tokenising text on one core
FUZZY_SECONDS_A_MEGABYTE = 0.25  # more, where near duplicates are looked for
BPE_BYTES = 0.28  # bytes a token of a byte-level BPE per bit of its vocabulary: 3.1 at 2,048, 4.2 at 32,768


@dataclass(frozen=True)
class Size:
    """Bytes of text and documents that a source has at most."""

    bytes: int
    documents: int


def expected_corpus(
    sources: tuple[SourceSettings, ...], settings: SourcesSettings, evaluation: BenchmarkSettings
) -> dict[str, Any]:
    """The facts of the corpus that these settings make, as `preparation.prepare` gives them."""
    sizes = {source.name: size_of(source) for source in sources}
    vocab_size, bytes_per_token = _vocabulary(settings, sources)
    samples = {}
    facts: dict[str, dict[str, Any]] = {}
    for name, size in sizes.items():
        kept = size.bytes * (1 - settings.heldout_share)
        facts[name] = {
            "documents": size.documents,
            "bytes": int(kept),
            "tokens": max(int(kept / bytes_per_token), 1),
            "duplicates": 0,
            "heldout_documents": int(size.documents * settings.heldout_share),
            "contaminated": {},
            "removed": 0,
        }
    for source in sources:
        facts[source.name]["language"] = source.language
        if settings.fuzzy_duplicates is not None:
            facts[source.name]["near_duplicates"] = 0
        if source.size is not None:
            counts, name = facts[source.name], source.name
            samples[name] = {"documents": counts["documents"], "bytes": counts["bytes"]}
            counts |= vars(whole_of(source, counts["documents"], counts["bytes"], bytes_per_token))
    return {
        **sample_facts(samples),
        "sources": facts,
        "tasks": _tasks(list(facts), evaluation),
        "items_too_short_to_look_for": 0,
        "vocab_size": vocab_size,
        "token_dtype": token_dtype(vocab_size).str,
        "metrics": {f"tokens/{name}": count["tokens"] for name, count in facts.items()},
    }


def corpus_cost(facts: Mapping[str, Any]) -> Cost:
    """What reading, splitting and tokenising an expected corpus costs: disk for its token files, time by its bytes."""
    samples = facts["read_as_samples"]
    kept = [count for name, count in facts["sources"].items() if name not in samples]
    num_bytes = sum(count["bytes"] for count in (*kept, *samples.values()))
    fuzzy = any("near_duplicates" in count for count in facts["sources"].values())
    each = SECONDS_A_MEGABYTE + FUZZY_SECONDS_A_MEGABYTE * fuzzy
    return Cost(
        disk=token_dtype(facts["vocab_size"]).itemsize * sum(count["tokens"] for count in kept),
        seconds=each * num_bytes / 1e6,
        basis=f"sizes of files, their first rows and limits; {each:g} s a megabyte of text on one core",
    )


def size_of(source: SourceSettings) -> Size:
    """How much text a source has at most. Raises ValueError for files that are not there or cannot be read."""
    known = _size_without_limits(source)
    limits = [source.max_bytes or math.inf]
    if source.max_documents is not None:
        mean = known.bytes / known.documents if known.documents else DOCUMENT_BYTES
        limits.append(mean * source.max_documents)
    if min(limits) >= known.bytes:
        return known
    share = min(limits) / known.bytes
    return Size(int(min(limits)), max(math.ceil(share * known.documents), 1))


def _size_without_limits(source: SourceSettings) -> Size:
    match source.reader:
        case "huggingface":
            return Size(UNKNOWN_BYTES, UNKNOWN_BYTES // DOCUMENT_BYTES)
        case "arithmetic" | "noise" | "made-language":
            return Size(UNKNOWN_BYTES, UNKNOWN_BYTES // _mean_bytes(source))
        case "parquet":
            return _sum_of(source, _parquet_size)
        case "jsonl":
            return _sum_of(source, _jsonl_size)
        case _:
            files = input_files(source)
            return Size(sum(path.stat().st_size for path in files), len(files))


def _mean_bytes(source: SourceSettings) -> int:
    texts = itertools.islice(read_documents(source.model_copy(update={"max_bytes": None})), 20)
    sizes = [len(text.encode()) for text in texts]
    return sum(sizes) // len(sizes)


def _sum_of(source: SourceSettings, size_of_file: Callable[[SourceSettings, Path], tuple[int, int]]) -> Size:
    found = [size_of_file(source, path) for path in input_files(source)]
    return Size(sum(n for n, _ in found), sum(d for _, d in found))


def _jsonl_size(source: SourceSettings, path: Path) -> tuple[int, int]:
    """(bytes of text, documents): the file's size, unpacked, by the share that is text in its first rows."""
    rows = [len(line) for line in itertools.islice(open_lines(path), FIRST_ROWS)]
    first = source.model_copy(update={"path": str(path), "max_documents": len(rows) or 1, "max_bytes": None})
    texts = sum(len(text.encode()) for text in read_documents(first))
    lines = sum(rows)
    unpacked = path.stat().st_size * expansion(path, HEAD_BYTES)
    if len(rows) < FIRST_ROWS:
        return texts, len(rows)
    return int(unpacked * texts / lines), int(len(rows) * unpacked / lines)


def _parquet_size(source: SourceSettings, path: Path) -> tuple[int, int]:
    first = source.model_copy(update={"path": str(path), "max_documents": FIRST_ROWS, "max_bytes": None})
    sizes = [len(text.encode()) for text in read_documents(first)]
    with open_parquet(path) as file:
        num_rows = file.metadata.num_rows
    return int(num_rows * sum(sizes) / len(sizes)), num_rows


def _vocabulary(settings: SourcesSettings, sources: tuple[SourceSettings, ...]) -> tuple[int, float]:
    """(tokens of the vocabulary, bytes a token): of a tokenizer in a folder its own, on the first local documents."""
    wanted = settings.tokenizer
    if wanted.pretrained is None:
        return wanted.vocab_size, BPE_BYTES * math.log2(wanted.vocab_size)
    tokenizer = load_tokenizer(wanted.pretrained)
    texts: list[str] = []
    for source in sources:
        if source.reader != "huggingface":
            texts += itertools.islice(read_documents(source), 20)
    counted = sum(len(tokenizer(text[:HEAD_BYTES])["input_ids"]) for text in texts)
    size = sum(len(text[:HEAD_BYTES].encode()) for text in texts)
    return len(tokenizer), size / counted if counted else BPE_BYTES * math.log2(len(tokenizer))


def _tasks(sources: list[str], evaluation: BenchmarkSettings) -> dict[str, dict[str, Any]]:
    """Facts of each task: those of a folder are read, the others have as many items as they may."""
    test_share = 1 - evaluation.dev_share
    tasks: dict[str, dict[str, Any]] = {}
    for made in evaluation.made:
        tasks[made.name] = _about("choice", made.source, "acc", made.num_items, test_share)
    if evaluation.made_from_each is not None:
        for source in sources:
            tasks[f"{source}-cloze"] = _about("choice", source, "acc", evaluation.made_from_each, test_share)
    if evaluation.folder is not None:
        found, _ = read_benchmark_folder(evaluation.folder, evaluation.max_items)
        for benchmark in found:
            tasks[benchmark.name] = _about_read(benchmark, test_share)
    for name in evaluation.lm_eval_tasks:
        tasks[name] = _about("harness", None, None, evaluation.max_items or HARNESS_ITEMS, test_share)
    return tasks


def _about(
    kind: str, source: str | None, metric: str | None, items: int, test_share: float
) -> dict[str, Any]:
    test = round(items * test_share)
    return {
        "kind": kind,
        "source": source,
        "metric": metric,
        "dev": items - test,
        "test": test,
        "requests": REQUESTS_AN_ITEM * test,
        "request_bytes": REQUESTS_AN_ITEM * REQUEST_BYTES * test,
    }


def _about_read(benchmark: Benchmark, test_share: float) -> dict[str, Any]:
    requests, size = requests_of(benchmark)
    about = _about(benchmark.kind, benchmark.source, benchmark.metric, len(benchmark.items), test_share)
    return about | {"requests": round(requests * test_share), "request_bytes": round(size * test_share)}


def bytes_per_token(corpus_facts: Mapping[str, Any]) -> float:
    """Over all sources of a corpus."""
    counts = corpus_facts["sources"].values()
    return sum(count["bytes"] for count in counts) / max(sum(count["tokens"] for count in counts), 1)
