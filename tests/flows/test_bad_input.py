"""What is wrong with an input is one message, exit status 2, and nothing half-written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flows.experiment import pipeline
from flows.inputs import check_inputs
from flows.recipes import load_recipe
from storage.runs import Run

ROOT = Path(__file__).resolve().parents[2]
TINY = str(ROOT / "tests" / "tiny.yaml")


@pytest.fixture
def refused(home):
    """Run the pipeline without Prefect and expect a ValueError; returns what it says."""

    def check(*overrides: str) -> str:
        experiment = load_recipe(TINY, list(overrides))
        run = Run(home, experiment.name, experiment.to_json())
        run.uses_prefect = False
        with pytest.raises(ValueError) as caught:
            check_inputs(experiment)
            pipeline(run, experiment)
        left = {path.name for folder in home.work.iterdir() for path in folder.iterdir()}
        assert left <= {"progress", ".mixstitch"}
        return str(caught.value)

    return check


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_an_expert_whose_task_does_not_exist(refused):
    said = refused("experts.listed.0.tasks=[poetry]")
    assert "expert 'docs': no tasks ['poetry']; allowed: docs-cloze, arithmetic-answer" in said


def test_a_made_task_whose_source_does_not_exist(refused):
    said = refused("evaluation.made.0.source=nowhere")
    assert "made from source 'nowhere', which is not there; allowed: python-code" in said


def test_a_cap_under_which_the_budget_cannot_be_met_says_what_can(refused):
    said = refused("mixture.epoch_cap=0.001")
    assert re.search(r"at most [\d,]+ tokens|largest feasible budget", said), said


def test_a_utility_table_whose_names_do_not_match(refused, tmp_path):
    table = tmp_path / "utility.csv"
    table.write_text("source,task,value\npython-code,docs-cloze,0.5\nperl-code,docs-cloze,0.1\n")
    said = refused("utility.method=table", f"utility.table={table}")
    assert "perl-code" in said
    assert "utility.csv" in said


def test_a_source_that_is_missing_or_broken(refused, tmp_path):
    assert "no such file" in refused(
        f"sources.listed.3={{name: x, reader: jsonl, path: {tmp_path}/none.jsonl}}"
    )
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "fine"}\nbroken\n')
    assert "broken.jsonl:2: not JSON" in refused(
        f"sources.listed.3={{name: x, reader: jsonl, path: {broken}}}"
    )


def test_a_benchmark_folder_without_benchmarks(refused, tmp_path):
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    write(folder / "odd.jsonl", [{"colour": "blue"}])
    assert "fields" in (said := refused(f"evaluation.folder={folder}")) or "looked for" in said
    assert "colour" in said


def test_an_endpoint_that_is_down(refused):
    said = refused(
        "utility.method=medu",
        "utility.medu.base_url=http://127.0.0.1:9",
        "utility.medu.model=judge",
        "utility.medu.retries=0",
    )
    assert "http://127.0.0.1:9" in said


def mixstitch(home, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from flows.commands.app import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=200)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", TINY, "-o", "budget.tokens=-1"), "budget.tokens"),
        (("run", "nowhere.yaml"), "no such recipe"),
        (("show", "latest"), "no run has been made"),
        (("report", "latest"), "no run has been made"),
        (("plan", TINY, "-o", "sources.folder=/nowhere"), "no such folder"),
    ],
)
def test_the_command_line_says_it_once_and_exits_with_2(home, arguments, said):
    done = mixstitch(home, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_answers_that_fill_the_context_are_refused_before_training():
    said = "new_tokens=64 leaves no room for a prompt in the 64 tokens .* allowed: 1 to 63"
    with pytest.raises(ValueError, match=said):
        load_recipe(TINY, ["preference.programmatic={new_tokens: 64}"])
    assert load_recipe(TINY, ["preference.programmatic={new_tokens: 63}"])


@pytest.mark.slow
def test_an_error_inside_a_flow_has_no_traceback_and_marks_the_run_failed(home, tmp_path):
    """What only the last row shows is met by the flow; what the first ones show is refused before there is a run."""
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "row"}\n' * 5000 + "{\n")
    done = mixstitch(home, "run", TINY, "-o", f"sources.listed.3={{name: x, reader: jsonl, path: {broken}}}")
    assert done.returncode == 2
    assert "broken.jsonl:5001: " in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert json.loads(mixstitch(home, "runs", "--json").stdout)[0]["status"] == "failed"
    assert not list(home.artifacts.iterdir())


def test_a_pretrained_model_that_does_not_fit(refused, tmp_path):
    import models
    from tasks.sources.settings import TokenizerSettings
    from tasks.sources.tokenization import make_tokenizer

    make_tokenizer(TokenizerSettings(vocab_size=320), ["some text"]).save_pretrained(tmp_path / "tokenizer")
    small = models.new_seed_model(models.seed_config(100, 32, 2, 2, ffn_multiple=16), 0)
    small.save_pretrained(tmp_path / "model")
    own_tokenizer = f"sources.tokenizer.pretrained={tmp_path / 'tokenizer'}"
    said = refused(f"model.pretrained={tmp_path / 'model'}", own_tokenizer)
    assert "has 100 token embeddings but the tokenizer" in said
    said = refused(f"model.pretrained={tmp_path / 'nowhere'}", own_tokenizer)
    assert "model 'seed': " in said and "no such folder; allowed: a folder with config.json" in said
