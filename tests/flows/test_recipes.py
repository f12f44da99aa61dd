"""Every shipped recipe is valid; overrides reach every setting; a wrong file gives one clear message."""

from __future__ import annotations

import re

import pytest

from flows.recipes import load_recipe, shipped_recipes
from flows.settings import Experiment
from tasks.evaluation.settings import SpecialisationSettings


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_valid(name):
    experiment = load_recipe(name)
    assert experiment.name == name
    assert Experiment.model_validate(experiment.to_json()) == experiment


def test_there_are_the_recipes_that_the_readme_names():
    assert set(shipped_recipes()) >= {"pocket", "local-text", "gpu-300m"}


def test_overrides_are_read_as_yaml_at_any_depth():
    changes = [
        "mixture.epoch_cap=2",
        "sources.listed.0.max_bytes=1000000",
        "experts.specialisation_check=null",
        "name=other",
    ]
    experiment = load_recipe("pocket", [*changes, "stitching.compositions=[]"])
    assert experiment.mixture.epoch_cap == 2
    assert experiment.sources.listed[0].max_bytes == 1_000_000
    assert experiment.experts.specialisation_check is None
    assert (experiment.name, experiment.stitching.compositions) == ("other", ())


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "mixture.epoch_cup=2",
            r"mixture\.epoch_cup: no such setting \(did you mean epoch_cap\?\); allowed: method",
        ),
        ("mixture.epoch_cap=two", r"mixture\.epoch_cap: .*valid number.*given: 'two'"),
        ("budget.tokens=-5", r"budget\.tokens: .*greater than 0.*given: -5"),
        ("budget.tokens", "allowed: setting.name=value"),
        ("name.first=x", "name is a value and holds no settings"),
        ("sources.listed.9.name=x", "allowed: 0 to 3"),
        ("sources.listed.1.name=python-code", r"duplicate source names \['python-code'\]"),
        ("sources.listed.0.reader=xls", r"sources\.listed\.0\.reader: .*'jsonl'"),
        ("sources.listed.0={name: x, reader: jsonl}", "reader 'jsonl' needs 'path'"),
        ("utility.method=magic", r"utility\.method: .*'ngram'"),
        ("model.num_heads=3", "hidden_size 128 is not a multiple of 2"),
        ("stitching.num_stitches=9", r"num_stitches=9 is more than model\.num_layers=4"),
        ("experts.listed.0.name=seed", "none of seed, hub"),
        ("model.pretrained=some/model", r"set sources\.tokenizer\.pretrained"),
        ("utility.medu.base_url=http://me:word@host/v1", r"utility\.medu\.base_url: [^w]*pattern"),
        ("experts.specialisation_check.junk_sources=[nosie]", r"no sources \['nosie'\]"),
        ("mixture={method: unimax, risk: 2}", "has no effect with method 'unimax'"),
        ("evaluation.max_length=4096", r"more than the 128 tokens \(training\.sequence_length\)"),
        ("budget.minutes=.inf", r"budget\.minutes"),
        ("tracking.mlflow_uri=http://me:word@host", "must hold no user, password or query"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(override, said):
    with pytest.raises(ValueError, match=said):
        load_recipe("pocket", [override])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name: [", "not valid YAML"),
        (b"- a\n- b\n", "holds list; allowed: settings"),
        (b"\xff\xfe\x00", "cannot be read as text"),
        (b"!!python/object/apply:os.system ['true']\n", "not valid YAML"),
        (b"no_such: 1\n", "no_such: no such setting"),
        (b"", "holds nothing but comments or blanks; allowed: settings"),
        (b"# name: x\n\n  # more\n", "holds nothing but comments"),
        (b"---\n", "holds nothing"),
        (b"\xef\xbb\xbf", "holds nothing"),
        (
            b"mixture: {epoch_cap: 2}\nname: x\nmixture: {epoch_cap: 4}\n",
            "'mixture' stands twice, first in line 1",
        ),
        (b"mixture:\n  epoch_cap: 2\n  epoch_cap: 2\n", "'epoch_cap' stands twice, first in line 2"),
        (b"mixture: {epoch_cap: 2, epoch_cap: 3}\n", "'epoch_cap' stands twice"),
        (b"name: " + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_broken_recipe_is_named(tmp_path, content, said):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"recipe\.yaml: .*{said}"):
        load_recipe(str(path))


def test_an_override_that_names_a_setting_twice_is_refused():
    with pytest.raises(
        ValueError, match=r"-o 'mixture=\{epoch_cap: 2, epoch_cap: 3\}': .*'epoch_cap' stands twice"
    ):
        load_recipe("pocket", ["mixture={epoch_cap: 2, epoch_cap: 3}"])


def test_a_recipe_that_is_not_there_says_which_are():
    with pytest.raises(ValueError, match=r"nowhere\.yaml: no such recipe; allowed: .*pocket"):
        load_recipe("nowhere.yaml")


def test_a_gate_names_junk_only_where_the_recipe_does():
    """Sources of one's own need none that is called noise."""
    assert SpecialisationSettings().junk_sources == ()
    assert load_recipe("pocket").experts.specialisation_check.junk_sources == ("noise",)
    assert load_recipe("local-text").experts.specialisation_check is None


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed=3", "seed: is called random_seed now"),
        ("experts.gate={own_share: 0.5}", "experts.gate: is called specialisation_check now"),
        ("sources.listed.0.seed=1", "sources.listed.0.seed: is called random_seed now"),
    ],
)
def test_settings_of_earlier_versions_are_refused_with_their_new_names(override, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        load_recipe("pocket", [override])


def test_aliases_cannot_make_a_small_recipe_large(tmp_path):
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (tmp_path / "bomb.yaml").write_text("a0: &a0 [x]\n" + "\n".join(levels), encoding="utf-8")
    with pytest.raises(ValueError, match=r"bomb\.yaml: more than 100,000 values"):
        load_recipe(str(tmp_path / "bomb.yaml"))
    (tmp_path / "itself.yaml").write_text("a: &a [*a]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"itself\.yaml: more than 100,000 values"):
        load_recipe(str(tmp_path / "itself.yaml"))


def test_a_budget_of_tokens_takes_the_place_of_minutes_and_the_other_way_round():
    budget = load_recipe("local-text", ["budget.tokens=1.5M"]).budget
    assert (budget.tokens, budget.minutes) == (1_500_000, None)
    assert load_recipe("pocket", ["budget.minutes=3"]).budget.minutes == 3


@pytest.mark.parametrize(
    "overrides", [["budget.tokens=2M", "budget.minutes=3"], ["budget={tokens: 2M, minutes: 3}"]]
)
def test_a_budget_of_tokens_and_minutes_is_refused(overrides):
    with pytest.raises(
        ValueError, match=r"budget\.tokens and budget\.minutes are both given; allowed: one of them"
    ):
        load_recipe("pocket", overrides)
