"""A corpus made by several processes: byte for byte that of one, one message for what is wrong, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from storage.fingerprint import digest_file
from tasks.benchmarks.items import Benchmark, read_items
from tasks.sources import near_duplicates, sharding, spool
from tasks.sources.document_hashes import document_hash, is_heldout
from tasks.sources.preparation import prepare
from tasks.sources.resolving import resolve_sources
from tasks.sources.settings import FuzzyDuplicates, SourceSettings, SourcesSettings, TokenizerSettings
from tasks.sources.shard_steps import STEPS
from tasks.sources.shard_workers import Workers
from tasks.sources.sharding import units_of, workers_worth
from tasks.sources.tokenization import SavedEncoder, load_tokenizer, save_encoder

ITEM = "what is the name of the river that flows through the old town of bern"
FILES, DOCUMENTS = 4, 60
WORDS = 204  # of a document with 200 5-grams


def write_rows(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")


@pytest.fixture
def two_sources(tmp_path):
    """Files with copies within and between files and sources, and with items of a benchmark."""
    for name in ("a", "b"):
        for file in range(FILES):
            own = [f"{name} document {file} {n} about {n * 7} small things" for n in range(DOCUMENTS)]
            shared = [f"document {n} that all files have" for n in range(file, 8 + file)]
            items = [f"{n} they asked {ITEM} {name}" for n in range(3)]
            write_rows(tmp_path / f"{name}-{file}.jsonl", [*own, *shared, *items])
    return [
        SourceSettings(name=name, reader="jsonl", path=str(tmp_path / f"{name}-*.jsonl"))
        for name in ("a", "b")
    ]


def made(sources, folder, **settings):
    """(facts, digest of every file) of a corpus."""
    items = [
        {"id": str(n), "context": text, "choices": [" aare", " rhine"], "answer": 0}
        for n, text in enumerate((ITEM, "which one"))
    ]
    facts = prepare(
        sources=sources,
        settings=SourcesSettings(
            listed=tuple(sources),
            heldout_share=0.1,
            tokenizer_sample_bytes=10_000,
            tokenizer=TokenizerSettings(vocab_size=400),
            **settings,
        ),
        make_benchmarks=lambda heldout: [Benchmark("quiz", "choice", None, "acc", items)],
        harness_texts={},
        dev_share=0.5,
        folder=folder,
        report=lambda text: None,
    )
    kept = [path for path in folder.rglob("*") if path.is_file() and "progress" not in path.parts]
    return facts, {str(path.relative_to(folder)): digest_file(path) for path in kept}


@pytest.mark.parametrize("fuzzy", [None, FuzzyDuplicates()], ids=["exact", "fuzzy"])
def test_any_number_of_workers_makes_the_same_corpus(two_sources, tmp_path, monkeypatch, fuzzy):
    if fuzzy is not None:
        pytest.importorskip("datasketch")
    started = []

    class Noted(subprocess.Popen):
        def __init__(self, *command, **how):
            started.append(command)
            super().__init__(*command, **how)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    facts, alone = made(two_sources, tmp_path / "1", workers=3, fuzzy_duplicates=fuzzy)
    counts = facts["sources"]
    assert counts["a"]["duplicates"] == 8 * 4 - 11 + 3 * 3  # of 11 texts and of 3
    assert counts["b"]["duplicates"] == 8 * 4 + 3 * 3
    assert [count.get("near_duplicates", 0) > 0 for count in counts.values()] == [fuzzy is not None] * 2
    assert fuzzy is not None or counts["a"]["removed"] + counts["b"]["removed"] == 6
    assert started == []
    monkeypatch.setattr(sharding, "WORTH_BYTES", 0)
    for workers in (2, 3):
        folder = tmp_path / str(workers)
        _, found = made(two_sources, folder, workers=workers, fuzzy_duplicates=fuzzy)
        assert found == alone
        assert len(started) == workers
        started.clear()


def test_neither_order_nor_chunks_change_the_corpus(two_sources, tmp_path, monkeypatch):
    _, alone = made(two_sources, tmp_path / "1")

    def backwards(self, step, jobs):
        results = [STEPS[step](job) for job in reversed(jobs)]
        return reversed(results)

    monkeypatch.setattr(Workers, "each", backwards)
    monkeypatch.setattr(spool, "CHUNK_CHARACTERS", 1000)
    _, found = made(two_sources, tmp_path / "2")
    assert found == alone
    assert (tmp_path / "2" / "progress" / "clean" / "00000000-0000002.jsonl").exists()


def test_what_is_wrong_in_a_worker_is_told_as_without_workers(two_sources, tmp_path, monkeypatch):
    for file in (3, 1):
        with (tmp_path / f"a-{file}.jsonl").open("a") as stream:
            stream.write('{"body": 1}\n')
    told = []
    for worth in (sharding.WORTH_BYTES, 0):
        monkeypatch.setattr(sharding, "WORTH_BYTES", worth)
        with pytest.raises(ValueError) as error:
            made(two_sources, tmp_path / "out", workers=2)
        told.append(str(error.value))
    row = DOCUMENTS + 8 + 3 + 1
    assert f"source 'a': {tmp_path / 'a-1.jsonl'}:{row}: field 'text' is missing" in told[0]
    assert told[1] == told[0]
    assert not [child for child in psutil.Process().children() if "shard_workers" in str(child.cmdline())]


ENDLESS = """
import sys
from pathlib import Path
from tasks.sources.settings import SourceSettings
from tasks.sources.shard_workers import Workers
from tasks.sources.spool import FOLDERS

