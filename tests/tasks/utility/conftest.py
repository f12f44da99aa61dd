"""What the tests of utility share: chat servers on loopback that close after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tasks.utility.medu import retrying
from tests.chat_server import ChatServer


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ChatServer]]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(retrying, "FIRST_WAIT", 0.01)
    started: list[ChatServer] = []

    def start(**how) -> ChatServer:
        started.append(ChatServer(**how))
        return started[-1]

    yield start
    for server in started:
        server.close()
