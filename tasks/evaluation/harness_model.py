"""A causal language model as lm-evaluation-harness sees it, and what of the process it must not change."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from types import MappingProxyType
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from models.finite import check_finite
from storage.kept_scores import question_of
from tasks.benchmarks.quiet_harness import quiet_harness
from tasks.evaluation.generating import WrittenRequest, write, written_request
from tasks.evaluation.model_reading import Reading, compared, drawn_items
from tasks.evaluation.prefix_reading import can_share
from tasks.evaluation.random_states import kept_random_states
from tasks.evaluation.shared_prefixes import Answered, Row, shared_loglikelihoods, told_nobody

MOST_LOGITS = 1 << 28  # 1 GB in float32, of which the harness holds several copies
WRITTEN_AT_ONCE = 16  # texts
ENCODED_AT_ONCE = 1024  # requests
Request = tuple[Any, list[int], list[int]]


class HarnessModel(HFLM):
    """The harness' model without progress bars, for continuations and documents of any length."""

    reading: Reading = Reading()
    texts = 0  # asked for, where answers are kept
    known = 0  # of them, answered before
    _to_encode: Iterator[Any] = iter(())  # requests, from the next one on whose texts are not in `_encoded`
    _encoded: Mapping[str, list[int]] = MappingProxyType({})

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        found = self._pairs(requests)
        if self.reading.check and self.shares_prefixes:
            self._check(requests, found)
        return found

    def _pairs(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        self._to_encode, self._encoded = iter(requests), {}
        return super().loglikelihood(requests, disable_tqdm=True)

    def _check(self, requests: Sequence[Any], found: Sequence[tuple[float, bool]]) -> None:
        """Say how far some items' answers are from those of reading their texts whole."""
        items = [(request.task_name, request.doc_id) for request in requests]
        drawn = drawn_items(items, self.reading.check)
        self.reading = replace(self.reading, check=self.reading.check - len(drawn))
        places = [place for place, item in enumerate(items) if item in drawn]
        reading, self.reading = self.reading, replace(self.reading, shared_prefixes=False, answers=None)
        try:
            whole = self._pairs([requests[place] for place in places])
        finally:
            self.reading = reading
        exact = self.model.dtype == torch.float32
        reading.say(compared([items[at] for at in places], [found[at] for at in places], whole, exact))

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, *args: Any, **kwargs: Any
    ) -> list[int]:
        """As the harness does; the texts of pairs are encoded many at a time, equal ones once."""
        if add_special_tokens is not None or args or kwargs:
            return super().tok_encode(string, add_special_tokens, *args, **kwargs)
        if string not in self._encoded:
            self._encode_ahead()
        return self._encoded[string] if string in self._encoded else super().tok_encode(string)

    def _encode_ahead(self) -> None:
        """Encode the texts of the next requests, as `_encode_pair` will ask for them."""
        pairs = [request.args for request in islice(self._to_encode, ENCODED_AT_ONCE)]
        texts = {text for before, after in pairs if before for text in (before.rstrip(), before + after)}
        begin = self.tokenizer.decode(self.prefix_token_id)
        plain = [
            text for text in texts if text and not text.startswith(begin)
        ]  # others: the harness adds no BOS
        options = {} if self.add_bos_token is None else {"add_special_tokens": self.add_bos_token}
        self._encoded = (
            dict(zip(plain, self.tokenizer(plain, **options)["input_ids"], strict=True)) if plain else {}
        )

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """As the harness does for each request alone; what is not greedy is left to its own code."""
        asked = [written_request(self, request) for request in requests]
        others = [place for place, one in enumerate(asked) if one is None]
        whole = super().generate_until([requests[place] for place in others], True) if others else []
        found = dict(zip(others, whole, strict=True))
        kind = f"{self.model.dtype} {self.device.type}"
        questions: dict[str, WrittenRequest] = {}
        owners: dict[int, str] = {}
        for place, one in enumerate(asked):
            if one is not None:
                owners[place] = question_of(one.tokens, (), f"{kind}|{one.question()}")
                questions[owners[place]] = one
        texts = self._texts(questions)
        return [texts[owners[place]] if place in owners else found[place] for place in range(len(requests))]

    def _texts(self, questions: Mapping[str, WrittenRequest]) -> dict[str, str]:
        """What the model writes, each question asked for where it was not answered before, and kept from then on."""
        store = self.reading.answers
        known = {} if store is None else {key: store.find_text(key) for key in questions}
        texts = {key: text for key, text in known.items() if text is not None}
        if store is not None:
            self.texts, self.known = self.texts + len(questions), self.known + len(texts)
        open_ones = [key for key in questions if key not in texts]

        def keep(which: Sequence[int], written: Sequence[str]) -> None:
            told = {open_ones[at]: text for at, text in zip(which, written, strict=True)}
            texts.update(told)
            if store is not None:
                store.keep_texts(told)

        asked = [questions[key] for key in open_ones]
        write(self.model, self.tokenizer, asked, self.reading.batch_tokens, keep, self.shares_prefixes)
        return texts

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = True) -> list[float]:
        return [nats for nats, _ in self.document_loglikelihoods([request.args[0] for request in requests])]

    def document_loglikelihoods(self, documents: Sequence[str]) -> list[tuple[float, int]]:
        """(log-likelihood in nats, tokens) of each document: every token is predicted once.

        The first window begins with the BOS (or else EOS) token; each next one sees the token before it, and
        the last sees as much as fits. The windows of all documents are sorted by length and scored together;
        the harness' own loop takes them in order and shows a bar for each batch.
        """
        windows: list[Request] = []
        owners: list[int] = []
        for owner, document in enumerate(documents):
            tokens = self.tok_encode(document, add_special_tokens=False)
            for window in get_rolling_token_windows(tokens, self.prefix_token_id, self.max_length, 1):
                context, continuation = make_disjoint_window(window)
                windows.append((None, context, continuation))
                owners.append(owner)
        totals, counts = [0.0] * len(documents), [0] * len(documents)
        scored = self._loglikelihood_tokens(windows)
        for owner, window, (nats, _) in zip(owners, windows, scored, strict=True):
            totals[owner] += nats
            counts[owner] += len(window[2])
        return list(zip(totals, counts, strict=True))

    def token_loglikelihoods(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        """Log-likelihood in nats of each pair's second tokens after its first; of a text too long for it the end."""
        return [nats for nats, _ in self._loglikelihood_tokens([(("", ""), *pair) for pair in pairs])]

    def _loglikelihood_tokens(
        self, requests: Sequence[Request], disable_tqdm: bool = True, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        """Cut continuations that are longer than the model's window into parts, and sum them up again."""
        parts: list[Request] = []
        owners: list[int] = []
        for owner, (key, context, continuation) in enumerate(requests):
            if not continuation:
                raise ValueError(
                    f"the continuation {key[1]!r} has no token of its own after {key[0][-80:]!r}; "
                    "allowed: text that the tokenizer does not merge into the context"
                )
            whole = context + continuation
            for start in range(len(context), len(whole), self.max_length):
                end = min(start + self.max_length, len(whole))
                parts.append((key, whole[max(0, end - self.max_length - 1) : start], whole[start:end]))
                owners.append(owner)
        totals: list[tuple[float, bool]] = [(0.0, True)] * len(requests)
        scored = self._remembered(parts) if self.reading.answers is not None else self._asked(parts)
        for owner, (nats, greedy) in zip(owners, scored, strict=True):
            if math.isnan(nats):
                raise ValueError(
                    "the model gives a log-likelihood that is not a number, and no score comes of that; allowed: a "
                    "model whose outputs are finite"
                )
            totals[owner] = totals[owner][0] + nats, totals[owner][1] and greedy
        return totals

    @property
    def shares_prefixes(self) -> bool:
        return self.reading.shared_prefixes and can_share(self.model)

    def _remembered(self, parts: Sequence[Request]) -> list[tuple[float, bool]]:
        """Each part's log-likelihood, asked for where it was not answered before, and kept from then on."""
        assert self.reading.answers is not None
        store = self.reading.answers
        kind = f"{self.model.dtype} {self.device.type}"
        questions = [question_of(*self._row(part), kind) for part in parts]
        unknown = [at for at, question in enumerate(questions) if store.find(question) is None]
        self.texts, self.known = self.texts + len(parts), self.known + len(parts) - len(unknown)

        def keep(which: Sequence[int], nats: Sequence[float], greedy: Sequence[bool]) -> None:
            store.keep(
                (questions[unknown[at]], (float(value), bool(flag)))
                for at, value, flag in zip(which, nats, greedy, strict=True)
                if not math.isnan(value)
            )

        fresh = self._asked([parts[at] for at in unknown], keep) if unknown else []
        found = dict(zip(unknown, fresh, strict=True))
        known = [store.find(question) for question in questions]
        return [found[at] if told is None or at in found else told for at, told in enumerate(known)]

    def _asked(self, parts: Sequence[Request], answered: Answered = told_nobody) -> list[tuple[float, bool]]:
        """Each part's log-likelihood from the model. answered: told of answers as they come."""
        if not self.shares_prefixes:
            whole = self._plain(parts)
            answered(range(len(whole)), *zip(*whole, strict=True))
            return whole
        rows = [self._row(part) for part in parts]
        nats, greedy = shared_loglikelihoods(self.model, rows, self.reading.batch_tokens, answered)
        return list(zip(nats.tolist(), greedy.tolist(), strict=True))

    def _row(self, part: Request) -> Row:
        """What the model is fed; of a text too long for it the end."""
        _, context, continuation = part
        return Row((context + continuation)[-self.max_length - 1 : -1], continuation)

    def _plain(self, parts: Sequence[Request]) -> list[tuple[float, bool]]:
        """The same, each part read whole by the harness' own code, as many at a time as fit."""
        longest = max((len(context) + len(part) for _, context, part in parts), default=1)
        embeddings: Any = self.model.get_input_embeddings()
        fit = MOST_LOGITS // embeddings.weight.shape[0]
        self.batch_size_per_gpu = max(1, min(self.reading.batch_tokens, fit) // longest)
        # The harness may take one row's logits for all texts that are fed alike; where these are split at different
        # places into context and continuation, it takes the wrong ones.
        fed = {(*context, *part[:-1]) for _, context, part in parts}
        split = {((*context, *part[:-1]), len(part)) for _, context, part in parts}
        self.logits_cache = self.reading.shared_prefixes and len(fed) == len(split)
        try:
            return super()._loglikelihood_tokens(parts, True)
        finally:
            self.batch_size_per_gpu = WRITTEN_AT_ONCE


def check_model(model: Any, tokenizer: Any, max_length: int | None) -> None:
    """ValueError where the model is no transformers model, or the tokenizer or the length does not fit it,
    and where a weight is NaN or infinite."""
    if not isinstance(model, PreTrainedModel):
        raise ValueError(
            f"model is a {type(model).__name__}; allowed: a causal language model of transformers"
        )
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise ValueError(f"tokenizer is a {type(tokenizer).__name__}; allowed: a tokenizer of transformers")
    embeddings: Any = model.get_input_embeddings()
    vocabulary = embeddings.weight.shape[0]
    if len(tokenizer) > vocabulary:
        raise ValueError(
            f"tokenizer has {len(tokenizer)} tokens but the model embeds {vocabulary}; "
            "allowed: the tokenizer that the model was trained with"
        )
    if tokenizer.bos_token_id is None and tokenizer.eos_token_id is None:
        raise ValueError("tokenizer has neither a BOS nor an EOS token; allowed: one to begin documents with")
    check_finite(model, model.name_or_path or type(model).__name__)
    longest = getattr(model.config, "max_position_embeddings", None)
    if max_length is not None and longest is not None and not 1 <= max_length <= longest:
        raise ValueError(f"max_length is {max_length}; allowed: 1 to {longest}, the model's own length")


@contextmanager
def harness_model(
    model: Any, tokenizer: Any, reading: Reading, max_length: int | None
) -> Iterator[HarnessModel]:
    """The model wrapped for the harness, evaluating; its mode, random states and logging return after.

    Log-probabilities are computed in float32. Raises ValueError where model, tokenizer or length do not fit.
    """
    check_model(model, tokenizer, max_length)
    tokenizer = copy.deepcopy(tokenizer)  # the harness gives it a padding token
    tokenizer.split_special_tokens = True  # what spells a special token in a text is text
    modes = [(module, module.training) for module in model.modules()]
    with quiet_harness(), kept_random_states():
        try:
            wrapped = HarnessModel(
                pretrained=model,
                tokenizer=tokenizer,
                batch_size=WRITTEN_AT_ONCE,
                max_length=max_length,
                softmax_dtype=torch.float32,
            )
            wrapped.reading = reading
            yield wrapped
            if wrapped.known:
                reading.say(f"{wrapped.known:,} of {wrapped.texts:,} texts were answered before")
        finally:
            for module, mode in modes:
                module.training = mode
