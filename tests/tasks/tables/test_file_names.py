"""Files get legal, readable names whatever they are called, as sources and as tasks."""

from __future__ import annotations

import json
import re

import pytest

from tasks.benchmarks.benchmark_files import read_benchmark_folder
from tasks.sources.readers import read_documents
from tasks.sources.resolving import resolve_sources
from tasks.sources.settings import NAME_PATTERN, SourceSettings, SourcesSettings


def source_names(folder) -> list[str]:
    return [source.name for source in resolve_sources(SourcesSettings(listed=(), folder=folder))]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("plain-1.0_b.jsonl.gz", "plain-1.0_b"),
        ("données.jsonl", "donnees"),
        ("donne\u0301es.jsonl.zst", "donnees"),
        ("my corpus (2).jsonl", "my-corpus-2"),
        ("_x.jsonl", "x"),
        ("old.jsonl.jsonl", "old.jsonl"),
        ("n" * 60 + ".jsonl", "n" * 60),
    ],
)
def test_a_file_gives_its_source_a_legal_name(tmp_path, file, name):
    (tmp_path / file).write_text('{"text": "t"}\n', encoding="utf-8")
    assert source_names(tmp_path) == [name]


def test_what_a_name_cannot_spell_is_told_apart_by_a_digest(tmp_path):
    for file in ("新闻 2024", "百科 2024", "数据", "n" * 70, "n" * 69 + "m", "___"):
        (tmp_path / f"{file}.jsonl").write_text('{"text": "t"}\n')
    names = source_names(tmp_path)
    assert names == source_names(tmp_path)
    assert len(set(names)) == 6
    assert all(re.fullmatch(NAME_PATTERN, name) and len(name) <= 60 for name in names)
    assert sum(name.startswith("n" * 51 + "-") for name in names) == 2
    assert sum(name.startswith("2024-") for name in names) == 2
    assert sum(name.startswith("file-") for name in names) == 2


def test_hidden_files_and_folders_are_no_sources(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "t"}\n')
    (tmp_path / "._a.jsonl").write_bytes(b"\x00\x05")
    (tmp_path / ".jsonl").touch()
    (tmp_path / "folder.jsonl").mkdir()
    (found,) = resolve_sources(SourcesSettings(listed=(), folder=tmp_path))
    assert found.name == "a"
    assert list(read_documents(found)) == ["t"]


def test_names_that_collide_name_both_files(tmp_path):
    for file in ("my corpus.jsonl", "my-corpus.jsonl.gz"):
        (tmp_path / file).touch()
    with pytest.raises(
        ValueError, match=r"my corpus\.jsonl and my-corpus\.jsonl\.gz both get the name 'my-corpus'"
    ):
        source_names(tmp_path)
    (tmp_path / "my corpus.jsonl").unlink()
    listed = (SourceSettings(name="my-corpus", reader="noise", max_documents=1),)
    with pytest.raises(
        ValueError, match=r"duplicate name 'my-corpus': in sources\.listed and of .*my-corpus\.jsonl\.gz"
    ):
        resolve_sources(SourcesSettings(listed=listed, folder=tmp_path))


def test_tasks_are_named_as_sources_are(tmp_path):
    row = json.dumps({"question": "q", "answer": "a"}) + "\n"
    for file in ("my bench.jsonl", "élan#1?.jsonl", "plain.jsonl", "t" * 90 + ".jsonl"):
        (tmp_path / file).write_text(row)
    (tmp_path / "._plain.jsonl").write_bytes(b"\x00\x05")
    names = [benchmark.name for benchmark in read_benchmark_folder(tmp_path)[0]]
    assert names[:3] == ["elan-1", "my-bench", "plain"]
    assert len(names) == 4 and len(names[3]) == 80
    (tmp_path / "my-bench.jsonl").write_text(row)
    with pytest.raises(ValueError, match=r"my bench\.jsonl and my-bench\.jsonl both get the name 'my-bench'"):
        read_benchmark_folder(tmp_path)
