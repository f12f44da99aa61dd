"""From readers to token files: split, tasks, decontamination, tokenizer, token counts, in this order.

The order avoids two circles: tasks are made from held-out documents before anything is decontaminated against
them, and the tokenizer is trained on what is left after that. Between the passes documents lie in a spool on
disk, so memory does not grow with the corpus; each pass is a step (`shard_steps.py`) over chunks of it, shared out to
workers.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.benchmarks.items import Benchmark, dev_texts, read_items, requests_of, split_dev_test, write_items
from tasks.sources.language_checks import language_told
from tasks.sources.passes import (
    Report,
    Spooled,
    clean_documents,
    find_duplicates,
    read_sources,
    split_heldout,
    write_token_files,
)
from tasks.sources.settings import SourceSettings, SourcesSettings
from tasks.sources.shard_workers import Workers
from tasks.sources.sharding import units_of, workers_worth
from tasks.sources.source_counts import Counts
from tasks.sources.spool import FOLDERS
from tasks.sources.stated_sizes import check_sample, sample_facts, sampled_bytes_per_token, whole_of
from tasks.sources.tokenization import make_tokenizer, token_dtype

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MakeBenchmarks = Callable[[Mapping[str, list[str]]], list[Benchmark]]
FILE_NAME = re.compile(r"(?!\.)[^/\\\x00-\x1f]+")
MAX_FILE_NAME_BYTES = 200


def prepare(
    sources: Sequence[SourceSettings],
    settings: SourcesSettings,
    make_benchmarks: MakeBenchmarks,
    harness_texts: Mapping[str, Mapping[str, list[str]]],
    dev_share: float,
    folder: Path,
    report: Report,
) -> dict:
    """Read all sources into `folder` (tokens, held-out documents, samples, tasks, tokenizer); returns the facts.

    make_benchmarks: held-out texts by source -> the benchmarks. harness_texts: further tasks that a harness
    brings along, each with its "dev" and "test" texts. Raises ValueError for what is wrong with an input and
    for a source of which nothing is left.
    """
    spool = folder / "progress"
    _refuse_names_of_no_file(harness_texts)
    shutil.rmtree(spool, ignore_errors=True)
    for name in (*(f"progress/{inside}" for inside in FOLDERS), "heldout", "samples", "tasks", "tokens"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    near = None if settings.fuzzy_duplicates is None else 0
    counts = {source.name: Counts(language=source.language, near_duplicates=near) for source in sources}
    units = {source.name: units_of(source) for source in sources}
    workers = workers_worth(settings.workers, [unit for found in units.values() for unit in found])
    with Workers(workers) as at_work:
        read = read_sources(sources, units, Spooled(spool, at_work, settings, {}))
        find_duplicates(read, report)
        heldout = split_heldout(read, counts, report)
        for name, rows in heldout.items():
            write_items(folder / "heldout" / f"{name}.jsonl", rows)
        tasks, item_texts = _write_tasks(
            make_benchmarks({name: [row["text"] for row in rows] for name, rows in heldout.items()}),
            harness_texts,
            dev_share,
            folder,
        )
        too_short = clean_documents(read, counts, item_texts, folder, report)
        for name, count in counts.items():
            if count.language is not None:
                rows = read_items(folder / "samples" / f"{name}.jsonl")
                count.language = language_told(
                    [row["text"] for row in rows], count.language, f"source {name!r}"
                )
        report("making the tokenizer")
        tokenizer = make_tokenizer(settings.tokenizer, _equal_bytes(counts, read))
        tokenizer.save_pretrained(folder / "tokenizer")
        samples = _size_samples(sources, counts, tokenizer, folder, report)
        write_token_files(
            read, [name for name in counts if name not in samples], counts, tokenizer, folder, report
        )
    facts = {
        **sample_facts(samples),
        "sources": {name: count.facts() for name, count in counts.items()},
        "tasks": tasks,
        "items_too_short_to_look_for": too_short,
        "vocab_size": len(tokenizer),
        "token_dtype": token_dtype(len(tokenizer)).str,
        "metrics": {f"tokens/{name}": count.tokens for name, count in counts.items()},
    }
    (folder / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return facts


def _refuse_names_of_no_file(harness_texts: Mapping[str, object]) -> None:
    for name in harness_texts:
        if not FILE_NAME.fullmatch(name) or len(name.encode()) > MAX_FILE_NAME_BYTES:
            raise ValueError(
                f"evaluation: lm-eval task {name!r} cannot name a file; allowed: at most {MAX_FILE_NAME_BYTES} "
                "bytes, no slash and no dot in front"
            )


def _write_tasks(
    benchmarks: list[Benchmark],
    harness_texts: Mapping[str, Mapping[str, list[str]]],
    dev_share: float,
    folder: Path,
) -> tuple[dict[str, dict], dict[str, list[str]]]:
    """Write each task's dev and test items; returns what there is, and the texts to keep out of training."""
    names = [benchmark.name for benchmark in benchmarks] + list(harness_texts)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"evaluation: more than one task is named {repeated}; task names must differ")
    tasks, texts = {}, {}
    for benchmark in benchmarks:
        dev, test = split_dev_test(benchmark, dev_share)
        write_items(folder / "tasks" / f"{benchmark.name}.dev.jsonl", dev.items)
        write_items(folder / "tasks" / f"{benchmark.name}.test.jsonl", test.items)
        requests, size = requests_of(test)
        tasks[benchmark.name] = {
            "kind": benchmark.kind,
            "source": benchmark.source,
            "metric": benchmark.metric,
            "dev": len(dev.items),
            "test": len(test.items),
            "requests": requests,
            "request_bytes": size,
        }
        texts[benchmark.name] = dev_texts(benchmark)
    for name, sides in harness_texts.items():
        for side in ("dev", "test"):
            rows = [{"text": text} for text in sides[side]]
            write_items(folder / "tasks" / f"{name}.{side}.jsonl", rows)
        tasks[name] = {
            "kind": "harness",
            "source": None,
            "metric": None,
            "dev": len(sides["dev"]),
            "test": len(sides["test"]),
            "requests": len(sides["test"]),
            "request_bytes": sum(len(text.encode("utf-8", "replace")) for text in sides["test"]),
        }
        texts[name] = [*sides["dev"], *sides["test"]]
    (folder / "tasks.json").write_text(json.dumps(tasks, indent=1), encoding="utf-8")
    return tasks, texts


