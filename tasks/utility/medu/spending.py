"""A judge's tokens: what has been spent, and a budget that is never exceeded.

The budget counts the answers that a utility rests on, each once, whichever run they were bought by, so that a
utility depends on its settings alone, and by our own count of what was sent and received: a judge that states
less would be given more. A question is asked only when its prompt and the longest answer to it
still fit beside all that are under way; where one never will, nothing that stands behind it is asked either: to
pass over it would favour short documents.
"""

from __future__ import annotations

from collections import Counter

from tasks.utility.medu.answers import Answer


class Spending:
    """Tokens of the answers in use, and of the longest answers to what is under way (reserved)."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.prompt_tokens = self.completion_tokens = 0  # as the judge states them, where that can be
        self.counted = self.reserved = 0  # of the budget
        self.bought_tokens = 0  # in this run
        self.asked = self.remembered = 0
        self.counted_here = 0  # answers whose tokens the endpoint did not state
        self.exhausted = False
        self.served: Counter[str] = Counter()
        self._in_use: set[str] = set()

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def bound(self, key: str, most: int) -> int:
        """Tokens of the budget that this question may add: none where its answer is in use already."""
        return 0 if key in self._in_use else most

    def fits(self, bound: int) -> bool:
        return self.most is None or self.counted + self.reserved + bound <= self.most

    def use(self, key: str, answer: Answer, remembered: bool, counted: int | None = None) -> None:
        """Count an answer, in place of what was reserved for it; counted: of the budget, left out: its tokens."""
        self.asked += not remembered
        self.remembered += remembered
        if key in self._in_use:
            return
        self._in_use.add(key)
        self.counted += answer.tokens if counted is None else counted
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        self.bought_tokens += 0 if remembered else answer.tokens
        if answer.served:
            self.served[answer.served] += 1
