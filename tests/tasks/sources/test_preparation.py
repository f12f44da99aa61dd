"""The prepared corpus: split by content, free of duplicates and of evaluation items, counted exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tasks.benchmarks.items import Benchmark, read_items
from tasks.sources.decontamination import ItemIndex
from tasks.sources.document_hashes import document_hash, is_heldout
from tasks.sources.lowest_hashes import LowestHashes
from tasks.sources.preparation import prepare
from tasks.sources.settings import SourceSettings, SourcesSettings, TokenizerSettings
from tasks.sources.tokenization import load_tokenizer, open_tokens, token_dtype

ITEM = "what is the name of the river that flows through the old town of bern"  # 15 words


def write_source(folder, name, texts) -> SourceSettings:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return SourceSettings(name=name, reader="jsonl", path=str(path))


def documents(prefix: str, count: int) -> list[str]:
    return [f"{prefix} document {number} about {number * 7} small things\n" for number in range(count)]


@pytest.fixture
def prepared(tmp_path):
    def build(extra_a=(), extra_b=(), out="out"):
        sources = [
            write_source(tmp_path, "a", [*documents("alpha", 200), *extra_a]),
            write_source(tmp_path, "b", [*documents("beta", 100), *extra_b]),
        ]
        settings = SourcesSettings(
            listed=tuple(sources),
            heldout_share=0.1,
            sample_documents=20,
            tokenizer_sample_bytes=10_000,
            tokenizer=TokenizerSettings(vocab_size=400),
        )
        items = [
            {"id": "1", "context": ITEM, "choices": [" aare", " rhine"], "answer": 0},
            {"id": "2", "context": "blue moon", "choices": [" rises", " sets"], "answer": 0},
        ]
        folder = tmp_path / out
        facts = prepare(
            sources=sources,
            settings=settings,
            make_benchmarks=lambda heldout: [Benchmark("quiz", "choice", None, "acc", items)],
            harness_texts={"other": {"dev": ["dev text of the other task"], "test": ["its test text here"]}},
            dev_share=0.5,
            folder=folder,
            report=lambda text: None,
        )
        return folder, facts

    return build


def test_counts_are_exact_and_tokens_decode_to_the_documents(prepared):
    folder, facts = prepared()
    tokenizer = load_tokenizer(folder / "tokenizer")
    for name, total in (("a", 200), ("b", 100)):
        count = facts["sources"][name]
        assert count["documents"] + count["heldout_documents"] == total
        tokens = open_tokens(folder / "tokens" / f"{name}.bin", facts["token_dtype"])
        assert len(tokens) == count["tokens"]
        texts = str(tokenizer.decode(np.asarray(tokens))).split(tokenizer.eos_token)
        assert texts.pop() == ""
        assert len(texts) == count["documents"]
        assert sum(len(text.encode()) for text in texts) == count["bytes"]
        heldout = {row["text"] for row in read_items(folder / "heldout" / f"{name}.jsonl")}
        assert len(heldout) == count["heldout_documents"]
        assert not heldout.intersection(texts)


def test_a_document_keeps_its_side_when_others_are_added(prepared):
    before, _ = prepared(out="before")
    after, _ = prepared(extra_a=documents("gamma", 300), out="after")

    def heldout(folder):
        return {row["text"] for row in read_items(folder / "heldout" / "a.jsonl")}

    assert heldout(before) == {text for text in heldout(after) if text.startswith("alpha")}


def test_exact_duplicates_go_also_between_sources(prepared):
    _, facts = prepared(extra_a=documents("alpha", 7), extra_b=documents("alpha", 5))
    assert facts["sources"]["a"]["duplicates"] == 7
    assert facts["sources"]["b"]["duplicates"] == 5


def test_documents_with_an_evaluation_item_go_counted_by_task(prepared):
    thirteen = " ".join(ITEM.split()[:13])
    twelve = " ".join(ITEM.split()[:12])
    contaminated = [f"{i} They asked: {thirteen.upper()}?! {i}" for i in range(20)]
    short = [f"{i} when a blue, moon rises {i}" for i in range(20)]
    clean = [f"{i} they asked {twelve} {i}" for i in range(20)]
    share = 0.1
    expected = sum(not is_heldout(document_hash(text), share) for text in [*contaminated, *short])
    _, without = prepared(out="without", extra_a=clean)
    _, facts = prepared(extra_a=[*clean, *contaminated, *short])
    assert facts["sources"]["a"]["removed"] == expected
    assert facts["sources"]["a"]["contaminated"] == {"quiz": expected}
    assert facts["sources"]["a"]["documents"] == without["sources"]["a"]["documents"]


def test_every_item_of_a_document_is_counted_for_its_task():
    index = ItemIndex({"t": ["one two three four"], "u": ["three four five", "no"]}, window=13)
    assert index.tasks_in("x One, two three four five.") == ["t", "u"]
    assert index.tasks_in("one two three") == []
    assert index.num_too_short == 1


ZH = "雨果是法国浪漫主义文学的代表作家他在流亡期间写下了小说悲惨世界和海上劳工"  # 36 characters
TH = "เมืองหลวงของประเทศไทยคือกรุงเทพมหานครซึ่งตั้งอยู่ริมแม่น้ำเจ้าพระยา"


def test_scripts_without_spaces_are_searched_by_characters():
    assert len(ZH) == 36
    index = ItemIndex({"zh": [ZH], "th": [TH], "short": ["法国作家", "กรุงเทพ"]}, window=13)
    assert index.num_too_short == 2
    # Two characters of Chinese are a word: 13 words are 26 characters, wherever the item's window begins.
    for begin in range(len(ZH) - 25):
        assert index.tasks_in(f"据说{ZH[begin : begin + 26]}等等") == ["zh"]
        assert index.tasks_in(f"据说{ZH[begin : begin + 25]}等等") == []
    assert index.tasks_in(f"甲，{ZH[:10]}。{ZH[10:20]} {ZH[20:]}") == ["zh"]
    # Four of Thai are: 52 characters.
    assert len(TH) > 52
    assert index.tasks_in("ว่า" + TH[-52:] + "นั้น") == ["th"]
    assert index.tasks_in("ว่า" + TH[-51:] + "นั้น") == []


def test_a_short_item_without_spaces_counts_where_it_stands_whole():
    index = ItemIndex({"zh": ["巴黎是法国的首都"], "mixed": ["用 Python 写函数"]}, window=13)
    assert index.num_too_short == 0
    assert index.tasks_in("众所周知，巴黎是法国的首都。") == ["zh"]
    assert index.tasks_in("众所周知，巴黎是法国的。") == []
    assert index.tasks_in("请用Python写函数吧") == ["mixed"]
    assert index.tasks_in("请用 python 写函数吧") == ["mixed"]


def test_sources_may_be_named_like_files_of_the_spool(tmp_path):
    names = ("corpus", "corpus.clean", "seen.db", "raw", "clean")
    sources = [write_source(tmp_path, name, documents(name, 40)) for name in names]
    facts = prepare(
        sources=sources,
        settings=SourcesSettings(listed=tuple(sources), tokenizer=TokenizerSettings(vocab_size=400)),
        make_benchmarks=lambda heldout: [],
        harness_texts={},
        dev_share=0.5,
        folder=tmp_path / "out",
        report=lambda text: None,
    )
    for name in names:
        count = facts["sources"][name]
        assert count["documents"] + count["heldout_documents"] == 40
        samples = read_items(tmp_path / "out" / "samples" / f"{name}.jsonl")
        assert len(samples) == count["documents"]
        assert all(row["text"].startswith(f"{name} document") for row in samples)


def test_a_harness_task_leaves_its_test_texts_too(prepared):
    folder, _ = prepared()
    assert read_items(folder / "tasks" / "other.dev.jsonl") == [{"text": "dev text of the other task"}]
    assert read_items(folder / "tasks" / "other.test.jsonl") == [{"text": "its test text here"}]


@pytest.mark.parametrize("name", ["a/b", "..", "n" * 201])
def test_a_harness_task_whose_name_is_no_file_name_is_refused_at_once(tmp_path, name):
    absent = SourceSettings(name="s", reader="jsonl", path=str(tmp_path / "none.jsonl"))
    with pytest.raises(ValueError, match=r"lm-eval task '.+' cannot name a file; allowed: at most 200 bytes"):
        prepare(
            sources=[absent],
            settings=SourcesSettings(listed=(absent,)),
            make_benchmarks=lambda heldout: [],
            harness_texts={name: {"dev": ["d"], "test": ["t"]}},
            dev_share=0.5,
            folder=tmp_path / "out",
            report=lambda text: None,
        )


def test_a_source_with_nothing_left_is_refused(tmp_path, prepared):
    with pytest.raises(ValueError, match="source 'b': no training document is left"):
        sources = [
            write_source(tmp_path, "a", documents("alpha", 50)),
            write_source(tmp_path, "b", documents("alpha", 50)),
        ]
        prepare(
            sources=sources,
            settings=SourcesSettings(listed=tuple(sources)),
            make_benchmarks=lambda heldout: [],
            harness_texts={},
            dev_share=0.5,
            folder=tmp_path / "out",
            report=lambda text: None,
        )


def test_a_sample_holds_the_lowest_hashes_whatever_the_order():
    texts = documents("x", 100)
    forward, backward = LowestHashes(10, 1000), LowestHashes(10, 1000)
    for text in texts:
        forward.add(document_hash(text), text)
    for text in reversed(texts):
        backward.add(document_hash(text), text)
    assert forward.rows() == backward.rows()
    assert {row["text"] for row in forward.rows()} == set(sorted(texts, key=document_hash)[:10])


def test_large_vocabularies_take_four_bytes():
    assert (token_dtype(65_536).itemsize, token_dtype(65_537).itemsize) == (2, 4)


def test_numbers_are_split_into_digits_and_no_byte_is_lost(prepared):
    folder, _ = prepared()
    tokenizer = load_tokenizer(folder / "tokenizer")
    text = "12345 äöü \x00 日本語\n\t  end"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert len(tokenizer("98765", add_special_tokens=False)["input_ids"]) == 5


def test_utility_samples_are_training_documents(prepared):
    folder, _ = prepared()
    heldout = {row["text"] for row in read_items(folder / "heldout" / "a.jsonl")}
    sample = {row["text"] for row in read_items(folder / "samples" / "a.jsonl")}
    assert len(sample) == 20
    assert not sample & heldout
    assert json.loads((folder / "tasks.json").read_text())["other"]["kind"] == "harness"
