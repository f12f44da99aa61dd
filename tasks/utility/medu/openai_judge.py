"""The judge `openai`: a model behind an endpoint reasons briefly and ends with a line that is its label."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tasks.utility.medu.answers import Answer, AnswerFile
from tasks.utility.medu.describing import describe_tasks
from tasks.utility.medu.endpoint import Endpoint
from tasks.utility.medu.meter import meter
from tasks.utility.medu.prompting import Prompter
from tasks.utility.medu.settings import LABELS, MeduSettings
from tasks.utility.medu.spending import Spending
from tasks.utility.medu.text_lengths import load_measure
from tasks.utility.medu.verdicts import Verdict

LABEL = re.compile(rf"^\W*final\s+score\W+({'|'.join(LABELS)})\W*$", re.IGNORECASE)


class OpenaiJudge:
    """See the module; one face with the others (tasks.utility.medu.judges)."""

    def __init__(self, settings: MeduSettings, answers: AnswerFile, report: Callable[[str], None]) -> None:
        self.settings, self.report = settings, report
        self.prompter = Prompter(settings, load_measure(settings.tokenizer, settings.bytes_per_token))
        self.spending = Spending(settings.max_tokens)
        self.endpoint = Endpoint(settings, self.prompter, answers, self.spending, report)

    def describe(self, dev_items: Mapping[str, Sequence[str]]) -> dict[str, str]:
        return describe_tasks(dev_items, self.prompter, self._write)

    def _write(self, prompts: Sequence[str], what: str) -> list[str]:
        answers = self.endpoint.ask_all(prompts.__getitem__, len(prompts), what)
        written = [answer.text for answer in answers if answer is not None]
        if len(written) < len(prompts):
            raise ValueError(
                f"utility.medu.max_tokens={self.settings.max_tokens}: spent ({self.spending.counted:,} tokens) before "
                f"the tasks were described ({what}: {len(written)} of {len(prompts)}); raise it"
            )
        return written

    def label(self, questions: Sequence[tuple[str, str]]) -> list[Verdict]:
        answers = self.endpoint.ask_all(
            lambda index: self.prompter.label(*questions[index]), len(questions), "labels", refusable=True
        )
        if self.spending.exhausted:
            bought = sum(answer is not None for answer in answers)
            self.report(
                f"utility.medu.max_tokens={self.settings.max_tokens:,} is spent: {bought:,} of {len(answers):,} "
                "documents are labelled"
            )
        return [self._verdict(answer) for answer in answers]

    def _verdict(self, answer: Answer | None) -> Verdict:
        if answer is None:
            return Verdict(None, "budget")
        if answer.refused:
            return Verdict(None, "refused")
        label = read_label(answer.text)
        if label is None:
            return Verdict(None, "unreadable")
        return Verdict(self.settings.label_values[label], shares=tuple(float(label == one) for one in LABELS))

    def about(self, sources: int) -> dict[str, Any]:
        spending = self.spending
        return {
            "requests": {"asked": spending.asked, "answered_before": spending.remembered},
            "failures": dict(self.endpoint.failures),
            "served": dict(spending.served),
            **meter(self.settings.cost, spending, sources, self.settings.cost.parameters),
        }


def read_label(answer: str) -> str | None:
    """The label on the last line that is not empty; None unless it is `Final Score:` and exactly one of the five."""
    lines = [line for line in answer.splitlines() if line.strip()]
    match = LABEL.match(lines[-1].strip()) if lines else None
    return match.group(1).capitalize() if match else None
