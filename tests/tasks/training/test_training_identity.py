"""A run that is half done is gone on with only under the settings that it was begun with."""

from __future__ import annotations

import pytest

from storage.artifacts import ArtifactStore
from storage.stages import Stage
from tasks.training.settings import TrainingSettings
from tasks.training.stability.settings import StabilitySettings
from tasks.training.training_run import training_identity

BEGUN = TrainingSettings(sequence_length=32, batch_size=8)


class Killed(BaseException):
    pass


def found_by(home, settings: TrainingSettings) -> list[str]:
    """What a training under these settings finds of one that was killed, and leaves for the next."""
    found: list[str] = []

    def build(folder):
        (folder / "progress").mkdir(exist_ok=True)
        found.extend(path.name for path in (folder / "progress").iterdir())
        (folder / "progress" / f"of-{settings.batch_size}-{settings.processes}").touch()
        raise Killed

    with pytest.raises(Killed):
        identity = training_identity(settings, settings.learning_rate)
        ArtifactStore(home).produce(Stage("seed", 1, identity, {}, build, ""))
    return found


@pytest.mark.parametrize(
    "changed", [{"batch_size": 16}, {"processes": 2}, {"micro_batch_size": 4}, {"sequence_length": 64}]
)
def test_other_settings_begin_anew_and_leave_what_is_half_done_to_its_own(home, changed):
    assert found_by(home, BEGUN) == []
    assert found_by(home, BEGUN.model_copy(update=changed)) == []
    assert found_by(home, BEGUN) == ["of-8-1"]


@pytest.mark.parametrize("changed", [{"checkpoint_seconds": 7.0}, {"parallel_experts": 3}])
def test_what_does_not_decide_the_result_may_change_meanwhile(home, changed):
    assert found_by(home, BEGUN) == []
    assert found_by(home, BEGUN.model_copy(update=changed)) == ["of-8-1"]


def test_what_only_watches_may_change_meanwhile_and_what_goes_back_may_not(home):
    watching = {"recovery": {"when": "never"}}
    first = BEGUN.model_copy(update={"stability": StabilitySettings(**watching)})
    other = BEGUN.model_copy(update={"stability": StabilitySettings(**watching, monitor={"every": 20})})
    going_back = BEGUN.model_copy(update={"stability": StabilitySettings(recovery={"when": "always"})})
    assert found_by(home, first) == []
    assert found_by(home, other) == ["of-8-1"]
    assert found_by(home, going_back) == []
