"""A judge that fails three of ten calls, in ten ways: seven of a server, and three that are answers of a model.

What a server does goes by prompt and attempt, and is asked again. A wrong label, an empty answer and a chat without a
label go by the prompt alone: they count as answers, so the run in peace must get the same. A redirect ends a run with
a message: so it is a disturbance, and not of the run in peace.
"""

from __future__ import annotations

import hashlib
from collections import Counter

from tests.chat_server import ChatServer

LABELS = ("Great", "Good", "Okay", "Poor", "Useless")
OF_SERVER = ("500", "429", "dropped", "hang", "cut off", "not json", "huge")
OF_MODEL = {"wrong label": "Final Score: Splendid", "empty": "", "no label": "I would rather not say."}
SERVER_SHARE, MODEL_SHARE = 0.26, 0.1


class FailingJudge(ChatServer):
    """Counts its failures over all rounds, whatever `forget` forgets."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.asked = 0
        self.redirecting = False
        self.round = 0  # each has failures of its own
        super().__init__(self._label, fault_share=SERVER_SHARE, faults=OF_SERVER)

    def fault(self, prompt: str) -> str | None:
        found = "redirect" if self.redirecting else super().fault(f"{self.round} {prompt}")
        kind = found or (_answers_wrongly(prompt) if "<document>" in prompt else None)
        with self.log.lock:
            self.asked += 1
            self.total.update([kind] if kind else [])
        return found

    @property
    def share(self) -> float:
        return self.total.total() / max(self.asked, 1)

    def _label(self, prompt: str) -> str:
        """One answer to one prompt, whenever it is asked."""
        kind = _answers_wrongly(prompt) if "<document>" in prompt else None
        label = LABELS[hashlib.sha256(prompt.encode()).digest()[0] % len(LABELS)]
        return f"So it is.\nFinal Score: {label}" if kind is None else OF_MODEL[kind]


def _answers_wrongly(prompt: str) -> str | None:
    number = int.from_bytes(hashlib.sha256(f"wrong {prompt}".encode()).digest()[:6], "big") / 2**48
    return list(OF_MODEL)[int(number / MODEL_SHARE * len(OF_MODEL))] if number < MODEL_SHARE else None
