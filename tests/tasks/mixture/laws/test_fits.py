"""Each law finds itself in runs made from it, and none is moved by order, names, odd columns or few runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.mixture.laws import LAWS_BY_NAME as LAWS
from tasks.mixture.laws.fitted_law import fit_law
from tasks.mixture.laws.gaussian_process import _cost, kernel
from tests.tasks.mixture.laws.made_runs import (
    SOURCES,
    linear_losses,
    log_linear_losses,
    made_mixtures,
    power_losses,
)

QUICK = ("ridge", "log-linear", "power", "diminishing", "lightgbm", "gp", "diminishing+gp")


@pytest.mark.parametrize(
    ("law", "truth"),
    [
        ("ridge", linear_losses),
        ("log-linear", log_linear_losses),
        ("power", power_losses),
        ("diminishing", lambda mixtures: power_losses(mixtures, returns=0.5)),
    ],
)
def test_a_law_finds_itself(law, truth):
    runs, others = made_mixtures(80, 0), made_mixtures(50, 1)
    predicted = fit_law(runs, truth(runs), law).predict(others)
    assert np.abs(predicted - truth(others)).max().max() < 0.01
    assert list(predicted.index) == list(others.index)


@pytest.mark.parametrize("law", ["gp", "diminishing+gp"])
def test_processes_follow_a_law_they_do_not_know(law):
    runs, others = made_mixtures(80, 0), made_mixtures(50, 1)
    predicted = fit_law(runs, log_linear_losses(runs), law).predict(others)
    spread = log_linear_losses(others).std()
    assert ((predicted - log_linear_losses(others)).abs().mean() / spread).max() < 0.05


def test_lightgbm_is_regmix_as_published():
    import lightgbm

    runs, others = made_mixtures(250, 0), made_mixtures(20, 1)
    losses = power_losses(runs)
    booster = lightgbm.train(
        {"objective": "regression", "learning_rate": 0.01, "verbosity": -1},
        lightgbm.Dataset(runs.to_numpy(), losses["prose"].to_numpy()),
        1000,
    )
    predicted = fit_law(runs, losses, "lightgbm").predict(others)["prose"]
    assert predicted.to_numpy() == pytest.approx(booster.predict(others.to_numpy()), rel=1e-3)


def test_the_process_is_that_of_scikit_learn():
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(30, 3)), draw.normal(size=30)
    scales, signal, noise, slope = np.array([0.5, 1.0, 2.0]), 1.3, 0.2, 0.4
    p = np.log([*scales, signal, noise, slope])
    reference = ConstantKernel(signal**2) * Matern(scales, nu=2.5) + ConstantKernel(slope**2) * DotProduct(
        0.0
    )
    assert kernel(p, x, x) == pytest.approx(reference(x), abs=1e-12)
    fitted = GaussianProcessRegressor(reference, alpha=noise**2 + 1e-8, optimizer=None).fit(x, y)
    cost, _ = _cost(p, x, y)
    prior = 0.5 * sum(((p - [0.7, 0.7, 0.7, 0.0, -3.0, -1.0]) / [1.5, 1.5, 1.5, 2.0, 2.0, 2.0]) ** 2)
    assert cost - prior == pytest.approx(
        -fitted.log_marginal_likelihood_value_ - 15 * np.log(2 * np.pi), rel=1e-9
    )


def test_the_gradient_of_the_process_is_that_of_differences():
    from scipy.optimize import approx_fprime

    draw = np.random.default_rng(1)
    x, y, p = draw.normal(size=(25, 3)), draw.normal(size=25), draw.normal(size=6) * 0.3
    numeric = approx_fprime(p, lambda q: _cost(q, x, y)[0], 1e-6)
    assert _cost(p, x, y)[1] == pytest.approx(numeric, abs=1e-3)


@pytest.mark.parametrize("law", QUICK)
def test_neither_order_nor_names_move_a_prediction(law):
    """Not in one digit: sources, runs and losses in another order, under other names."""
    runs, others = made_mixtures(40, 0), made_mixtures(10, 1)
    losses = power_losses(runs)
    first = fit_law(runs, losses, law).predict(others)
    shuffled = runs.sample(frac=1, random_state=3)[["wiki", "web", "books", "code"]]
    renamed = {"web": "z", "code": "a", "books": "m", "wiki": "b"}
    second = fit_law(shuffled.rename(columns=renamed), losses[["programs", "prose"]], law).predict(
        others.rename(columns=renamed)[["m", "z", "a", "b"]]
    )
    assert second["prose"].to_numpy() == pytest.approx(first["prose"].to_numpy(), rel=1e-12)
    assert second["programs"].to_numpy() == pytest.approx(first["programs"].to_numpy(), rel=1e-12)


@pytest.mark.parametrize("law", QUICK)
def test_odd_tables_give_finite_predictions(law):
    """A source that no run had, one with the same weight everywhere, runs that stand twice, a loss that never moves."""
    runs = made_mixtures(12, 0)
    runs = pd.concat([runs, runs.iloc[:4].rename(index=lambda name: f"again-{name}")])
    losses = power_losses(runs).assign(still=2.5)
    odd = (0.8 * runs).assign(never=0.0, always=0.2)
    new = made_mixtures(5, 1).assign(never=0.3, always=0.0)
    predicted = fit_law(odd, losses, law).predict(new)
    assert np.isfinite(predicted.to_numpy()).all()
    assert predicted["still"].to_numpy() == pytest.approx(2.5, abs=1e-3)


def test_more_sources_than_runs():
    draw = np.random.default_rng(0)
    names = [f"s{i}" for i in range(40)]
    runs = pd.DataFrame(draw.dirichlet(np.full(40, 0.2), 30), columns=names)
    losses = pd.DataFrame({"y": 2 + (runs[names[:5]].sum(axis=1) + 0.05) ** -0.3})
    new = pd.DataFrame(draw.dirichlet(np.full(40, 0.2), 60), columns=names)
    truth = (new[names[:5]].sum(axis=1) + 0.05) ** -0.3
    for law in ("ridge", "log-linear", "power", "diminishing", "gp"):
        predicted = fit_law(runs, losses, law).predict(new)["y"]
        assert predicted.corr(truth, method="spearman") > 0.4, law


@pytest.mark.parametrize("law", ["power", "diminishing"])
def test_one_run_that_diverged_does_not_bend_the_law(law):
    runs, others = made_mixtures(80, 0), made_mixtures(50, 1)
    losses = power_losses(runs)
    losses.iloc[7] += 30.0
    assert np.abs(fit_law(runs, losses, law).predict(others) - power_losses(others)).max().max() < 0.03


def test_rounded_weights_are_divided_by_their_sums():
    runs = made_mixtures(20, 0)
    losses = linear_losses(runs)
    first = fit_law(runs, losses, "ridge").predict(runs)
    second = fit_law(runs * 1.003, losses, "ridge").predict(runs * 0.5)
    assert second.to_numpy() == pytest.approx(first.to_numpy(), rel=1e-9)


def test_what_a_user_can_get_wrong_is_said():
    runs = made_mixtures(20, 0)
    losses = linear_losses(runs)
    law = fit_law(runs, losses, "ridge")
    with pytest.raises(ValueError, match=r"missing \['wiki'\], unknown \['wikipedia'\]"):
        law.predict(runs.rename(columns={"wiki": "wikipedia"}))
    with pytest.raises(ValueError, match=r"weight of 'code' in row run3: -0.1 must be"):
        bad = runs.copy()
        bad.loc["run3", "code"] = -0.1
        law.predict(bad)
    with pytest.raises(ValueError, match=r"row run2 sum to 0"):
        bad = runs.copy()
        bad.loc["run2"] = 0.0
        fit_law(bad, losses, "ridge")
    with pytest.raises(ValueError, match=r"'prose' of run 'run1' is nan"):
        bad = losses.copy()
        bad.loc["run1", "prose"] = np.nan
        fit_law(runs, bad, "ridge")
    with pytest.raises(ValueError, match=r"law='cubic': must be one of auto"):
        fit_law(runs, losses, "cubic")
    with pytest.raises(ValueError, match=r"3 runs are too few; it needs at least 4"):
        fit_law(runs.iloc[:3], losses.iloc[:3], "power")
    with pytest.raises(ValueError, match=r"runs \['run0'\] stand in one of the two only"):
        fit_law(runs, losses.iloc[1:], "ridge")
    with pytest.raises(ValueError, match=r"column \['web'\] stands twice"):
        fit_law(runs.set_axis(["web", "web", "books", "wiki"], axis=1), losses, "ridge")
    with pytest.raises(ValueError, match=r"weights: column 'web' holds what is no number"):
        fit_law(runs.assign(web="much"), losses, "ridge")
    with pytest.raises(ValueError, match=r"fusion needs one"):
        fit_law(runs, losses, "fusion")
    assert set(QUICK) < set(LAWS)
    assert law.sources == SOURCES


@pytest.mark.parametrize("law", [*QUICK, "auto", "scheffe"])
def test_a_loss_that_never_changes_is_predicted_as_it_is(law):
    runs, others = made_mixtures(30, 0), made_mixtures(5, 1)
    losses = linear_losses(runs).assign(still=1.3863)[["prose", "still", "programs"]]
    found = fit_law(runs, losses, law)
    predicted = found.predict(others)
    assert predicted["still"].tolist() == [1.3863] * 5
    assert found.about["constant_losses"] == {"still": 1.3863}
    pd.testing.assert_frame_equal(
        predicted[list(linear_losses(runs))], fit_law(runs, linear_losses(runs), law).predict(others)
    )


def test_losses_of_which_none_changes_are_predicted_as_they_are():
    runs = made_mixtures(30, 0)
    losses = pd.DataFrame({"x": 2.5, "y": 0.0}, index=runs.index)
    for law in ("auto", "log-linear", "power"):
        assert fit_law(runs, losses, law).predict(made_mixtures(3, 1)).to_numpy().tolist() == [[2.5, 0.0]] * 3
    utility = pd.DataFrame({"x": [0.2, 0.4, 0.6, 0.8], "y": 0.5}, index=list(SOURCES))
    told = fit_law(runs, losses, "fusion", utility=utility).predict(made_mixtures(3, 1))
    assert told.to_numpy().tolist() == [[2.5, 0.0]] * 3
