"""Snapshots are the model as it was on the way, whole or not there, and the same after a kill."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import models
from storage.artifact import Artifact
from storage.runs import Run
from tasks.training.checkpoints import save_checkpoint
from tasks.training.jobs import run_job
from tasks.training.settings import ModelSettings, TrainingSettings
from tasks.training.snapshots import keep_snapshot
from tasks.training.task import train_seed
from tasks.training.training_run import Training, TrainingData, training_identity

STEPS = 12


class Cut(Exception):
    """Stands for a kill in the middle of training."""


@pytest.fixture
def long_job(job, new_model, tmp_path):
    """A run of `STEPS` steps that keeps its snapshots beside its model."""

    def build(name: str, stitched: bool = False, **changes):
        made = job(name, **{"snapshots": 2, **changes})
        made.plan["text"] = STEPS * 256
        if stitched:
            start = tmp_path / "stitched"
            models.StitchedForCausalLM.from_models(
                new_model(), {"x": new_model(1)}, num_stitches=1
            ).save_pretrained(start)
            made = replace(made, model=str(start))
        return replace(made, snapshots=str(Path(made.out).parent / "snapshots"))

    return build


@contextmanager
def cut_at(step: int, after: bool = True) -> Iterator[None]:
    """Kills the training within it at the checkpoint of a step: after that is written, or before."""

    def save(progress, at, *rest):
        if at == step and not after:
            raise Cut
        save_checkpoint(progress, at, *rest)
        if at == step:
            raise Cut

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Cut):
        patch.setattr("tasks.training.position.save_checkpoint", save)
        yield


def files_of(folder) -> dict[str, bytes]:
    folder = Path(folder)
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def weights_of(folder) -> torch.Tensor:
    model = models.load_causal_lm(folder, torch.float32)
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


@pytest.mark.parametrize(
    ("num_steps", "snapshots", "steps"),
    [(100, 0, []), (100, 1, [50]), (100, 2, [33, 67]), (10, 4, [2, 4, 6, 8]), (3, 20, [1, 2]), (1, 4, [])],
)
def test_snapshots_are_at_equal_distances_and_never_at_the_ends(num_steps, snapshots, steps):
    assert TrainingSettings(snapshots=snapshots).snapshot_steps(num_steps) == steps


@pytest.mark.parametrize("stitched", [False, True])
def test_a_snapshot_is_the_model_as_it_was_after_its_step(long_job, stitched, monkeypatch):
    at_step = {}

    def note(progress, step, trainable, *_):
        at_step[step] = {name: weight.detach().clone() for name, weight in trainable.items()}

    monkeypatch.setattr("tasks.training.position.save_checkpoint", note)
    made = long_job("one", stitched, checkpoint_seconds=1e-9)
    assert run_job(made, lambda row: None)["snapshots"] == [4, 8]
    assert sorted(p.name for p in Path(made.snapshots).iterdir()) == ["4", "8"]
    for step in (4, 8):
        folder = Path(made.snapshots) / str(step)
        assert {p.suffix for p in folder.iterdir()} <= {".json", ".safetensors", ".md"}
        found = dict(models.load_causal_lm(folder, torch.float32).named_parameters())
        assert all(torch.equal(found[name], weight) for name, weight in at_step[step].items())
        stored = load_file(folder / "model.safetensors").values()
        assert {weight.dtype for weight in stored} == {torch.float32}
    different = [weights_of(Path(made.snapshots) / "4"), weights_of(Path(made.snapshots) / "8")]
    final = weights_of(made.out)
    assert not torch.equal(*different) and not any(torch.equal(each, final) for each in different)


def test_snapshots_change_nothing_of_the_model(long_job):
    plain, keeping = long_job("plain", snapshots=0), long_job("keeping", snapshots=5)
    without = run_job(plain, lambda row: None)
    run_job(keeping, lambda row: None)
    assert files_of(plain.out) == files_of(keeping.out)
    assert without["snapshots"] == []
    assert not Path(plain.snapshots).exists()
    assert not (Path(plain.progress) / "snapshots").exists()


def test_a_job_that_names_no_folder_keeps_none(long_job):
    made = replace(long_job("proxy"), snapshots=None)
    assert run_job(made, lambda row: None)["snapshots"] == []
    assert {p.name for p in Path(made.out).parent.iterdir()} == {"model", "progress", "logs"}
    assert not (Path(made.progress) / "snapshots").exists()


@pytest.mark.parametrize("stitched", [False, True])
@pytest.mark.parametrize(
    ("step", "after", "kept", "again"),
    [(6, True, [4], [8]), (4, True, [4], [8]), (4, False, [4], [4, 8]), (10, True, [4, 8], [])],
)
def test_a_run_that_was_cut_ends_with_the_very_same_snapshots(
    long_job, monkeypatch, stitched, step, after, kept, again
):
    whole = long_job("whole", stitched)
    run_job(whole, lambda row: None)
    cut = long_job("cut", stitched, checkpoint_seconds=1e-9)
    with cut_at(step, after):
        run_job(cut, lambda row: None)
    folder = Path(cut.progress) / "snapshots"
    assert sorted(p.name for p in folder.iterdir()) == [f"{at}.safetensors" for at in kept]
    (folder / "writing").write_bytes(b"half a snapshot")

    written = []

    def note(progress, at, trainable):
        written.append(at)
        keep_snapshot(progress, at, trainable)

    monkeypatch.setattr("tasks.training.loop.keep_snapshot", note)
    outcome = run_job(cut, lambda row: None)
    assert outcome["resumed_at"] == (step if after else step - 1)
    assert written == again
    assert sorted(p.name for p in Path(cut.snapshots).iterdir()) == ["4", "8"]
    assert files_of(cut.snapshots) == files_of(whole.snapshots)


def test_a_run_that_was_cut_after_training_still_has_its_snapshots(long_job):
    whole = long_job("whole", checkpoint_seconds=1e-9)
    run_job(whole, lambda row: None)
    before = files_of(whole.snapshots)
    for folder in (
        whole.out,
        whole.snapshots,
        Path(whole.out).parent / "logs",
    ):  # as the store clears its work
        shutil.rmtree(folder)
    outcome = run_job(whole, lambda row: None)
    assert outcome["resumed_at"] == STEPS - 1
    assert files_of(whole.snapshots) == before


@pytest.mark.slow
def test_two_processes_keep_the_snapshots_of_one(long_job):
    one, two = long_job("one"), long_job("two", processes=2)
    run_job(one, lambda row: None)
    assert run_job(two, lambda row: None)["snapshots"] == [4, 8]
    for step in ("4", "8"):
        first, second = (weights_of(Path(made.snapshots) / step) for made in (one, two))
        torch.testing.assert_close(first, second, atol=2e-5, rtol=0)


def test_snapshots_count_for_what_a_run_is_only_where_it_keeps_some(settings):
    some = settings.model_copy(update={"snapshots": 3})
    assert training_identity(some, 1e-3) == training_identity(settings, 1e-3)
    assert training_identity(settings, 1e-3, keep_snapshots=True) == training_identity(settings, 1e-3)
    assert training_identity(some, 1e-3, keep_snapshots=True) == {
        **training_identity(settings, 1e-3),
        "snapshots": 3,
    }


@pytest.fixture
def seed_of(home, new_model, tokens, settings, tmp_path):
    """Trains the stage `seed` in a home, from a model that is there."""
    (tmp_path / "corpus" / "tokens").mkdir(parents=True)
    tokens.tofile(tmp_path / "corpus" / "tokens" / "text.bin")
    new_model().save_pretrained(tmp_path / "start")
    corpus = Artifact("sources", "", "c", "c", tmp_path / "corpus", {"token_dtype": "<u2"}, {})
    budget = STEPS * settings.tokens_per_step
    plan = {"mixture": {"sources": {"text": {"tokens": budget}}}, "budget": budget}
    mixture = Artifact("mixture", "seed", "m", "m", tmp_path, plan, {})
    run = Run(home, "snapshots", {})
    run.uses_prefect = False

    def train(name="", **options):
        asked = settings.model_copy(update={"snapshots": 2, "checkpoint_seconds": 1e-9})
        model = ModelSettings(pretrained=str(tmp_path / "start"))
        return train_seed(run, model, Training(asked, 0, **options), TrainingData(corpus, mixture), name)

    return train


def test_a_stage_tells_its_snapshots_and_goes_on_after_a_cut(seed_of, home):
    with cut_at(6):
        seed_of(keep_snapshots=True)
    (work,) = home.work.iterdir()
    assert sorted(p.name for p in work.iterdir()) == [".mixstitch", "progress"]
    seed = seed_of(keep_snapshots=True)
    assert seed.provenance["resumed_at"] == 6
    assert seed.facts["snapshots"] == [
        {"step": 4, "tokens": 4 * 256, "path": "snapshots/4"},
        {"step": 8, "tokens": 8 * 256, "path": "snapshots/8"},
    ]
    for snapshot in seed.facts["snapshots"]:
        assert not torch.equal(weights_of(seed.path / snapshot["path"]), weights_of(seed.path / "model"))
    assert seed_of(keep_snapshots=True).hit


def test_a_stage_that_is_not_asked_for_snapshots_keeps_none(seed_of):
    seed = seed_of(name="duel")
    assert seed.facts["snapshots"] == []
    assert not (seed.path / "snapshots").exists()
