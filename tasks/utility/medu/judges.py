"""Which judge answers: the one that the settings of MEDU name."""

from __future__ import annotations

from collections.abc import Callable

from tasks.utility.medu.answers import AnswerFile
from tasks.utility.medu.settings import MeduSettings
from tasks.utility.medu.verdicts import Judge


def language_judge(settings: MeduSettings, answers: AnswerFile, report: Callable[[str], None]) -> Judge:
    """The judge that the settings name; ValueError where a local model or a tokenizer cannot be loaded."""
    if settings.judge == "openai":
        from tasks.utility.medu.openai_judge import OpenaiJudge

        return OpenaiJudge(settings, answers, report)
    from tasks.utility.medu.transformers_judge import TransformersJudge

    return TransformersJudge(settings, answers, report)
