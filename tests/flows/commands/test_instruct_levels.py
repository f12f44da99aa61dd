"""`mixstitch instruct levels`: levels follow from the results that a model was made of, or are refused."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import models
from flows.commands.app import app
from storage.damage import remove_tree
from storage.runs import Run
from storage.stages import Stage
from tasks.chat.plain_template import with_template
from tasks.sources.settings import TokenizerSettings
from tasks.sources.tokenization import make_tokenizer

LINES = [
    {"prompt": f"say {n}", "response": f"s{n}", "task": "say", "category": "talk", "demonstrations": n % 2}
    for n in range(4)
]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def chat_run(home, monkeypatch):
    """A chat run by its results: a seed whose mixture utility chose, instructions, and a fine-tuned model."""
    monkeypatch.setenv("MIXSTITCH_HOME", str(home.root))
    tokenizer = with_template(make_tokenizer(TokenizerSettings(vocab_size=320), ["some words of text"] * 9))
    config = models.seed_config(len(tokenizer), 16, 1, 1, max_length=400, ffn_multiple=8)
    run = Run(home, "chat", {"random_seed": 0})

    def instructed(folder):
        write(folder / "dialogues.jsonl", LINES)
        tokenizer.save_pretrained(folder / "tokenizer")
        return {}

    def made(folder):
        models.new_seed_model(config, 0).save_pretrained(folder / "model")
        return {"provenance": {"training_seconds": 1.0}}

    def stage(name, build, label="", **inputs):
        digests = {key: artifact.digest for key, artifact in inputs.items()}
        return run.stage(Stage(name, 1, {}, digests, build, label))

    def noted(name, **facts):
        return lambda folder: (folder / "note.txt").write_text(name) and facts

    sources = stage("sources", noted("sources", tasks={"chosen-by": {}}))
    utility = stage("utility", noted("utility"), sources=sources)
    mixture = stage("mixture", noted("mixture"), utility=utility)
    seed = stage("seed", made, mixture=mixture)
    instructions = stage("instructions", instructed, sources=sources)
    stage("sft", made, "seed0", instructions=instructions, base=seed)
    run.finish("completed")
    return {"home": home, "seed": seed, "mixture": mixture}


@pytest.fixture
def tested(tmp_path):
    folder = tmp_path / "tested"
    write(
        folder / "talk" / "say.jsonl", [{"prompt": f"please say {n}", "response": f"t{n}"} for n in range(3)]
    )
    write(folder / "talk" / "ask.jsonl", [{"prompt": f"ask {n}", "response": f"q{n}"} for n in range(3)])
    write(folder / "sums" / "add.jsonl", [{"prompt": f"add {n}", "response": f"{n}"} for n in range(3)])
    write(folder / "known" / "chosen-by.jsonl", [{"prompt": f"c {n}", "response": f"{n}"} for n in range(3)])
    return folder


def invoked(*arguments):
    return CliRunner().invoke(app, ["instruct", "levels", *map(str, arguments)])


def test_levels_follow_from_the_lineage(chat_run, tested):
    given = ("--test", tested, "--model", "base=latest:seed", "--model", "sft/seed0")
    done = invoked(*given, "--shots", 2, "--new-tokens", 4, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert {row["task"]: row["level"] for row in told["tasks"]} == {
        "say": "held-out instance",
        "ask": "held-out task",
        "add": "held-out category",
        "chosen-by": "seen",
    }
    cells = [(r["level"], r["model"], r["shots"], r["taught_with_demonstrations"]) for r in told["levels"]]
    levels = ("held-out category", "held-out task", "held-out instance", "seen")
    by_model = (("base", False), ("sft/seed0", True))
    assert cells == [(level, m, shots, d) for level in levels for m, d in by_model for shots in (0, 2)]
    assert all(
        row["items"] == 3 and row["bits_low"] < row["bits"] < row["bits_high"] for row in told["levels"]
    )
    assert told["given_before"] == []


def test_a_lineage_with_a_gap_proves_nothing(chat_run, tested):
    remove_tree(chat_run["mixture"].path)
    done = invoked("--test", tested, "--model", "sft/seed0")
    assert "seed: mixture that it was made from is not in the store any more" in str(done.exception)


def test_what_is_no_chat_model_is_refused(chat_run, tested):
    done = invoked("--test", tested, "--model", "sources")
    assert "--model sources: no such result; allowed: seed, sft/seed0" in str(done.exception)
    twice = invoked("--test", tested, "--model", "sft/seed0", "--model", "sft/seed0")
    assert "'sft/seed0' stands twice" in str(twice.exception)
