"""Benchmarks by the words of a command: folders of files, folders of YAMLs, names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.benchmarks.given_benchmarks import given_benchmarks

ROWS = [
    {"question": f"What is {n} and one?", "choices": [str(n + 1), "none"], "answer_idx": 0} for n in range(6)
]
YAML = """\
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: items.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_target: "{{answer_idx}}"
doc_to_choice: "{{choices}}"
"""


def folder_of_files(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_a_folder_of_files_is_read_and_what_is_left_out_is_told(tmp_path):
    folder = folder_of_files(tmp_path / "own", "sums")
    (folder / "notes.doc").write_text("")
    given = given_benchmarks([str(folder)], "--benchmarks", max_items=3)
    assert [(b.name, len(b.items)) for b in given.files] == [("sums", 3)]
    assert given.kinds == {"sums": {"kind": "choice"}}
    assert "notes.doc" in given.left_out[0]


def test_a_folder_with_yamls_and_names_go_to_the_harness(tmp_path):
    folder = folder_of_files(tmp_path / "tasks", "items")
    (folder / "sums.yaml").write_text(YAML)
    given = given_benchmarks([str(folder), "arc_easy, piqa"], "--benchmarks")
    assert (given.files, given.folders, given.names) == ((), (folder,), ("arc_easy", "piqa"))


def test_both_kinds_have_a_dev_and_a_test_side(tmp_path):
    files, tasks = folder_of_files(tmp_path / "own", "own"), folder_of_files(tmp_path / "tasks", "items")
    (tasks / "sums.yaml").write_text(YAML)
    sides = given_benchmarks([str(files), str(tasks)], "--benchmarks").sides(0.5)
    assert sides.keys() == {"own", "sums"}
    for texts in sides.values():
        assert len(texts.dev) + len(texts.test) == 6 and texts.dev and texts.test


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{0}/none"], r"--benchmarks=.*none: no such folder"),
        (["{0}/empty"], r"--benchmarks=.*empty: holds no benchmark"),
        (["{0}/own", "{0}/again"], "'sums' is given twice"),
        (["{0}/own", "sums"], "'sums' is given twice"),
        (["piqa,piqa"], "'piqa' is given twice"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path, words, told):
    (tmp_path / "empty").mkdir()
    folder_of_files(tmp_path / "own", "sums")
    folder_of_files(tmp_path / "again", "sums")
    with pytest.raises(ValueError, match=told):
        given_benchmarks([word.format(tmp_path) for word in words], "--benchmarks")
