"""The judge `transformers`: a local causal LM scores the five labels by their likelihood.

After the label prompt and the words `Final Score:`, with l_k the log-likelihood of label k's tokens, the labels'
probabilities are softmax(l) and the document's value is their expectation: one forward pass a document, where a
written answer takes one a token. Descriptions are written, greedily.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.pretrained_places import digest_pretrained
from tasks.utility.medu.answers import Answer, AnswerFile, question_key
from tasks.utility.medu.describing import describe_tasks
from tasks.utility.medu.meter import meter
from tasks.utility.medu.prompting import Prompter
from tasks.utility.medu.settings import LABELS, MeduSettings
from tasks.utility.medu.spending import Spending
from tasks.utility.medu.text_lengths import TokenizerMeasure, load_judge_tokenizer
from tasks.utility.medu.verdicts import Verdict

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LEAD = "Final Score:"
REPORTS = 20


class TransformersJudge:
    """See the module; one face with the others (tasks.utility.medu.judges)."""

    def __init__(self, settings: MeduSettings, answers: AnswerFile, report: Callable[[str], None]) -> None:
        self.settings, self.answers, self.report = settings, answers, report
        self.measure = TokenizerMeasure(load_judge_tokenizer(settings.model, "utility.medu.model"))
        self.model: Any = _load(settings)
        self.parameters = int(sum(weight.numel() for weight in self.model.parameters()))
        commit = getattr(self.model.config, "_commit_hash", None)  # of a model from the Hub
        self.identity = " ".join(filter(None, (digest_pretrained(settings.model), commit)))
        self.prompter = Prompter(settings, self.measure)
        self.spending = Spending(settings.max_tokens)
        self.labels = self._label_tokens()

    def describe(self, dev_items: Mapping[str, Sequence[str]]) -> dict[str, str]:
        return describe_tasks(dev_items, self.prompter, self._write)

    def label(self, questions: Sequence[tuple[str, str]]) -> list[Verdict]:
        """In batches of like length; with a token budget those that stand first are labelled."""
        prompts = [self._label_ids(*question) for question in questions]
        keys = [self._key("likelihood", ids) for ids in prompts]
        allowed = self._within_budget(prompts, keys)
        self._score(prompts, keys[:allowed])
        values = np.array([self.settings.label_values[label] for label in LABELS])
        verdicts = []
        for key in keys[:allowed]:
            shares = _softmax(json.loads(self.answers.known[key].text))
            verdicts.append(Verdict(float(shares @ values), shares=tuple(shares.tolist())))
        return verdicts + [Verdict(None, "budget")] * (len(questions) - allowed)

    def about(self, sources: int) -> dict[str, Any]:
        spending = self.spending
        return {
            "requests": {"asked": spending.asked, "answered_before": spending.remembered},
            "model": {"digest": self.identity, "parameters": self.parameters},
            "label_tokens": {label: len(ids) for label, ids in zip(LABELS, self.labels, strict=True)},
            **meter(
                self.settings.cost, spending, sources, self.settings.cost.parameters or float(self.parameters)
            ),
        }

    def _key(self, kind: str, ids: Sequence[int]) -> str:
        limit = self.settings.max_answer_tokens if kind == "text" else 0
        return question_key(self.identity, kind, limit, self.settings.dtype, list(ids))

    def _label_ids(self, description: str, document: str) -> list[int]:
        return self.measure.ids(self.measure.rendered(self.prompter.label(description, document)) + LEAD)

    def _label_tokens(self) -> list[list[int]]:
        """Token ids of each label behind the lead."""
        encode = self.measure.tokenizer
        lead = encode(LEAD, add_special_tokens=False)["input_ids"]
        found = []
        for label in LABELS:
            whole = encode(f"{LEAD} {label}", add_special_tokens=False)["input_ids"]
            joined = whole[: len(lead)] == lead and len(whole) > len(lead)
            found.append(
                whole[len(lead) :] if joined else encode(f" {label}", add_special_tokens=False)["input_ids"]
            )
        return found

    def _within_budget(self, prompts: Sequence[Sequence[int]], keys: Sequence[str]) -> int:
        """How many of the prompts, from the first, the token budget holds; they count as used."""
        extra = sum(len(ids) - 1 for ids in self.labels)
        for position, (ids, key) in enumerate(zip(prompts, keys, strict=True)):
            answer = self.answers.get(key)
            fresh = Answer("", len(ids) + extra, 0)
            if not self.spending.fits(self.spending.bound(key, (answer or fresh).tokens)):
                self.spending.exhausted = True
                self.report(
                    f"utility.medu.max_tokens={self.settings.max_tokens:,} is spent: {position:,} of {len(keys):,} "
                    "documents are labelled"
                )
                return position
            self.spending.use(key, answer or fresh, remembered=answer is not None)
        return len(keys)

    def _score(self, prompts: Sequence[Sequence[int]], keys: Sequence[str]) -> None:
        from tasks.utility.medu.likelihood import batches_by_length, continuation_scores, takes_positions

        fresh = {key: prompts[i] for i, key in enumerate(keys) if self.answers.get(key) is None}
        order = list(fresh)
        extra = sum(len(ids) - 1 for ids in self.labels)
        done, told = 0, 0
        lengths = [len(fresh[key]) for key in order]
        for batch in batches_by_length(lengths, self.settings.batch_tokens, not takes_positions(self.model)):
            scores = continuation_scores(self.model, [fresh[order[i]] for i in batch], self.labels)
            for row, i in enumerate(batch):
                text = json.dumps(scores[row].tolist())
                self.answers.keep(order[i], Answer(text, lengths[i] + extra, 0))
            done += len(batch)
            if (done - told) * REPORTS >= len(order) or done == len(order):
                told = done
                self.report(f"labels: {done:,}/{len(order):,}")

    def _write(self, prompts: Sequence[str], what: str) -> list[str]:
        """Texts that the model generates greedily, one prompt at a time."""
        import torch

        texts: list[str] = []
        for prompt in prompts:
            ids = self.measure.ids(self.measure.rendered(prompt))
            key = self._key("text", ids)
            answer = self.answers.get(key)
            longest = len(ids) + self.settings.max_answer_tokens
            bound = self.spending.bound(key, answer.tokens if answer else longest)
            if not self.spending.fits(bound):
                raise ValueError(
                    f"utility.medu.max_tokens={self.settings.max_tokens}: spent ({self.spending.tokens:,} tokens) "
                    f"before the tasks were described ({what}: {len(texts)} of {len(prompts)}); raise it"
                )
            remembered = answer is not None
            if answer is None:
                given = torch.tensor([ids], device=self.model.device)
                with torch.inference_mode():
                    written = self.model.generate(
                        input_ids=given,
                        attention_mask=torch.ones_like(given),
                        do_sample=False,
                        temperature=None,
                        top_p=None,
                        top_k=None,
                        max_new_tokens=self.settings.max_answer_tokens,
                        pad_token_id=self.measure.tokenizer.eos_token_id,
                    )[0, len(ids) :]
                text = self.measure.tokenizer.decode(written, skip_special_tokens=True)
                answer = Answer(text, len(ids), len(written))
                self.answers.keep(key, answer)
            self.spending.use(key, answer, remembered)
            texts.append(answer.text)
        if prompts:
            self.report(f"{what}: {len(prompts):,}/{len(prompts):,}")
        return texts


def _softmax(log_likelihoods: Sequence[float]) -> np.ndarray:
    scores = np.array(log_likelihoods, dtype=float)
    shares = np.exp(scores - scores.max())
    return shares / shares.sum()


def _load(settings: MeduSettings) -> PreTrainedModel:
    import torch

    import models

    dtype = None if settings.dtype == "auto" else getattr(torch, settings.dtype)
    device = settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        model: Any = models.load_causal_lm(settings.model, dtype)
        model = model.to(device).eval()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"utility.medu.model={settings.model} on device {device}: {error}") from error
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and settings.context_tokens > longest:
        raise ValueError(
            f"utility.medu.context_tokens={settings.context_tokens}: the model {settings.model} reads {longest} at most"
        )
    return model
