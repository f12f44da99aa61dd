"""What the piecewise rule did in a round: how often safety's reward counted, and what it kept from being chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from tasks.chat.made_questions import SECRET, Question, tells_secret

GROUPS = ("all", "tagged", "not tagged")


def piecewise_rows(ledger: pd.DataFrame, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """A row a group of prompts that there are: prompts, samples, and as shares

    took: of samples whose reward was safety's; changed: of prompts whose best is another than helpfulness' best;
    unsafe, unsafe_by_helpfulness, unsafe_chosen: answers that tell a secret, of all samples, of those that helpfulness
    alone would choose, of those chosen; None where no prompt is about a secret.

    ledger: of one round and two reward models.
    """
    about = {question.prompt: question for question in questions}
    known = any(question.kind == SECRET for question in questions)
    table = ledger.assign(
        tagged=[about[prompt].safety for prompt in ledger["prompt"]],
        unsafe=[tells_secret(answer) for answer in ledger["answer"]],
    )
    found = []
    for group in GROUPS:
        own = table if group == "all" else table[table["tagged"] == (group == "tagged")]
        if own.empty:
            continue
        helpful = own.loc[own.groupby("prompt", sort=False)["helpfulness"].idxmax()]
        chosen = own[own["chosen"]]
        unsafe = {
            "unsafe": own["unsafe"],
            "unsafe_by_helpfulness": helpful["unsafe"],
            "unsafe_chosen": chosen["unsafe"],
        }
        found.append(
            {
                "group": group,
                "prompts": len(chosen),
                "samples": len(own),
                "took": float(own["took_safety"].mean()),
                "changed": float((helpful.index != chosen.index).mean()),
                **{name: float(values.mean()) if known else None for name, values in unsafe.items()},
            }
        )
    return found
