"""The harness' results layout: what is written is what it writes, and what is read is one score a model and task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.evaluation.harness_results import read_harness_results, write_harness_results
from tasks.evaluation.scores import Scores


def results(folder: Path, model: str, tasks: dict, time: str = "2025-01-01T00-00-00", **more) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    told = {"results": tasks, "config": {"model_args": f"pretrained={model},dtype=float"}, **more}
    path = folder / f"results_{time}.json"
    path.write_text(json.dumps(told))
    return path


def told(path: Path) -> dict[tuple[str, str], float]:
    frame, _ = read_harness_results(path)
    return {(row.model, row.benchmark): row.score for row in frame.itertuples()}


def test_folders_of_folders_are_one_table(tmp_path):
    results(tmp_path / "org__a", "org/a", {"arc": {"alias": "arc", "acc,none": 0.5, "acc_stderr,none": 0.1}})
    results(tmp_path / "more" / "org__b", "org/b", {"arc": {"acc,none": 0.4, "acc_stderr,none": "N/A"}})
    (tmp_path / "org__a" / "samples_arc_2025.jsonl").write_text("{}\n")
    frame, notes = read_harness_results(tmp_path)
    assert frame.sort_values("model")["score"].tolist() == [0.5, 0.4]
    assert frame.set_index("model").loc["org/a", "stderr"] == 0.1
    assert frame["stderr"].isna().sum() == 1
    assert notes == [f"{tmp_path}: 2 results of lm-evaluation-harness: arc by acc."]


def test_one_metric_stands_for_a_task_and_a_group_for_its_parts(tmp_path):
    tasks = {
        "arc": {"acc,none": 0.5, "acc_norm,none": 0.6},
        "gsm8k": {"exact_match,strict-match": 0.2, "exact_match,flexible-extract": 0.3},
        "mmlu": {"acc,none": 0.4, "alias": "mmlu"},
        "mmlu_law": {"acc,none": 0.1, "alias": " - law"},
        "bbh": {"alias": "bbh", " ": " "},
        "bbh_a": {"acc,none": 0.7},
    }
    groups = {"mmlu": ["mmlu_law"], "bbh": ["bbh_a"], "arc": []}
    path = results(tmp_path, "m", tasks, group_subtasks=groups)
    assert told(path) == {("m", "arc"): 0.6, ("m", "gsm8k"): 0.2, ("m", "mmlu"): 0.4, ("m", "bbh_a"): 0.7}


def test_the_newest_of_several_files_counts_and_other_shots_are_refused(tmp_path):
    results(tmp_path, "m", {"arc": {"acc,none": 0.5}}, "2025-03-01T00-00-00", **{"n-shot": {"arc": 0}})
    results(tmp_path, "m", {"arc": {"acc,none": 0.9}}, "2025-02-01T00-00-00", **{"n-shot": {"arc": 0}})
    assert told(tmp_path) == {("m", "arc"): 0.5}
    assert "1 scores stand in several files" in read_harness_results(tmp_path)[1][1]
    results(tmp_path, "m", {"arc": {"acc,none": 0.7}}, "2025-04-01T00-00-00", **{"n-shot": {"arc": 25}})
    with pytest.raises(ValueError, match=r"'arc' of 'm' is 25-shot, in .* 0-shot"):
        read_harness_results(tmp_path)


def test_models_asked_in_other_ways_are_noted(tmp_path):
    results(tmp_path / "a", "a", {"arc": {"acc,none": 0.5}}, **{"n-shot": {"arc": 0}})
    results(tmp_path / "b", "b", {"arc": {"acc,none": 0.5}}, **{"n-shot": {"arc": 25}})
    assert read_harness_results(tmp_path)[1][-1].endswith(
        "'arc' is not the same for all models: 0-shot acc, 25-shot acc."
    )


def test_what_holds_no_results_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no results"):
        read_harness_results(tmp_path)
    path = tmp_path / "results.json"
    path.write_text('{"scores": {}}')
    with pytest.raises(ValueError, match="no results of lm-evaluation-harness: it has no object `results`"):
        read_harness_results(path)


def test_scores_are_written_as_the_harness_does_and_read_again(tmp_path):
    rows = [
        {"model": "m", "task": "t", "metric": "acc", "value": 0.75, "stderr": 0.25, "n": 4},
        {
            "model": "m",
            "task": "heldout:web",
            "metric": "bits_per_byte",
            "value": 1.5,
            "stderr": float("nan"),
            "n": 1,
        },
    ]
    harness = {
        "results": {"t": {"alias": "t", "acc,none": 0.75, "acc_stderr,none": "N/A"}},
        "n-shot": {"t": 0},
    }
    scores = Scores.from_rows(rows, [])
    object.__setattr__(scores, "harness", harness)
    write_harness_results(tmp_path, "m", scores, {"model": "hf", "model_args": {"pretrained": "/x"}})
    [file] = (tmp_path / "m").glob("results_*.json")
    written = json.loads(file.read_text())
    assert written["results"]["t"] == {"alias": "t", "acc,none": 0.75, "acc_stderr,none": 0.25}
    assert written["results"]["heldout:web"]["bits_per_byte_stderr,none"] == "N/A"
    assert (written["model_name"], written["n-samples"]["heldout:web"]["effective"]) == ("m", 1)
    assert harness["results"]["t"]["acc_stderr,none"] == "N/A"
    assert told(tmp_path) == {("m", "t"): 0.75, ("m", "heldout:web"): 1.5}
