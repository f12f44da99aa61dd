"""The one face of all judges: they describe tasks by their dev items, and give documents an expected label value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tasks.utility.answers import AnswerFile
from tasks.utility.medu_settings import MeduSettings

Missing = Literal["", "unreadable", "refused", "budget"]


@dataclass(frozen=True)
class Verdict:
    """A document's expected label value in [0, 1], or why there is none.

    shares: probability of each label, best first, where the judge gives labels. missing: unreadable (no label on
    the last line), refused (by the endpoint, for the document's own content), budget (not asked: no tokens left).
    """

    value: float | None
    missing: Missing = ""
    shares: tuple[float, ...] | None = None


class Judge(Protocol):
    """What `openai`, `transformers` and `ngram` have in common. A description is the judge's own to read."""

    def describe(self, dev_items: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """A description of each task, from its dev items (texts)."""
        ...

    def label(self, questions: Sequence[tuple[Any, str]]) -> list[Verdict]:
        """A verdict on each (description, document), in their order."""
        ...

    def about(self, sources: int) -> dict[str, Any]:
        """JSON-ready facts: requests, tokens, cost beside ablations of so many sources."""
        ...


def language_judge(settings: MeduSettings, answers: AnswerFile, report: Callable[[str], None]) -> Judge:
    """The judge that the settings name; ValueError where a local model or a tokenizer cannot be loaded."""
    if settings.judge == "openai":
        from tasks.utility.openai_judge import OpenaiJudge

        return OpenaiJudge(settings, answers, report)
    from tasks.utility.transformers_judge import TransformersJudge

    return TransformersJudge(settings, answers, report)
