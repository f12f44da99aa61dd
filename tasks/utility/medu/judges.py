"""Which judge answers: the one that the settings of MEDU name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tasks.utility.medu.answers import AnswerFile
from tasks.utility.medu.prompting import Prompter
from tasks.utility.medu.settings import MeduSettings
from tasks.utility.medu.verdicts import Judge


class LanguageJudge(Judge, Protocol):
    """A judge that reads prompts."""

    prompter: Prompter


def language_judge(
    settings: MeduSettings, answers: AnswerFile, report: Callable[[str], None]
) -> LanguageJudge:
    """The judge that the settings name; ValueError where a local model or a tokenizer cannot be loaded."""
    if settings.judge == "openai":
        from tasks.utility.medu.openai_judge import OpenaiJudge

        return OpenaiJudge(settings, answers, report)
    from tasks.utility.medu.transformers_judge import TransformersJudge

    return TransformersJudge(settings, answers, report)
