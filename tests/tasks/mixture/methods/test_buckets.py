"""Buckets multiply what there is of a language; XGLM's preset gives the shares that its model card states."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from flows.commands.app import app
from flows.recipes import load_recipe
from tasks.mixture.methods import method_of
from tasks.mixture.methods.buckets import BucketsMixture, buckets
from tasks.mixture.mixture_method import Question

# Language, tokens, share after upsampling: the table "Training Data Statistics" in the README of facebook/xglm-1.7B.
CARD = """
en 803526736124 .3259  ru 147791898098 .0602  zh 132770494630 .0483  de 89223707856 .0363  es 87303083105 .0353
fr 77419639775 .0313   ja 66054364513 .0269   it 41930465338 .0171   pt 36586032444 .0297  el 28762166159 .0233
ko 20002244535 .0811   fi 16804309722 .0681   id 15423541953 .0125   tr 12413166065 .0101  ar 12248607345 .0099
vi 11199121869 .0091   th 10842172807 .0440   bg 9703797869 .0393    ca 7075834775 .0287   hi 3448390110 .0140
et 3286873851 .0133    bn 1627447450 .0066    ta 1476973397 .0060    ur 1351891969 .0055   sw 907516139 .0037
te 689316485 .0028     eu 105304423 .0043     my 101358331 .0030     ht 86584697 .0035     qu 3236108 .0001
"""


def card() -> dict[str, tuple[int, float]]:
    words = CARD.split()
    return {words[i]: (int(words[i + 1]), float(words[i + 2])) for i in range(0, len(words), 3)}


def test_weights_are_sizes_times_multipliers():
    # 1000 x 1, 100 x 2 and 10 x 10 are 1000, 200 and 100.
    mixture = buckets({"a": 1000, "b": 100, "c": 10}, 1300, multipliers={"a": 1, "b": 2, "c": 10})
    assert mixture.tokens == {"a": 1000, "b": 200, "c": 100}
    assert mixture.epochs == {"a": 1, "b": 2, "c": 10}


def test_the_preset_gives_the_shares_of_the_model_card():
    """But for zh and my, as one constant: the card's own columns agree with each other to 1% and their rounding."""
    told = card()
    weights = buckets(
        {code: tokens for code, (tokens, _) in told.items()}, 500_000_000_000, preset="xglm"
    ).weights
    like = [code for code in told if code not in ("zh", "my")]
    constant = sum(told[code][1] for code in like) / sum(weights[code] for code in like)
    for code in like:
        assert weights[code] * constant == pytest.approx(told[code][1], rel=0.01, abs=0.00005), code
    assert told["zh"][1] / (weights["zh"] * constant) == pytest.approx(0.9, abs=0.01)
    assert 100 * told["my"][1] / (weights["my"] * constant) == pytest.approx(73, abs=1)


def test_epochs_of_the_preset_are_its_buckets():
    """Of 500B tokens: English about 0.2 times, Estonian 2 times, Basque 20 times."""
    tokens = {code: tokens for code, (tokens, _) in card().items()}
    epochs = buckets(tokens, 500_000_000_000, preset="xglm").epochs
    assert epochs["en"] == pytest.approx(0.2, abs=0.01)
    assert epochs["et"] == pytest.approx(2.0, abs=0.1)
    assert epochs["eu"] == pytest.approx(20, abs=1)


def test_sources_have_the_multiplier_of_their_language():
    settings = BucketsMixture(preset="xglm", multipliers={"forum": 3.0}, epoch_cap=100)
    told = settings.with_languages({"books": "en", "forum": "en", "news": "et"})
    mixture = method_of(told).solve(told, Question({"books": 600, "forum": 100, "news": 10}, 1000))
    assert mixture.tokens == {"books": 600, "forum": 300, "news": 100}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs a preset"),
        ({"multipliers": {"a": 0}}, "finite and above 0"),
        (
            {"multipliers": {"a": 1, "z": 2}, "others": 1},
            "multipliers of z: no source and no source's language",
        ),
        ({"multipliers": {"a": 1}}, r"no multiplier for b \(no language\)"),
        ({"preset": "xglm", "others": 1, "languages": {"a": "xx"}}, "'xx' is no language code"),
    ],
)
def test_what_is_wrong_is_named(given, said):
    with pytest.raises(ValueError, match=said):
        buckets({"a": 100, "b": 100}, 100, **given)


def test_a_recipe_and_the_command_line_take_them(tmp_path):
    settings = load_recipe("pocket", ["mixture={method: buckets, preset: xglm, others: 1}"]).mixture
    assert settings.preset == "xglm"
    (tmp_path / "tokens.csv").write_text("source,tokens\nen,1000\nest,100\n")
    given = ["--tokens", str(tmp_path / "tokens.csv"), "--budget", "200", "--method", "buckets"]
    done = CliRunner().invoke(app, ["mix", "solve", *given, "-o", "preset=xglm", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["tokens"] == {"en": 100, "est": 100}
    assert told["epochs"] == {"en": 0.1, "est": 1.0}
