"""`mixstitch preference ...` on tables: what it prints, how fast it starts, and how bad tables are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from flows.commands.app import app

ROOT = Path(__file__).resolve().parents[3]


def tables(folder: Path, n: int = 14, unrated: int = 2) -> tuple[Path, Path, Path]:
    rng = np.random.default_rng(0)
    names = [f"org/Model-{i}" for i in range(n + unrated)]
    level = rng.normal(size=n + unrated)
    scores = pd.DataFrame({"model": names})
    for j in range(4):
        scores[f"b{j}"] = level + 0.3 * rng.normal(size=n + unrated)
    scores.loc[1, "b1"] = np.nan
    ratings = pd.DataFrame({"model": names[:n]})
    for k, name in enumerate(("overall", "coding")):
        ratings[name] = 1000 + 100 * (level[:n] + 0.2 * (k + 1) * rng.normal(size=n))
        ratings[f"{name}_low"], ratings[f"{name}_high"] = ratings[name] - 10, ratings[name] + 10
    about = pd.DataFrame(
        {
            "model": names,
            "family": [f"F{i // 2}" for i in range(n + unrated)],
            "params_b": np.exp(level + rng.normal(size=n + unrated)),
            "date": [f"2024-{1 + i // 2:02d}-01" for i in range(n + unrated)],
        }
    )
    paths = folder / "S.csv", folder / "R.csv", folder / "META.csv"
    for path, frame in zip(paths, (scores, ratings, about), strict=True):
        frame.to_csv(path, index=False)
    return paths


def call(*arguments: object) -> dict:
    done = CliRunner().invoke(app, ["preference", *map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refused(*arguments: object) -> str:
    with pytest.raises(ValueError) as error:
        CliRunner().invoke(app, ["preference", *map(str, arguments)], catch_exceptions=False)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_results_of_the_harness_are_scores_as_a_table_of_them_is(tmp_path: Path) -> None:
    scores, ratings, _ = tables(tmp_path)
    table = pd.read_csv(scores)
    for row in table.to_dict("records"):
        name = str(row.pop("model"))
        folder = tmp_path / "results" / name.replace("/", "__")
        folder.mkdir(parents=True)
        told = {
            "results": {b: {"alias": b, "acc,none": v} for b, v in row.items() if v == v},
            "model_name": name,
        }
        (folder / "results_2025-01-01T00-00-00.json").write_text(json.dumps(told))
    asked = ("--ratings", ratings, "--permutations", 99)
    from_table = call("correlate", "--scores", scores, *asked)
    from_results = call("correlate", "--scores", tmp_path / "results", *asked)
    assert from_results["pairs"] == from_table["pairs"]
    assert any("16 results of lm-evaluation-harness: b0 by acc" in note for note in from_results["notes"])
    (tmp_path / "empty").mkdir()
    assert "holds no results*.json" in refused("fit", "--scores", tmp_path / "empty", *asked[:2])


def test_correlate_tells_every_pair_with_its_models_and_what_is_refused(tmp_path: Path) -> None:
    scores, ratings, about = tables(tmp_path)
    told = call(
        "correlate", "--scores", scores, "--ratings", ratings, "--models", about, "--permutations", 199
    )
    assert len(told["models"]) == 14
    raw = [row for row in told["pairs"] if row["removed"] == ""]
    assert len(raw) == 4 * 2 * 3
    assert {row["removed"] for row in told["pairs"]} == {"", "log parameters", "general factor"}
    holed = next(row for row in raw if row["benchmark"] == "b1" and row["statistic"] == "pearson")
    assert (holed["n"], holed["missing"]) == (13, 1)
    frame = pd.read_csv(scores).set_index("model").join(pd.read_csv(ratings).set_index("model"), how="inner")
    assert holed["value"] == pytest.approx(frame["b1"].corr(frame[holed["target"]]))
    assert told["limits"]["rank_ceiling"] == 2
    assert all(set(claim) >= {"claim", "why", "have", "needed", "words"} for claim in told["refused"])


def test_fit_tells_each_scheme_that_the_tables_allow(tmp_path: Path) -> None:
    scores, ratings, about = tables(tmp_path)
    told = call("fit", "--scores", scores, "--ratings", ratings, "--models", about, "--method", "ridge")
    assert list(told["schemes"]) == ["leave-one-model-out", "leave-one-family-out", "forward-in-time"]
    plain = told["schemes"]["leave-one-model-out"]
    assert {row["method"] for row in plain["targets"]} == {"ridge", "mean", "log-params", "single"}
    row = next(r for r in plain["targets"] if r["method"] == "ridge" and r["target"] == "overall")
    cells = [c for c in plain["predictions"] if c["method"] == "ridge" and c["target"] == "overall"]
    errors = [c["predicted"] - c["truth"] for c in cells]
    assert row["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert row["n"] == len(cells) == 14
    assert row["noise"] == pytest.approx(10 / 1.959964, rel=1e-4)
    dated = told["schemes"]["forward-in-time"]["predictions"]
    assert {c["model"] for c in dated}.isdisjoint({"org/Model-0", "org/Model-1"})


def test_forecast_is_for_the_models_without_a_rating(tmp_path: Path) -> None:
    scores, ratings, about = tables(tmp_path)
    told = call("forecast", "--scores", scores, "--ratings", ratings, "--models", about)
    assert [(row["model"], row["target"]) for row in told["forecast"]] == [
        (f"org/Model-{i}", name) for i in (14, 15) for name in ("overall", "coding")
    ]
    assert all(row["low"] <= row["predicted"] <= row["high"] for row in told["forecast"])
    few = tables(tmp_path, unrated=0)
    assert "all 14 models with scores are rated" in refused(
        "forecast", "--scores", few[0], "--ratings", few[1]
    )


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv.gz"])
def test_every_format_and_form_gives_the_same_answer(tmp_path: Path, suffix: str) -> None:
    scores, ratings, _ = tables(tmp_path)
    wide, rated = pd.read_csv(scores), pd.read_csv(ratings)
    long = wide.melt("model", var_name="benchmark", value_name="score").dropna()
    parts = [
        rated[["model", name, f"{name}_low", f"{name}_high"]]
        .set_axis(["model", "rating", "rating_low", "rating_high"], axis=1)
        .assign(category=name)
        for name in ("overall", "coding")
    ]
    paths = tmp_path / f"long{suffix}", tmp_path / f"ratings{suffix}"
    for path, frame in zip(paths, (long, pd.concat(parts)), strict=True):
        if suffix == ".parquet":
            frame.to_parquet(path, index=False)
        elif suffix == ".jsonl":
            frame.to_json(path, orient="records", lines=True)
        else:
            frame.to_csv(path, index=False)
    options = ("--method", "ridge", "--scheme", "leave-one-model-out")
    one = call("fit", "--scores", scores, "--ratings", ratings, *options)
    two = call("fit", "--scores", paths[0], "--ratings", paths[1], *options)
    for part in ("targets", "predictions"):
        first, second = (told["schemes"]["leave-one-model-out"][part] for told in (one, two))
        pd.testing.assert_frame_equal(pd.DataFrame(first), pd.DataFrame(second))


def edited(path: Path, change) -> Path:
    frame = pd.read_csv(path, dtype=object)
    change(frame).to_csv(path, index=False)
    return path


def cell(row: int, column: str, value: object):
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[row, column] = value
        return frame

    return change


@pytest.mark.parametrize(
    ("which", "change", "told"),
    [
        (0, cell(3, "b2", "n/a"), ["S.csv line 5", "'b2'", "'n/a' is not a finite number"]),
        (0, cell(3, "model", "org/Model-2"), ["S.csv line 5", "'org/Model-2' stands in line 4 too"]),
        (0, lambda f: f.assign(flat=1), ["['flat']", "the same figure for all shared models"]),
        (1, lambda f: f.assign(coding=5, coding_low=4, coding_high=6), ["['coding']", "the same figure"]),
        (
            1,
            cell(0, "overall_low", 9999),
            ["R.csv line 2", "'overall_low'", "does not hold", "low <= value <= high"],
        ),
        (1, lambda f: f.drop(columns="overall_low"), ["'overall_high' without the other end"]),
        (1, lambda f: f.head(2), ["2 models stand in both", "at least 3 are needed"]),
        (
            1,
            lambda f: f.assign(model=f["model"].str.lower()),
            ["0 models", "14 more match only after normalising"],
        ),
        (0, lambda f: f.rename(columns={"model": "who"}), ["no column 'model'"]),
        (1, lambda f: f.drop(columns=[c for c in f if c != "model"]), ["no column of figures"]),
    ],
)
def test_bad_tables_are_refused_in_one_line(tmp_path: Path, which: int, change, told: list[str]) -> None:
    paths = tables(tmp_path)
    edited(paths[which], change)
    message = refused("correlate", "--scores", paths[0], "--ratings", paths[1])
    assert all(part in message for part in told), message


def test_names_alike_are_listed_and_joined_only_when_asked(tmp_path: Path) -> None:
    scores, ratings, _ = tables(tmp_path)
    edited(ratings, cell(0, "model", "model 0"))
    options = ("correlate", "--scores", scores, "--ratings", ratings, "--permutations", 99)
    apart = call(*options)
    assert "org/Model-0" not in apart["models"] and len(apart["models"]) == 13
    assert apart["near_names"] == [{"scores": "org/Model-0", "ratings": "model 0"}]
    assert any("were not joined" in note and "model 0" in note for note in apart["notes"])
    joined = call(*options, "--join", "normalised")
    assert len(joined["models"]) == 14 and "model 0" in joined["models"]
    assert any("'org/Model-0' = 'model 0'" in note for note in joined["notes"])


def test_facts_of_models_spelt_otherwise_are_told_and_not_used(tmp_path: Path) -> None:
    scores, ratings, about = tables(tmp_path)
    edited(about, lambda f: f.assign(model=f["model"].str.lower()))
    given = ("--scores", scores, "--ratings", ratings, "--models", about)
    options = ("--method", "ridge", "--scheme", "loo")
    told = call("fit", *given, *options)
    assert any(
        "16 names match only after normalising, so their facts were not used" in n for n in told["notes"]
    )
    joined = call("fit", *given, "--method", "ridge", "--join", "normalised")
    assert "leave-one-family-out" in joined["schemes"]


def test_ambiguous_names_stay_apart(tmp_path: Path) -> None:
    scores, ratings, _ = tables(tmp_path)
    edited(ratings, cell(0, "model", "model 0"))
    edited(scores, lambda f: pd.concat([f, f.head(1).assign(model="other/model-0")]))
    told = call(
        "correlate", "--scores", scores, "--ratings", ratings, "--join", "normalised", "--permutations", 99
    )
    assert len(told["models"]) == 13


def test_commands_start_without_torch_prefect_or_sklearn(tmp_path: Path) -> None:
    scores, ratings, _ = tables(tmp_path)
    code = (
        "import sys; from flows.commands.app import main; sys.argv = ['mixstitch', 'preference', 'fit', '--scores', "
        f"{str(scores)!r}, '--ratings', {str(ratings)!r}, '--method', 'ridge', '--json']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'prefect', 'sklearn', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_bad_input_ends_with_status_2_and_one_line(tmp_path: Path) -> None:
    scores, _, _ = tables(tmp_path)
    code = "from flows.commands.app import main; main()"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            "preference",
            "fit",
            "--scores",
            scores,
            "--ratings",
            tmp_path / "none.csv",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].endswith("none.csv: no such file")


def test_people_get_tables(tmp_path: Path) -> None:
    scores, ratings, about = tables(tmp_path)
    for command, words in (
        ("correlate", "mean Pearson r"),
        ("fit", "leave-one-family-out"),
        ("forecast", "90% intervals"),
    ):
        options = ["--method", "ridge"] if command == "fit" else []
        done = CliRunner().invoke(
            app,
            [
                "preference",
                command,
                "--scores",
                str(scores),
                "--ratings",
                str(ratings),
                "--models",
                str(about),
                *options,
            ],
            catch_exceptions=False,
        )
        assert done.exit_code == 0
        assert words in done.stdout


def test_aggregate_writes_ratings_that_the_other_commands_take(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    strength = {f"org/Model-{i}": rng.normal() for i in range(6)}
    rows = []
    for i in range(300):
        a, b = rng.choice(list(strength), 2, replace=False)
        wins = rng.random() < 1 / (1 + np.exp(strength[b] - strength[a]))
        rows.append((f"i{i}", "Code" if i % 2 else "Math", a, b, f"p{i % 20}", "A" if wins else "B"))
    votes = tmp_path / "votes.jsonl"
    columns = ["item", "category", "model_a", "model_b", "annotator", "choice"]
    pd.DataFrame(rows, columns=columns).to_json(votes, orient="records", lines=True)
    out = tmp_path / "ratings.csv"
    told = call("aggregate", "--judgements", votes, "--out", out, "--bootstraps", 50)
    assert told["kind"] == "choice"
    assert {row["category"] for row in told["places"]} == {"", "Code", "Math"}
    scores, _, _ = tables(tmp_path)
    again = call("correlate", "--scores", scores, "--ratings", out, "--permutations", 99)
    assert len(again["models"]) == 6
    assert {row["target"] for row in again["pairs"]} == {"all", "Code", "Math"}
    done = CliRunner().invoke(
        app, ["preference", "aggregate", "--judgements", str(votes), "--bootstraps", "50"]
    )
    assert "org/Model-0" in done.stdout and "alpha" in done.stdout


def test_next_ranks_what_is_not_measured(tmp_path: Path) -> None:
    scores, ratings, about = tables(tmp_path)
    edited(scores, cell(15, "b2", np.nan))
    costs = tmp_path / "costs.csv"
    costs.write_text("name,cost\nb2,4\n", encoding="utf-8")
    told = call("next", "--scores", scores, "--ratings", ratings, "--models", about, "--costs", costs)
    assert told["benchmarks"][0]["benchmark"] == "b2"
    assert told["benchmarks"][0]["cost"] == 4
    assert {row["model"] for row in told["models"]} == {"org/Model-14", "org/Model-15"}
    assert told["backwards"]["models"] == 6
    costs.write_text("name,cost\nb9,4\n", encoding="utf-8")
    assert "costs of ['b9']" in refused("next", "--scores", scores, "--ratings", ratings, "--costs", costs)
    done = CliRunner().invoke(app, ["preference", "next", "--scores", str(scores), "--ratings", str(ratings)])
    assert "fall of the forecast's variance" in done.stdout


def test_only_some_models(tmp_path: Path) -> None:
    scores, ratings, _ = tables(tmp_path)
    chosen = [part for i in (0, 2, 3) for part in ("--model", f"org/Model-{i}")]
    told = call("correlate", "--scores", scores, "--ratings", ratings, "--permutations", 99, *chosen)
    assert told["models"] == ["org/Model-0", "org/Model-2", "org/Model-3"]
    assert any("exact p of 0.333" in claim["words"] for claim in told["refused"])
    assert "['x']: stand in neither" in refused(
        "fit", "--scores", scores, "--ratings", ratings, "--model", "x"
    )


def test_pictures_are_written_and_named(tmp_path: Path) -> None:
    scores, ratings, about = tables(tmp_path)
    tables_given = ("--scores", scores, "--ratings", ratings, "--models", about)
    told = call("correlate", *tables_given, "--permutations", 99, "--out", tmp_path / "c")
    assert {Path(path).name for path in told["written"]} == {
        "correlations.svg",
        "correlations-without-log-parameters.svg",
        "correlations-without-general-factor.svg",
        "correlations.json",
    }
    svg = (tmp_path / "c" / "correlations.svg").read_text(encoding="utf-8")
    assert "b0" in svg and "coding" in svg
    told = call("fit", *tables_given, "--method", "ridge", "--scheme", "loo", "--out", tmp_path / "f")
    names = {Path(path).name for path in told["written"]}
    assert names == {"leave-one-model-out-forecasts.svg", "leave-one-model-out-calibration.svg", "fit.json"}
    assert json.loads((tmp_path / "f" / "fit.json").read_text(encoding="utf-8"))["models"] == told["models"]


def test_rules_annotate_and_their_choices_aggregate(tmp_path: Path) -> None:
    answers = tmp_path / "answers.csv"
    answers.write_text(
        "item,model,response,rule,argument\ni,m,Paris,contains,Paris\ni,n,Rome,contains,Paris\n"
    )
    out = tmp_path / "choices.csv"
    done = CliRunner().invoke(app, ["preference", "annotate", "--responses", str(answers), "--out", str(out)])
    assert "1 programmatic choices" in done.stdout
    assert call("aggregate", "--judgements", out, "--bootstraps", 50)["origin"] == "programmatic"
