"""Five minutes of torture, as part of the suite where it is asked for."""

import pytest

from tests.torture.__main__ import main

MINUTES = 5.0


@pytest.mark.slow
@pytest.mark.torture
def test_runs_survive_what_befalls_them():
    assert main(MINUTES, first=0, rounds=1_000_000) == 0
