"""What held-out text and benchmarks of the corpus do not test: switching documents and cross-capability tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.benchmarks.items import Benchmark, read_items, requests_of, write_items
from tasks.duels.stitches.cross_problems import cross_tasks, cross_text
from tasks.duels.stitches.switching import switching_documents
from tasks.sources.tokenization import load_tokenizer, write_tokens

SWITCHING, CROSS_TEXT = "switching", "cross-text"
CHARACTERS_PER_TOKEN = 8  # more than a tokenizer that was trained on such text reaches


def make_probes(
    folder: Path,
    corpus: Path,
    domains: Mapping[str, Sequence[str]],
    num_documents: int,
    num_items: int,
    num_tokens: int,
    random_seed: int,
) -> dict[str, Any]:
    """Write tasks/, heldout/ and tokens/ into `folder` as a corpus has them; returns their facts.

    domains: domain -> its sources. tokens/cross-text.bin is in-domain training text for the cross-capability tasks,
    of at least `num_tokens` tokens.
    """
    for name in ("tasks", "heldout", "tokens"):
        (folder / name).mkdir()
    texts = {
        domain: [
            row["text"] for source in sources for row in read_items(corpus / "heldout" / f"{source}.jsonl")
        ]
        for domain, sources in domains.items()
    }
    documents = switching_documents(texts, num_documents, random_seed)
    write_items(folder / "heldout" / f"{SWITCHING}.jsonl", ({"text": text} for text in documents))
    tasks = cross_tasks(num_items, random_seed)
    for task in tasks:
        write_items(folder / "tasks" / f"{task.name}.test.jsonl", task.items)
    tokenizer = load_tokenizer(corpus / "tokenizer")
    text = _up_to(CHARACTERS_PER_TOKEN * num_tokens, cross_text(tasks, random_seed))
    count = write_tokens(tokenizer, text, folder / "tokens" / f"{CROSS_TEXT}.bin")
    return _facts(tasks, len(documents)) | {"metrics": {f"tokens/{CROSS_TEXT}": count}}


def expected_probes(num_documents: int, num_items: int, random_seed: int) -> dict[str, Any]:
    """The facts of probes before they are written: the problems are known, documents as many as there may be."""
    return _facts(cross_tasks(num_items, random_seed), num_documents)


def _facts(tasks: Sequence[Benchmark], num_documents: int) -> dict[str, Any]:
    told = {}
    for task in tasks:
        requests, size = requests_of(task)
        about = {"kind": task.kind, "source": task.source, "metric": task.metric}
        told[task.name] = about | {"requests": requests, "request_bytes": size}
    return {"tasks": told, "sources": {SWITCHING: {"documents": num_documents}}}


def _up_to(characters: int, texts: Iterator[str]) -> Iterator[str]:
    for text in texts:
        yield text
        characters -= len(text)
        if characters <= 0:
            return
