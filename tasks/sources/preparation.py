"""From readers to token files: split, tasks, decontamination, tokenizer, token counts, in this order.

The order avoids two circles: tasks are made from held-out documents before anything is decontaminated against
them, and the tokenizer is trained on what is left after that. Between the passes documents lie in a spool on
disk, so memory does not grow with the corpus.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tasks.benchmarks.items import Benchmark, dev_texts, read_items, requests_of, split_dev_test, write_items
from tasks.sources.decontamination import ItemIndex
from tasks.sources.deduplication import SeenDocuments, document_hash, is_heldout
from tasks.sources.language_checks import language_told
from tasks.sources.lowest_hashes import LowestHashes
from tasks.sources.readers import read_documents
from tasks.sources.settings import SourceSettings, SourcesSettings
from tasks.sources.stated_sizes import check_sample, sample_facts, sampled_bytes_per_token, whole_of
from tasks.sources.tokenization import make_tokenizer, token_dtype, write_tokens

Report = Callable[[str], None]
MakeBenchmarks = Callable[[Mapping[str, list[str]]], list[Benchmark]]
FILE_NAME = re.compile(r"(?!\.)[^/\\\x00-\x1f]+")
MAX_FILE_NAME_BYTES = 200


@dataclass
class Counts:
    """What became of a source's documents; language: of its text, as a code."""

    documents: int = 0
    bytes: int = 0
    tokens: int = 0
    duplicates: int = 0
    heldout_documents: int = 0
    contaminated: dict[str, int] = field(default_factory=dict)
    removed: int = 0
    language: str | None = None


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
    for name in ("progress/raw", "progress/clean", "heldout", "samples", "tasks", "tokens"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    counts = {source.name: Counts(language=source.language) for source in sources}
    heldout = _read_and_split(sources, settings, spool, counts, report)
    for name, rows in heldout.items():
        write_items(folder / "heldout" / f"{name}.jsonl", rows)
    tasks, item_texts = _write_tasks(
        make_benchmarks({name: [row["text"] for row in rows] for name, rows in heldout.items()}),
        harness_texts,
        dev_share,
        folder,
    )
    index = ItemIndex(item_texts, settings.decontamination_words)
    sample = _decontaminate(counts, index, settings, spool, folder, report)
    for name, count in counts.items():
        if count.language is not None:
            texts = [row["text"] for row in read_items(folder / "samples" / f"{name}.jsonl")]
            count.language = language_told(texts, count.language, f"source {name!r}")
    report("making the tokenizer")
    tokenizer = make_tokenizer(settings.tokenizer, sample)
    tokenizer.save_pretrained(folder / "tokenizer")
    samples = {}
    for source in sources:
        name, count = source.name, counts[source.name]
        if source.size is not None:
            samples[name] = {"documents": count.documents, "bytes": count.bytes}
            rows = read_items(folder / "samples" / f"{name}.jsonl")
            per_token = sampled_bytes_per_token(tokenizer, [row["text"] for row in rows])
            whole = whole_of(source, count.documents, count.bytes, per_token)
            check_sample(source, whole, count.bytes)
            count.documents, count.bytes, count.tokens = whole.documents, whole.bytes, whole.tokens
            report(
                f"{name}: {count.tokens:,} tokens as stated, {samples[name]['documents']:,} documents read"
            )
            continue
        path = folder / "tokens" / f"{name}.bin"
        count.tokens = write_tokens(tokenizer, _spooled(_clean(spool, name)), path)
        report(f"{name}: {count.tokens:,} tokens")
    facts = {
        **sample_facts(samples),
        "sources": {name: vars(count) for name, count in counts.items()},
        "tasks": tasks,
        "items_too_short_to_look_for": index.num_too_short,
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


def _read_and_split(
    sources: Sequence[SourceSettings],
    settings: SourcesSettings,
    spool: Path,
    counts: dict[str, Counts],
    report: Report,
) -> dict[str, list[dict]]:
    """Spool the training documents and return the held-out rows by source."""
    heldout = {}
    seen_path = spool / "seen.db"
    seen_path.unlink(missing_ok=True)
    with SeenDocuments(seen_path) as seen:
        for source in sources:
            count = counts[source.name]
            kept = LowestHashes(settings.max_heldout_documents, settings.sample_characters)
            with _raw(spool, source.name).open("w", encoding="utf-8") as stream:
                for text in read_documents(source):
                    digest = document_hash(text)
                    if not seen.add(digest):
                        count.duplicates += 1
                    elif is_heldout(digest, settings.heldout_share):
                        count.heldout_documents += 1
                        kept.add(digest, text)
                    else:
                        stream.write(json.dumps(text) + "\n")
            heldout[source.name] = kept.rows()
            report(f"{source.name}: read, {count.heldout_documents} documents held out")
    seen_path.unlink()
    return heldout


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


def _decontaminate(
    counts: dict[str, Counts],
    index: ItemIndex,
    settings: SourcesSettings,
    spool: Path,
    folder: Path,
    report: Report,
) -> Iterator[str]:
    """Spool the clean documents and write the utility samples; returns texts to train a tokenizer on."""
    for name, count in counts.items():
        sample = LowestHashes(settings.sample_documents, settings.sample_characters)
        with _clean(spool, name).open("w", encoding="utf-8") as stream:
            for text in _spooled(_raw(spool, name)):
                found = index.tasks_in(text)
                if found:
                    count.removed += 1
                    for task in found:
                        count.contaminated[task] = count.contaminated.get(task, 0) + 1
                    continue
                count.documents += 1
                count.bytes += len(text.encode())
                sample.add(document_hash(text), text)
                stream.write(json.dumps(text) + "\n")
        _raw(spool, name).unlink()
        if count.documents == 0:
            raise ValueError(
                f"source {name!r}: no training document is left ({count.duplicates} duplicates, "
                f"{count.heldout_documents} held out, {count.removed} with evaluation items); allowed: a source "
                "with documents of its own"
            )
        write_items(folder / "samples" / f"{name}.jsonl", sample.rows())
        report(f"{name}: {count.documents:,} documents, {count.removed} removed for evaluation items")
    return _equal_bytes(counts, settings, spool)


def _equal_bytes(counts: dict[str, Counts], settings: SourcesSettings, spool: Path) -> Iterator[str]:
    """Documents of every source, as many bytes as `shares_of_bytes` says.

    They are spread over the whole source: a document is taken whenever less than its share has been taken.
    """
    sizes = {name: count.bytes for name, count in counts.items()}
    groups = {
        name: str(count.language) if settings.tokenizer_balance == "languages" else name
        for name, count in counts.items()
    }
    shares = shares_of_bytes(sizes, groups, settings.tokenizer_sample_bytes)
    for name, count in counts.items():
        share = shares[name]
        passed = taken = 0
        for text in _spooled(_clean(spool, name)):
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


def _raw(spool: Path, source: str) -> Path:
    return spool / "raw" / f"{source}.jsonl"


def _clean(spool: Path, source: str) -> Path:
    return spool / "clean" / f"{source}.jsonl"


def _spooled(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)
