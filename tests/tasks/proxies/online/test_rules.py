"""The update rules of DoReMi, ODM and Skill-it, a step or two of each worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.proxies.online import doremi, odm, skill_it
from tasks.proxies.online.learning_records import late_drift

NAN = np.nan


def test_doremi_clips_each_token_and_a_source_that_is_absent_keeps_its_excess():
    proxy = np.array([[1.0, 3.0], [2.0, 4.0], [5.0, 3.0]])
    reference = np.array([[2.0, 2.0], [2.0, 1.0], [4.0, 4.0]])
    excess = doremi.excess_losses(proxy, reference, np.array([0, 0, 1]), np.array([9.0, 9.0, 0.7]))
    # Source 0: tokens above the reference by 1 and 3, of four. Source 1: by 1, of two; on average it is equal.
    assert excess.tolist() == [1.0, 0.5, 0.7]


def test_doremi_weights_of_two_steps():
    excess = np.array([np.log(3), 0.0])
    first = doremi.updated_weights(np.array([0.5, 0.5]), excess, eta=1.0, smoothing=0.1)
    np.testing.assert_allclose(first, [0.9 * 0.75 + 0.05, 0.9 * 0.25 + 0.05], rtol=1e-14)
    second = doremi.updated_weights(first, excess, eta=1.0, smoothing=0.1)
    np.testing.assert_allclose(second, [0.9 * 2.175 / 2.45 + 0.05, 0.9 * 0.275 / 2.45 + 0.05], rtol=1e-14)
    # Half the step size: the square root of 3.
    half = doremi.updated_weights(np.array([0.5, 0.5]), excess, eta=0.5, smoothing=0.0)
    np.testing.assert_allclose(half, [np.sqrt(3) / (1 + np.sqrt(3)), 1 / (1 + np.sqrt(3))], rtol=1e-14)


def test_doremi_shares_a_weight_out_among_the_sequences_of_its_source():
    weights = doremi.sequence_weights(np.array([0.6, 0.3, 0.1]), np.array([0, 0, 1]))
    assert weights.tolist() == [0.3, 0.3, 0.3]


def test_odm_explores_alone_at_first_and_less_and_less():
    assert odm.exploration(0, 4) == 0.25
    assert odm.exploration(1, 4) == 0.25  # sqrt(ln 4 / 4) = .589 is above 1/4
    assert odm.exploration(100, 4) == pytest.approx(0.0588705)  # sqrt(1.3862944 / 400)
    np.testing.assert_allclose(odm.policy(np.array([7.0, 1.0, 0.0, 0.0]), 1), 0.25)


def test_odm_policy_of_a_step():
    # eps_8 = sqrt(ln 2 / 16) = .208139, eps_7 = sqrt(ln 2 / 14) = .222510; exp(4 * eps_7) = 2.435223 to 1;
    # (1 - 2 * .208139) * 2.435223 / 3.435223 + .208139 = .621939.
    np.testing.assert_allclose(odm.policy(np.array([4.0, 0.0]), 8), [0.6219386, 0.3780614], atol=1e-7)


def test_odm_rewards_of_a_step():
    rewards, even = np.array([1.0, 1.0]), np.array([0.5, 0.5])
    # Seen: .75 * 2 / .5 = 3 and .25 * 4 / .5 = 2.
    found = odm.updated_rewards(rewards, np.array([2.0, 4.0]), np.array([3.0, 1.0]), even, 0.9)
    np.testing.assert_allclose(found, [1.2, 1.1], rtol=1e-14)
    found = odm.updated_rewards(rewards, np.array([2.0, NAN]), np.array([4.0, 0.0]), even, 0.9)
    np.testing.assert_allclose(found, [1.3, 0.9], rtol=1e-14)


def test_odm_weighs_by_importance_so_that_the_expected_reward_is_the_loss():
    losses, p = np.array([3.0, 5.0]), np.array([0.2, 0.8])
    expected = sum(
        chance * odm.updated_rewards(np.zeros(2), np.where(drawn, losses, NAN), drawn.astype(float), p, 0.0)
        for chance, drawn in zip(p, np.eye(2, dtype=bool), strict=True)
    )
    np.testing.assert_allclose(expected, losses)


def test_odm_draws_its_warm_up_mixture_and_learns_meanwhile():
    rule = odm.Odm(np.array([0.9, 0.1]), 2, odm.OdmSettings(average=0.0))
    assert rule.observe(0, np.array([9, 1]), np.array([2.0, 4.0])).tolist() == [0.9, 0.1]
    np.testing.assert_allclose(rule.state["rewards"], [2.0, 4.0])
    assert rule.observe(1, np.array([9, 1]), np.array([2.0, 4.0])).tolist() == [0.9, 0.1]
    assert rule.observe(2, np.array([5, 5]), np.array([2.0, 4.0])).tolist() != [0.9, 0.1]


def test_skill_it_graph_is_the_relative_fall_and_no_rise():
    before = np.array([4.0, 2.0])
    after = np.array([[2.0, 1.0], [5.0, 1.0]])  # row: trained on
    assert skill_it.skills_graph(before, after).tolist() == [[0.5, 0.5], [0.0, 0.5]]


def test_skill_it_prefers_what_helps_the_sources_of_high_loss():
    graph = np.array([[0.5, 0.5], [0.0, 0.5]])
    # Sums of rows 1 and .5; then A @ (2, 0) = (1, 0), and A @ (0, 2) = (1, 1).
    np.testing.assert_allclose(skill_it.first_mixture(graph, 1.0)[0], 1 / (1 + np.exp(-0.5)))
    of_first = skill_it.next_mixture(graph, [np.array([2.0, 0.0])], 1.0, 3)
    np.testing.assert_allclose(of_first, [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))])
    np.testing.assert_allclose(skill_it.next_mixture(graph, [np.array([0.0, 2.0])], 1.0, 3), 0.5)


def test_skill_it_sums_the_losses_of_its_window():
    graph, losses = np.eye(2), [np.array([100.0, 0.0]), np.array([0.0, 1.0]), np.array([0.0, 1.0])]
    np.testing.assert_allclose(skill_it.next_mixture(graph, losses, 0.5, 2)[1], 1 / (1 + np.exp(-1)))
    assert skill_it.next_mixture(graph, losses, 0.5, 3)[0] > 0.99


def test_late_drift_compares_the_last_two_quarters():
    settled, moving = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    assert late_drift(np.array([moving, moving, settled, settled])) == 0.0
    assert late_drift(np.array([settled, settled, settled, moving])) == 0.5
    assert late_drift(np.array([moving])) == 0.0
