"""Benchmarks of code: pass@k against counting, and programs that are run only where that is asked for."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from lm_eval.api.instance import Instance

from tasks.benchmarks.benchmark_files import read_benchmark_folder
from tasks.benchmarks.code_tasks import CodeRunning
from tasks.benchmarks.kinds.code import KIND
from tasks.benchmarks.pass_at_k import pass_at_k
from tasks.evaluation.evaluating import ChosenItems, evaluate
from tasks.evaluation.harness_model import HarnessModel
from tasks.evaluation.stopping import Enough
from tests.tasks.evaluation.test_evaluate import ABC, BigramModel
from tests.tasks.sandbox.test_sandbox import pytestmark

MBPP = (
    '{"id": %d, "question": "Add %d", "canonical_solution": "def f(n):\\r\\n  return n + %d", '
    '"test_setup": "g = 1", "tests": ["assert f(g) == %d"]}\n'
)
HUMAN_EVAL = (
    '{"id": "h", "prompt": "def f(n):\\n", "entry_point": "f", "canonical_solution": "    return n\\n", '
    '"test": "def check(candidate):\\n    assert candidate(2) == 2\\n"}\n'
)
__all__ = ["pytestmark"]  # they need the sandbox


def test_pass_at_k_is_the_share_of_choices_in_which_one_passes():
    for written in range(1, 7):
        for passed, k in itertools.product(range(written + 1), range(1, written + 1)):
            choices = list(itertools.combinations(range(written), k))
            expected = sum(min(choice) < passed for choice in choices) / len(choices)
            assert pass_at_k(written, passed, k) == pytest.approx(expected, abs=1e-12)
    assert pass_at_k(200, 1, 100) == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"pass@3 of 2 programs"):
        pass_at_k(2, 1, 3)


@pytest.fixture
def benchmark(tmp_path: Path):
    """Four items of which item n asks for a function that adds n."""
    (tmp_path / "adding.jsonl").write_text("".join(MBPP % (n, n, n, n + 1) for n in range(4)))
    (tmp_path / "human.jsonl").write_text(HUMAN_EVAL)
    (adding, human), warnings = read_benchmark_folder(tmp_path)
    assert (warnings, adding.kind, human.kind) == ([], "code", "code")
    return adding, human


def program(item: dict) -> str:
    assert KIND.code is not None
    return KIND.code.program(item, item["references"][0])


def test_a_reference_and_its_tests_make_a_program(benchmark):
    adding, human = benchmark
    item = adding.items[2]
    assert item["context"] == '"""\nAdd 2\nassert f(g) == 3\n"""\n'
    assert program(item) == "def f(n):\n  return n + 2\n\n\ng = 1\nassert f(g) == 3\n"
    assert (human.items[0]["context"], human.items[0]["references"]) == ("def f(n):", ["\n    return n\n"])
    assert program(human.items[0]).endswith(
        "    return n\n\n\ndef check(candidate):\n    assert candidate(2) == 2\n\n\ncheck(f)\n"
    )


def writing(monkeypatch, texts) -> list[Instance]:
    """The model writes texts(item's number, draw's number); what it was asked for is kept."""
    asked: list[Instance] = []

    def write(self, requests, disable_tqdm=True):
        asked.extend(requests)
        return [texts(int(one.doc["id"]), one.args[1].get("draw", 0)) for one in requests]

    monkeypatch.setattr(HarnessModel, "generate_until", write)
    return asked


def test_programs_are_run_and_scored_only_where_that_is_asked_for(benchmark, monkeypatch):
    # Item n is right in its first n of four draws; the next ends before its tests do.
    def text(item: int, draw: int) -> str:
        return f"def f(n):\n  return n + {item}" if draw < item else "import os\nos._exit(0)"

    asked = writing(monkeypatch, text)
    plain = evaluate(BigramModel(), ABC, [benchmark[0]])
    assert plain.frame["metric"].tolist() == ["bits_per_byte"] and not asked
    running = CodeRunning(programs=4, pass_at=(1, 3), temperature=0.5, most_tokens=7)
    scores = evaluate(BigramModel(), ABC, [benchmark[0]], running=running)
    rows = {row["metric"]: row for row in scores.rows()}
    at_three = [0, 3 / 4, 1, 1]
    assert rows["pass@1"]["value"] == pytest.approx((0 + 1 + 2 + 3) / 16)
    assert rows["pass@3"]["value"] == pytest.approx(sum(at_three) / 4)
    mean = sum(at_three) / 4
    assert rows["pass@3"]["stderr"] == pytest.approx(
        math.sqrt(sum((x - mean) ** 2 for x in at_three) / 3 / 4)
    )
    assert rows["bits_per_byte"] == plain.rows()[0]
    assert (
        len(asked) == 16 and asked[0].args[1]["max_gen_toks"] == 7 and "\nassert" in asked[0].args[1]["until"]
    )
    enough = ChosenItems(enough=Enough(0.4, every=4))
    [stop] = evaluate(BigramModel(), ABC, [benchmark[0]], chosen=enough, running=running).stops
    assert (stop["metric"], stop["low"], stop["high"]) == (
        "pass@1",
        pytest.approx(0.375),
        pytest.approx(0.375),
    )


HARNESS_TASK = """
task: adding
dataset_path: json
dataset_kwargs: {data_files: {test: adding.jsonl}}
test_split: test
unsafe_code: true
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "g = 1\\n{{tests[0]}}"
metric_list: [{metric: !function judging.passes, aggregation: mean, higher_is_better: true}]
"""
JUDGING = """
import evaluate
judge = evaluate.load("code_eval")
def passes(references, predictions):
    return judge.compute(references=references, predictions=[predictions], k=[1])[0]
"""
ITSELF = "def passes(references, predictions):\n    exec(predictions[0])\n    return 1.0\n"


def test_tasks_of_the_harness_run_code_in_the_sandbox_or_not_at_all(benchmark, tmp_path, monkeypatch):
    (tmp_path / "adding.yaml").write_text(HARNESS_TASK)
    (tmp_path / "judging.py").write_text(JUDGING)
    mine = tmp_path / "mine"
    writing(
        monkeypatch, lambda item, _: f"open({str(mine)!r}, 'w')" if item % 2 else f"f = lambda n: n + {item}"
    )
    with pytest.raises(
        ValueError, match="'adding': runs the code that a model writes, which is done only where"
    ):
        evaluate(BigramModel(), ABC, [tmp_path])
    scores = evaluate(BigramModel(), ABC, [tmp_path], running=CodeRunning())
    assert [(row["metric"], row["value"], row["n"]) for row in scores.rows()] == [("pass@1", 0.5, 4)]
    (tmp_path / "judging.py").write_text(ITSELF)
    with pytest.raises(ValueError, match=r"'adding': .* by a way of its own, outside of the sandbox"):
        evaluate(BigramModel(), ABC, [tmp_path], running=CodeRunning())
    assert not mine.exists()
