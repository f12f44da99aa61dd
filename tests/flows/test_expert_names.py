"""No expert is called like another model of the run: its scores would be overwritten."""

from __future__ import annotations

import pytest

from flows.recipes import load_recipe
from flows.settings import ExpertsSettings
from tasks.stitching.compositions import COMPOSITIONS, RESERVED_NAMES

LISTED = "experts.listed=[{name: %s, tasks: [docs-cloze]}]"


@pytest.mark.parametrize("name", ["seed", "hub", "stitched", "dense", *(each.name for each in COMPOSITIONS)])
def test_an_expert_has_no_name_of_a_model_made_of_all(name):
    assert name in RESERVED_NAMES
    with pytest.raises(ValueError, match=f"experts are named \\['{name}'\\]; allowed: names that differ"):
        ExpertsSettings.model_validate({"listed": [{"name": name, "tasks": ["docs-cloze"]}]})


@pytest.mark.parametrize(
    "other",
    [
        "stitching.compositions=[{method: ties, name: thin}]",
        "stitch_duel={domains: {a: [python-docs]}, changes_of: null, variants: [{name: thin, method: ties}]}",
    ],
)
def test_an_expert_has_no_name_that_the_recipe_gives_to_another_model(other):
    assert load_recipe("tests/tiny.yaml", [LISTED % "thin"]).experts.listed[0].name == "thin"
    with pytest.raises(ValueError, match="'thin' is the name of another model; allowed: none of seed, hub"):
        load_recipe("tests/tiny.yaml", [LISTED % "thin", other])
