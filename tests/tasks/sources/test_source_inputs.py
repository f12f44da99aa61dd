"""What identifies the corpus is what is read: files by content, datasets by commit."""

from __future__ import annotations

from types import SimpleNamespace

import datasets
import huggingface_hub
import pytest

import tasks.sources.task as task
from storage.home import Home
from storage.unrecorded import UnrecordedRun
from tasks.benchmarks.settings import MadeTask
from tasks.evaluation.settings import EvaluationSettings
from tasks.sources.readers import read_documents
from tasks.sources.settings import SourceSettings, SourcesSettings

NO_TASKS = EvaluationSettings(made=())
COMMITS = {None: "a" * 40, "main": "a" * 40, "v1": "b" * 40}


@pytest.fixture
def hub(monkeypatch):
    """A Hub whose newest commit moves on after it was asked for; notes the revisions that are read."""
    commits, read = dict(COMMITS), []

    def dataset_info(self, dataset, revision=None):
        commit = commits[revision]
        commits.update({None: "c" * 40, "main": "c" * 40})
        return SimpleNamespace(sha=commit)

    def load_dataset(dataset, subset, split, revision, streaming):
        read.append(revision)
        return [{"text": f"text of {revision}"}]

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return read


@pytest.mark.parametrize(
    ("revision", "commit"), [(None, "a" * 40), ("main", "a" * 40), ("v1", "b" * 40), ("d" * 40, "d" * 40)]
)
def test_a_dataset_is_read_at_the_commit_that_identifies_it(hub, monkeypatch, tmp_path, revision, commit):
    listed = (SourceSettings(name="h", reader="huggingface", dataset="some/data", revision=revision),)
    documents: list[str] = []

    class RunThatBuilds(UnrecordedRun):
        def stage(self, stage):
            assert stage.inputs == {"source h": commit}
            assert stage.identity["sources"][0]["revision"] == commit
            stage.build(tmp_path)
            return SimpleNamespace(facts={"sources": {}})

    def prepare(sources, **others):
        documents.extend(text for source in sources for text in read_documents(source))

    monkeypatch.setattr("tasks.sources.preparation.prepare", prepare)
    task.prepare_sources(RunThatBuilds(Home(tmp_path)), SourcesSettings(listed=listed), NO_TASKS, 0)
    assert documents == [f"text of {commit}"]
    assert hub == [commit]


def refuse(error):
    raise error


def test_a_hub_that_does_not_answer_is_told_from_a_name_that_is_none(monkeypatch):
    def no_network(self, dataset, revision=None):
        raise ConnectionError

    settings = SourcesSettings(listed=(SourceSettings(name="h", reader="huggingface", dataset="a/b/c"),))
    with pytest.raises(ValueError, match=r"source 'h': .*'a/b/c'.*Repo id") as caught:
        task.sources_to_read(settings, NO_TASKS, refuse)
    assert not isinstance(caught.value, task.HubUnreachable)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", no_network)
    with pytest.raises(task.HubUnreachable, match=r"source 'h': .*ConnectionError.*a commit"):
        task.sources_to_read(settings, NO_TASKS, refuse)


@pytest.mark.parametrize("error", [ValueError("Bad split: x"), RuntimeError("no scripts"), OSError()])
def test_a_dataset_that_cannot_be_read_is_named(monkeypatch, error):
    def load_dataset(*args, **kwargs):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(ValueError, match=f"source 'h': .*'a/b' could not be read: {type(error).__name__}"):
        list(read_documents(SourceSettings(name="h", reader="huggingface", dataset="a/b")))


def test_a_file_that_may_not_be_read_is_named(monkeypatch, tmp_path):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "a.jsonl").touch()
    monkeypatch.setattr(task, "digest_file", refuse)
    listed = (SourceSettings(name="s", reader="jsonl", path=str(tmp_path / "a.jsonl")),)
    with pytest.raises(ValueError, match=r"source 's': .*a\.jsonl: cannot be read: Permission denied"):
        task.source_inputs(listed)
    for field in ("folder", "task_folder"):
        evaluation = EvaluationSettings(made=(), **{field: tmp_path})
        with pytest.raises(ValueError, match=rf"evaluation\.{field}=.*a\.jsonl: cannot be read: Permission"):
            task.benchmark_inputs(evaluation)


def test_only_the_files_that_are_read_identify_the_tasks(tmp_path):
    for file in ("a.jsonl", ".a.jsonl", "notes.md", "__pycache__/task.pyc", "data/items.json"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    folder = task.benchmark_inputs(EvaluationSettings(made=(), folder=tmp_path))
    assert list(folder) == ["evaluation.folder a.jsonl"]
    task_folder = task.benchmark_inputs(EvaluationSettings(made=(), task_folder=tmp_path))
    assert {name.split(" ", 1)[1] for name in task_folder} == {
        ".a.jsonl",
        "a.jsonl",
        "data/items.json",
        "notes.md",
    }


def test_a_made_task_without_its_source_is_refused_before_anything_is_read(tmp_path):
    listed = (SourceSettings(name="s", reader="jsonl", path=str(tmp_path / "never-looked-at.jsonl")),)
    evaluation = EvaluationSettings(made=(MadeTask(name="t", kind="cloze", source="nowhere"),))

    class RunThatBuilds(UnrecordedRun):
        def stage(self, stage):
            raise AssertionError("the stage began")

    with pytest.raises(
        ValueError, match="task 't' is made from source 'nowhere', which is not there; allowed: s"
    ):
        task.prepare_sources(RunThatBuilds(Home(tmp_path)), SourcesSettings(listed=listed), evaluation, 0)
