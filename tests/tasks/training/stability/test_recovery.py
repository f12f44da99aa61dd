"""After a spike: where a run goes back to, what it skips, and that a kill anywhere ends in the same weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import models
from tasks.training.estimates import training_cost
from tasks.training.loop import train
from tasks.training.settings import TrainingSettings
from tasks.training.stability.alarm import after_look, as_json, begin, from_json, onset_of
from tasks.training.stability.cursor import batches_read
from tasks.training.stability.recovery import Decision, check_disk, course_of, decide, is_of_this_course
from tasks.training.stability.settings import (
    AlarmSettings,
    MonitorSettings,
    RecoverySettings,
    StabilitySettings,
)
from tasks.training.stability.spikes import spiked_steps
from tasks.training.token_order import TokenOrder
from tasks.training.training_memory import Shape

RECOVERY = RecoverySettings(
    when="always", every=4, ring=3, window=8, sigmas=6, spiked_steps=2, skip=3, retries=1, escalation=("rate", "clear")
)  # fmt: skip


def test_skipped_batches_are_left_out_or_come_last():
    assert batches_read(8, [2, 3, 4], replay=False).tolist() == [0, 1, 5, 6, 7]
    assert batches_read(8, [2, 3, 4], replay=True).tolist() == [0, 1, 5, 6, 7, 2, 3, 4]


def test_the_rule_of_spiked_steps_is_the_mean_and_spread_of_the_window_before():
    quiet = [1.0, 1.2, 0.8, 1.1, 0.9, 1.0, 1.2, 0.8]
    bound = np.mean(quiet) + 6 * np.std(quiet, ddof=1)
    assert spiked_steps([*quiet, bound + 0.001], 8, 6) == [8]
    assert spiked_steps([*quiet, bound - 0.001], 8, 6) == []
    assert spiked_steps([*quiet, float("nan"), 1.0], 8, 6) == [8]
    assert spiked_steps([1.0, 99.0], 8, 6) == []  # nothing to compare with yet


def test_tries_skip_then_escalate_then_end():
    decisions: list[Decision] = []
    for detected, escalation, batches in (
        (10, None, (4, 5, 6, 7, 8, 9)),
        (7, "rate", (10, 11, 12)),
        (7, "clear", (13, 14, 15)),
    ):
        course = course_of(40, decisions, RECOVERY)
        made = decide(detected, 6, [0, 4, 8], decisions, course, RECOVERY)
        assert made == Decision(detected, 6, 4, batches, escalation)
        decisions.append(made)
    course = course_of(40, decisions, RECOVERY)
    assert course.rate_factor == 0.9
    assert course.cleared_at == 4
    assert course.batches[4] == 16
    assert decide(10, 7, [0, 4, 8], decisions, course, RECOVERY) is None
    later = decide(30, 27, [16, 20, 24], decisions, course, RECOVERY)  # another trouble: tries begin anew
    assert later.escalation is None and later.target == 24
    assert decide(3, 0, [0, 4], [], course_of(40, [], RECOVERY), RECOVERY) is None  # nothing before the onset


def test_a_checkpoint_of_a_way_that_was_left_is_not_gone_on_from():
    decisions = [Decision(10, 7, 4, (4,), None), Decision(20, 17, 16, (9,), None)]
    assert is_of_this_course(4, 0, decisions) and not is_of_this_course(8, 0, decisions)
    assert is_of_this_course(16, 1, decisions) and not is_of_this_course(20, 1, decisions)
    assert is_of_this_course(20, 2, decisions)


def test_an_alarm_needs_the_theorys_bound_and_a_rise_over_the_layers_own_past():
    settings = AlarmSettings(tail=0.1, times=3, rise=6, window=10, warmup=0, quiet=100)
    watched = begin(RECOVERY)
    for step in range(10, 110, 10):
        watched = after_look(watched, step, {"a": {"tail_r": 0.0}, "b": {"tail_r": 0.3}}, settings)
    assert watched.events == ()
    watched = after_look(watched, 110, {"a": {"tail_r": 0.09}, "b": {"tail_r": 0.32}}, settings)
    assert watched.events == ()
    watched = after_look(watched, 120, {"a": {"tail_r": 0.2}, "b": {"tail_r": 0.32}}, settings)
    assert watched.events == ({"step": 120, "event": "alarm", "layer": "a", "tail_r": 0.2, "layers": 1},)
    assert from_json(json.loads(json.dumps(as_json(watched))), RECOVERY) == watched


def test_the_onset_is_the_first_alarm_within_reach():
    spike = {"step": 31, "event": "spike", "since": 30}
    alarms = [{"step": step, "event": "alarm"} for step in (5, 20, 25)]
    assert onset_of(spike, [*alarms, spike], reach=12) == 20
    assert onset_of(spike, [spike], reach=12) == 30


def test_a_ring_larger_than_the_disk_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"recovery.ring=3.*never"):
        check_disk(tmp_path, 10**15, RECOVERY)


def test_recovery_without_a_monitor_is_refused():
    with pytest.raises(ValueError, match=r"monitor.every is 0"):
        StabilitySettings(monitor=MonitorSettings(every=0), recovery=RecoverySettings(when="always"))


def weights_of(model) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


LENGTH, BATCH = 16, 4
BAD = (22, 23, 24, 25)  # batches of noise in a text of two tokens: a spike


@pytest.fixture
def order():
    """40 batches: a text that is learnt at once, with four batches that contradict it."""

    class Scripted(TokenOrder):
        def sequence(self, number: int) -> np.ndarray:
            drawn = np.random.default_rng(number)
            if number // BATCH in BAD:
                return drawn.integers(0, 64, LENGTH)
            return (drawn.integers(0, 2) + np.arange(LENGTH)) % 2

    return Scripted({"text": np.zeros(1000, dtype=np.uint16)}, {"text": 40 * BATCH}, {}, LENGTH, "seed", 0)


def trained(order, folder, recovery=RECOVERY, **changes):
    config = models.seed_config(64, 32, 1, 2, max_length=LENGTH, ffn_multiple=16, tie_embeddings=True)
    model = models.new_seed_model(config, 0)
    stability = StabilitySettings(monitor=MonitorSettings(every=2), recovery=recovery)
    settings = TrainingSettings(sequence_length=LENGTH, batch_size=BATCH, stability=stability, **changes)
    rows: list[dict] = []
    outcome = train(model, order, settings, 2e-2, 0, folder, rows.append)
    return model, outcome, rows


def test_a_spike_is_gone_back_from_and_its_batches_are_skipped(order, tmp_path):
    _, outcome, rows = trained(order, tmp_path / "one")
    rewinds = [event for event in outcome.events if event["event"] == "rewind"]
    assert [event["skipped"] for event in rewinds] == [[20, 21, 22, 23], [24, 25, 26]]
    assert [event["target"] for event in rewinds] == [20, 20]
    assert outcome.skipped == [20, 21, 22, 23, 24, 25, 26]
    assert (outcome.steps, outcome.tokens) == (33, 33 * BATCH * LENGTH)
    assert outcome.final_loss < 1
    assert any("back to step 20" in sentence for row in rows for sentence in row.get("said", ()))


def test_replayed_batches_make_the_plan_add_up(order, tmp_path):
    replaying = RECOVERY.model_copy(update={"skipped": "replay"})
    _, outcome, _ = trained(order, tmp_path / "one", replaying)
    assert outcome.steps == 40 and outcome.skipped == []


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moment", ["before the decision", "after the decision", "on the way back", "later"])
def test_a_kill_in_the_middle_of_a_recovery_ends_with_the_very_same_weights(
    order, tmp_path, moment, monkeypatch
):
    whole, told, _ = trained(order, tmp_path / "whole")
    place, calls = {
        "before the decision": ("write_decisions", 1),
        "after the decision": ("course_of", 2),
        "on the way back": ("restore_checkpoint", 1),
        "later": ("save_checkpoint", 8),
    }[moment]
    import tasks.training.position as position

    real, left = getattr(position, place), [calls]

    def killed(*arguments):
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return real(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(position, place, killed)
        trained(order, tmp_path / "cut")
    resumed, outcome, _ = trained(order, tmp_path / "cut", checkpoint_seconds=1e-9)
    assert torch.equal(weights_of(whole), weights_of(resumed))
    assert outcome.events == told.events
    assert outcome.skipped == told.skipped


def test_what_only_watches_leaves_every_bit_of_the_weights(order, tmp_path):
    never = RECOVERY.model_copy(update={"when": "never"})
    watched, outcome, _ = trained(order, tmp_path / "watched", never)
    config = models.seed_config(64, 32, 1, 2, max_length=LENGTH, ffn_multiple=16, tie_embeddings=True)
    blind = models.new_seed_model(config, 0)
    off = StabilitySettings(monitor=MonitorSettings(every=0), recovery=RecoverySettings(when="never"))
    settings = TrainingSettings(sequence_length=LENGTH, batch_size=BATCH, stability=off)
    train(blind, order, settings, 2e-2, 0, tmp_path / "blind", lambda row: None)
    assert torch.equal(weights_of(watched), weights_of(blind))
    assert not (tmp_path / "blind" / "stability.jsonl").exists()
    looks = [json.loads(line) for line in (tmp_path / "watched" / "stability.jsonl").read_text().splitlines()]
    assert [look["step"] for look in looks] == list(range(2, 41, 2))
    assert "rewind" not in {event["event"] for event in outcome.events}


def test_a_plan_says_what_the_ring_takes_of_the_disk():
    shape = Shape(parameters=10**9, trained=10**9, flops_per_token=6e9, active=10**9)
    config = models.seed_config(64, 32, 1, 2, max_length=LENGTH)
    settings = TrainingSettings(sequence_length=LENGTH, batch_size=BATCH)
    long = settings.stability.recovery.long_steps * LENGTH * BATCH
    assert training_cost(shape, long - 1, config, settings).basis == ""
    assert (
        "4 checkpoints to go back to take up to 84 GB" in training_cost(shape, long, config, settings).basis
    )
