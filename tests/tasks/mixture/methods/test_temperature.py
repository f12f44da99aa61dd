"""Temperature sampling lies between uniform and proportional, and is there wherever methods are."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from flows.commands.app import app
from flows.recipes import load_recipe
from tasks.mixture.methods.proportional import proportional
from tasks.mixture.methods.temperature import temperature
from tasks.mixture.methods.uniform import uniform

TOKENS = {"large": 1_000_000, "small": 10_000}


def test_weights_are_the_powers_of_the_sizes():
    # 1e6^.5 = 1000 and 1e4^.5 = 100.
    mixture = temperature(TOKENS, 1_100, alpha=0.5)
    assert mixture.tokens == {"large": 1000, "small": 100}
    assert mixture.certificate.alpha == 0.5


@pytest.mark.parametrize(("alpha", "same"), [(0.0, uniform), (1.0, proportional)])
def test_its_ends_are_uniform_and_proportional(alpha, same):
    assert temperature(TOKENS, 5_000, alpha=alpha).weights == pytest.approx(same(TOKENS, 5_000).weights)


def test_the_cap_holds_and_the_excess_goes_to_the_rest():
    mixture = temperature(TOKENS, 100_000, epoch_cap=1.0, alpha=0.3)
    assert mixture.tokens == {"large": 90_000, "small": 10_000}


def test_a_recipe_takes_it_with_its_exponent():
    settings = load_recipe("pocket", ["mixture={method: temperature, alpha: 0.7}"]).mixture
    assert settings.alpha == 0.7
    with pytest.raises(ValueError, match=r"alpha=0\.7 has no effect with method 'uniform'"):
        load_recipe("pocket", ["mixture={method: uniform, alpha: 0.7}"])
    with pytest.raises(ValueError, match=r"mixture\.alpha: .*less than or equal to 1"):
        load_recipe("pocket", ["mixture={method: temperature, alpha: 7}"])


def test_the_command_line_takes_it_with_its_exponent(tmp_path):
    (tmp_path / "tokens.csv").write_text("source,tokens\nlarge,1000000\nsmall,10000\n")
    given = ["--tokens", str(tmp_path / "tokens.csv"), "--budget", "1100", "--method", "temperature"]
    done = CliRunner().invoke(app, ["mix", "solve", *given, "-o", "alpha=0.5", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["tokens"] == {"large": 1000, "small": 100}
    shown = CliRunner().invoke(app, ["mix", "solve", "--help"], terminal_width=200)
    assert "temperature" in shown.stdout