def _size_samples(
    sources: Sequence[SourceSettings],
    counts: dict[str, Counts],
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    report: Report,
) -> dict[str, dict]:
    """Count sources that state their size as such; what was read of each of them."""
    samples = {}
    for source in sources:
        if source.size is None:
            continue
        name, count = source.name, counts[source.name]
        samples[name] = {"documents": count.documents, "bytes": count.bytes}
        rows = read_items(folder / "samples" / f"{name}.jsonl")
        per_token = sampled_bytes_per_token(tokenizer, [row["text"] for row in rows])
        whole = whole_of(source, count.documents, count.bytes, per_token)
        check_sample(source, whole, count.bytes)
        count.documents, count.bytes, count.tokens = whole.documents, whole.bytes, whole.tokens
        report(f"{name}: {count.tokens:,} tokens as stated, {samples[name]['documents']:,} documents read")
    return samples


def _equal_bytes(counts: dict[str, Counts], read: Spooled) -> Iterator[str]:
    """Documents of every source, as many bytes as `shares_of_bytes` says.

    They are spread over the whole source: a document is taken whenever less than its share has been taken.
    """
    sizes = {name: count.bytes for name, count in counts.items()}
    groups = {
        name: str(count.language) if read.settings.tokenizer_balance == "languages" else name
        for name, count in counts.items()
    }
    shares = shares_of_bytes(sizes, groups, read.settings.tokenizer_sample_bytes)
    for name, count in counts.items():
        share = shares[name]
        passed = taken = 0
        for text in read.clean(name):
            size = len(text.encode())
            if taken * count.bytes <= passed * share:
                piece = text.encode()[: share - taken].decode(errors="ignore")
                taken += len(piece.encode())
                yield piece
            passed += size
            if taken >= share:
                break


def shares_of_bytes(sizes: Mapping[str, int], groups: Mapping[str, str], limit: int) -> dict[str, int]:
    """Source -> bytes to draw of it: every group the same, at most `limit` and what the smallest group has.

    sizes: bytes of each source. groups: source -> group. Sources of a group share its bytes in proportion to size.
    """
    totals: dict[str, int] = {}
    for name, size in sizes.items():
        totals[groups[name]] = totals.get(groups[name], 0) + size
    share = min(limit, *totals.values())
    return {name: share * size // totals[groups[name]] for name, size in sizes.items()}
