"""Compositions in a recipe: by name or with settings, each name once; what a variant of a duel takes."""

from __future__ import annotations

import pytest

from tasks.duels.stitches.settings import METHODS, Variant, default_variants
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME
from tasks.stitching.settings import StitchingSettings


def test_a_name_is_the_method_with_its_defaults():
    by_name = StitchingSettings(compositions=["soup", "ties"])
    assert by_name.compositions == (
        COMPOSITIONS_BY_NAME["soup"].settings(),
        COMPOSITIONS_BY_NAME["ties"].settings(),
    )
    assert by_name == StitchingSettings(compositions=[{"method": "soup"}, {"method": "ties"}])
    assert [each.called for each in StitchingSettings().compositions] == ["soup"]


def test_settings_come_back_from_json():
    given = StitchingSettings(compositions=["soup", {"method": "ties", "density": 0.3, "name": "thin"}])
    assert StitchingSettings.model_validate_json(given.model_dump_json()) == given


def test_those_that_train_have_a_rate_of_their_own_or_the_common_one():
    settings = StitchingSettings(
        compositions=["soup", "bam", {"method": "routing", "learning_rate": 0.03}],
        composition_learning_rate=0.002,
    )
    soup, bam, routing = settings.composed()
    assert "learning_rate" not in soup.identity()
    assert (bam.learning_rate, routing.learning_rate) == (0.002, 0.03)


def test_one_method_twice_goes_by_names_that_decide_no_result():
    given = ["ties", {"method": "ties", "density": 0.3, "name": "ties-thin"}]
    settings = StitchingSettings(compositions=given)
    assert [each.called for each in settings.compositions] == ["ties", "ties-thin"]
    unnamed = COMPOSITIONS_BY_NAME["ties"].settings(density=0.3)
    assert settings.compositions[1].identity() == unnamed.identity()
    assert unnamed.identity() == {"method": "ties", "density": 0.3, "weight": None}
    assert {"ties-thin", "ties", "btm", "seed", "hub", "stitched", "dense"} <= set(settings.names_taken())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["ties", {"method": "ties", "density": 0.3}], "called ties, ties; allowed: each name once"),
        ([{"method": "ties", "name": "stitched"}], "no `name` of seed, hub, stitched"),
        ([{"method": "ties", "name": "soup"}], "no `name` of seed, hub, stitched"),
        (["tie"], r"no such method \(did you mean ties\?\); allowed: bam, .*soup, .*ties"),
        (
            [{"method": "soup", "density": 0.3}],
            "density=0.3 has no effect with method 'soup'; allowed: with .* or 'ties'",
        ),
        ([{"method": "ties", "learning_rate": 0.1}], "learning_rate=0.1 has no effect with method 'ties'"),
        ([{"method": "ties", "density": 0}], "density"),
        ([3], "holds 3; allowed: settings"),
    ],
)
def test_what_has_no_effect_or_no_name_of_its_own_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        StitchingSettings(compositions=given)


def test_a_variant_takes_the_compositions_options():
    variant = Variant(name="v", method="ties", options={"density": 0.3})
    assert variant.composition(0.1) == COMPOSITIONS_BY_NAME["ties"].settings(density=0.3)
    assert Variant(name="v", method="bam").composition(0.1).learning_rate == 0.1
    assert Variant(name="v", method="bam", learning_rate=0.2).composition(0.1).learning_rate == 0.2
    assert {variant.method for variant in default_variants()} <= set(METHODS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "tie"}, "no such method; allowed: bam, .*soup, .*ties"),
        ({"method": "soup", "learning_rate": 0.1}, "learning_rate has no effect on soup"),
        ({"method": "dense", "options": {"density": 0.3}}, "has no effect on dense"),
        ({"method": "soup", "options": {"density": 0.3}}, "density"),
        ({"method": "ties", "options": {"density": 3}}, "density"),
        ({"method": "bam", "options": {"learning_rate": 0.1}}, "which the variant has itself"),
    ],
)
def test_a_variant_refuses_options_that_its_method_has_not(changes, said):
    with pytest.raises(ValueError, match=said):
        Variant(name="v", **changes)
