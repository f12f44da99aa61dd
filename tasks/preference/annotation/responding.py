"""A model's responses to the prompts of a corpus, and how many hold by their rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tasks.evaluation.continuing import respond
from tasks.evaluation.standard_errors import mean_error
from tasks.preference.annotation.programmatic import RULES
from tasks.preference.annotation.prompts import AREA, corpus_prompts, rule_and_argument
from tasks.preference.records import records
from tasks.preference.settings import ProgrammaticSettings

COLUMNS = ["item", "area", "category", "model", "response", "rule", "argument", "document", "prompt"]


def respond_to_corpus(
    model_folder: Path,
    name: str,
    corpus: Path,
    facts: dict[str, Any],
    settings: ProgrammaticSettings,
    bits_per_byte_bytes: int = 0,
) -> tuple[pd.DataFrame, list[str]]:
    """One row a prompt with the columns COLUMNS, and notes on the prompts; see `prompts.corpus_prompts`.

    They are what `programmatic.annotate` takes, with the document that the prompt is from and the prompt beside it.
    """
    from accelerate import PartialState

    import models
    from tasks.sources.tokenization import load_tokenizer

    prompts, notes = corpus_prompts(corpus, facts, settings, bits_per_byte_bytes)
    texts = [prompt.text for prompt in prompts]
    model = models.load_causal_lm(model_folder).to(PartialState().device)
    responses = respond(model, load_tokenizer(corpus / "tokenizer"), texts, settings.new_tokens)
    rows = [
        (
            prompt.item,
            AREA,
            prompt.category,
            name,
            response,
            *rule_and_argument(prompt, settings.letters),
            prompt.document,
            prompt.text,
        )
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS), notes


def held_by_category(responses: pd.DataFrame) -> list[dict[str, Any]]:
    """category, items, share of its responses that hold by their rule, and the share's stderr over items."""
    held = [
        float(RULES[rule](response, argument))
        for rule, response, argument in zip(
            responses["rule"], responses["response"], responses["argument"], strict=True
        )
    ]
    rows = responses.assign(held=held).groupby("category", sort=False)["held"]
    shares = rows.agg(items="size", share="mean", stderr=lambda part: mean_error(part.tolist()))
    return records(shares.reset_index())