for name in FOLDERS:
    Path(sys.argv[1], name).mkdir(parents=True)
source = SourceSettings(name="a", reader="arithmetic", max_documents=10**9).model_dump()
jobs = [{"source": source, "spool": sys.argv[1], "unit": unit, "heldout_share": 0.1} for unit in range(2)]
with Workers(2) as workers:
    list(workers.each("read_unit", jobs))
"""


def _wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@pytest.fixture
def endless(tmp_path):
    """(a process whose two workers read without end, the workers)"""
    command = [sys.executable, "-c", ENDLESS, str(tmp_path / "spool")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            started = psutil.Process(process.pid)
            at_work = tmp_path / "spool" / "raw"
            assert _wait_for(lambda: at_work.exists() and len(list(at_work.glob("*training*"))) == 2)
            yield process, started.children()
        finally:
            process.kill()


def test_a_killed_run_leaves_no_worker_behind(endless):
    process, workers = endless
    assert len(workers) == 2
    os.kill(process.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


def test_a_worker_that_is_killed_ends_the_run_with_a_sentence(endless):
    process, workers = endless
    workers[0].kill()
    told = process.communicate(timeout=30)[1]
    assert "a worker process was ended from outside (exit status -9) in read_unit" in told
    assert psutil.wait_procs(workers, timeout=10)[1] == []


def test_little_text_takes_one_process(two_sources):
    units = [unit for source in two_sources for unit in units_of(source)]
    assert len(units) == 2 * FILES
    assert workers_worth(8, units) == 1
    large = [sharding.Unit(two_sources[0], sharding.WORTH_BYTES)]
    assert workers_worth(8, large) == 8
    assert workers_worth(None, large) == len(os.sched_getaffinity(0))
    limited = two_sources[0].model_copy(update={"max_documents": 5})
    assert [unit.source for unit in units_of(limited)] == [limited]


def test_a_saved_encoder_cuts_as_the_tokenizer_does(two_sources, tmp_path):
    made(two_sources, tmp_path / "out")
    tokenizer = load_tokenizer(tmp_path / "out" / "tokenizer")
    place = save_encoder(tokenizer, tmp_path / "encoder.json")
    texts = ["document 17 <|endoftext|> äö \x00 日本語", "", "about  small\tthings\n"]
    wanted = tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    for where in (place, tmp_path / "out" / "tokenizer"):
        assert SavedEncoder(where, tokenizer.eos_token_id, len(tokenizer))(texts) == wanted


def pair(number, similarity):
    """Two documents whose sets of 5-grams have this Jaccard similarity: of 200 each, m = 400 s / (1 + s) are shared."""
    words = [f"w{number}x{place}" for place in range(WORDS)]
    shared = round(2 * (WORDS - 4) * similarity / (1 + similarity))
    other = words[: shared + 4] + [f"v{number}x{place}" for place in range(WORDS - 4 - shared)]
    one, two = (near_duplicates.shingles(" ".join(text), 5) for text in (words, other))
    assert len(one & two) / len(one | two) == pytest.approx(similarity, abs=0.005)
    return " ".join(words), " ".join(other)


def test_of_near_duplicates_the_one_with_the_lowest_hash_stays(tmp_path):
    pytest.importorskip("datasketch")
    near = [pair(number, 0.95) for number in range(30)]
    apart = [pair(number, 0.6) for number in range(100, 110)]
    first, second = zip(*near, *apart, strict=True)
    kept = []
    for order, (here, there) in {"ab": (first, second), "ba": (second, first)}.items():
        write_rows(tmp_path / "a.jsonl", here)
        write_rows(tmp_path / "b.jsonl", there)
        sources = [
            SourceSettings(name=name, reader="jsonl", path=str(tmp_path / f"{name}.jsonl")) for name in "ab"
        ]
        facts, _ = made(sources, tmp_path / order, fuzzy_duplicates=FuzzyDuplicates())
        assert sum(count["near_duplicates"] for count in facts["sources"].values()) == 30
        assert sum(count["duplicates"] for count in facts["sources"].values()) == 0
        folders = [
            (tmp_path / order / folder / f"{name}.jsonl")
            for folder in ("samples", "heldout")
            for name in "ab"
        ]
        kept.append({row["text"] for path in folders for row in read_items(path)})
    lowest = {min(texts, key=document_hash) for texts in near}
    assert kept == [lowest | {text for texts in apart for text in texts}] * 2
    trained = {
        row["text"] for name in "ab" for row in read_items(tmp_path / "ab" / "samples" / f"{name}.jsonl")
    }
    assert not any(
        is_heldout(document_hash(text), 0.1) for texts in near for text in texts if text in trained
    )


def test_near_duplicates_without_the_package_are_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.sources.resolving.find_spec", lambda name: None)
    absent = SourceSettings(name="a", reader="jsonl", path=str(tmp_path / "none.jsonl"), language_field="l")
    with pytest.raises(ValueError, match=r"sources.fuzzy_duplicates: .* pip install 'mixstitch\[fuzzy\]'"):
        resolve_sources(SourcesSettings(listed=(absent,), fuzzy_duplicates=FuzzyDuplicates()))
