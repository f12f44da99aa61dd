"""What a model writes for generation tasks: greedily, in batches by length, each text ended by its own stop strings.

The texts are those of lm-evaluation-harness' own code for one request at a time: its tokens, its stop strings looked
for in the last tokens decoded (those of the string and two more), cut at each string's first place. In its batches a
text goes on until one string has ended all of them, so that what follows an end of text that the model's configuration
does not name depends on the other texts; here it does not.
A request may ask for a draw (`draw`, which one, and `temperature`): tokens are then drawn from what the model predicts,
as the highest of log-probabilities / temperature + Gumbel noise, which comes from the draw's number and the prompt, so
that a text is the same in any batch and run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

GREEDY = {"do_sample", "temperature"}  # that is all that a greedy request says
MOST_ROWS = 64
ROWS_READ = 8  # times the tokens that are scored at a time, which keep the logits of every place


@dataclass(frozen=True)
class WrittenRequest:
    """tokens: what the model goes on from; stops: strings; most: new tokens.

    temperature: 0 for the likeliest text; else draw is the number of the text that is drawn.
    """

    tokens: tuple[int, ...]
    stops: tuple[str, ...]
    most: int
    temperature: float = 0.0
    draw: int = 0

    def question(self) -> str:
        """What decides the text besides the tokens."""
        drawn = [self.temperature, self.draw] if self.temperature else []
        return json.dumps([self.stops, self.most, *drawn])

    def noise_seed(self) -> int:
        return int.from_bytes(hashlib.sha256(repr((self.draw, self.tokens)).encode()).digest()[:7])


def written_request(model: Any, request: Any) -> WrittenRequest | None:
    """The request as the harness reads it; None where it is not greedy, or has nothing to go on from.

    model: the harness' wrapper. Raises ValueError where the model's length leaves no room for what is asked for.
    """
    context, given = request.args
    kwargs = normalize_gen_kwargs(given, model.max_gen_toks)
    eos = model.tok_decode(model.eot_token_id, skip_special_tokens=False)
    stops = handle_stop_sequences(kwargs.pop("until", None), eos=eos)
    most = int(kwargs.pop("max_gen_toks"))
    if most < 1 or most >= model.max_length:
        raise ValueError(
            f"task {request.task_name!r} lets the model write {most} tokens; allowed: 1 to {model.max_length - 1}, one "
            "less than the model is shown at most; max_gen_toks of the task's generation_kwargs says how many"
        )
    draw = kwargs.pop("draw", None)
    if kwargs.keys() - GREEDY or (kwargs.get("do_sample") and draw is None):
        return None
    encoded, _ = model.tok_batch_encode([context], left_truncate_len=model.max_length - most)
    tokens = tuple(encoded[0].tolist())
    if not tokens:
        return None
    temperature = 0.0 if draw is None else float(kwargs["temperature"])
    return WrittenRequest(tokens, tuple(stops), most, temperature, draw or 0)


def write(
    model: Any,
    tokenizer: Any,
    requests: Sequence[WrittenRequest],
    batch_tokens: int,
    told: Callable[[Sequence[int], Sequence[str]], None],
) -> list[str]:
    """The text of each request. told: called with those that each batch finishes. model: of transformers."""
    texts = [""] * len(requests)
    alike: dict[tuple[tuple[str, ...], int, float], list[int]] = {}
    for place, request in enumerate(requests):
        alike.setdefault((request.stops, request.most, request.temperature), []).append(place)
    for places in alike.values():
        for batch in _batches(requests, places, batch_tokens * ROWS_READ, model._is_stateful):
            found = _written(model, tokenizer, [requests[place] for place in batch])
            told(batch, found)
            for place, text in zip(batch, found, strict=True):
                texts[place] = text
    return texts


def _batches(
    requests: Sequence[WrittenRequest], places: Sequence[int], room: int, equal: bool
) -> Iterator[list[int]]:
    """The longest first: what does not fit shows at once. equal: only rows of one length, as a state has no padding."""
    batch: list[int] = []
    for place in sorted(places, key=lambda place: -len(requests[place].tokens)):
        one = requests[place]
        widest = len(requests[batch[0]].tokens) if batch else 0
        is_full = len(batch) == MOST_ROWS or (len(batch) + 1) * (widest + one.most) > room
        if batch and (is_full or (equal and len(one.tokens) != widest)):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _written(model: Any, tokenizer: Any, requests: Sequence[WrittenRequest]) -> list[str]:
    width = max(len(request.tokens) for request in requests)
    pad, stops = tokenizer.pad_token_id, list(requests[0].stops)
    input_ids = torch.full((len(requests), width), pad)
    mask = torch.zeros_like(input_ids)
    for row, request in enumerate(requests):
        input_ids[row, width - len(request.tokens) :] = torch.tensor(request.tokens)
        mask[row, width - len(request.tokens) :] = 1
    ends = _Ends(tokenizer, stops, width, len(requests))
    found = model.generate(
        input_ids=input_ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_length=width + requests[0].most,
        stopping_criteria=StoppingCriteriaList([ends]),
        logits_processor=LogitsProcessorList([_Noise(requests)] if requests[0].temperature else []),
        pad_token_id=pad,
        use_cache=True,
        do_sample=False,
    )
    named = model.generation_config.eos_token_id
    eos = {named} if isinstance(named, int) else set(named or ())
    texts = []
    for row, length in zip(found[:, width:].tolist(), ends.lengths, strict=True):
        whole = row[:length]
        end = next((place + 1 for place, token in enumerate(whole) if token in eos), len(whole))
        texts.append(
            postprocess_generated_text(tokenizer.decode(whole[:end], skip_special_tokens=True), stops, None)
        )
    return texts


class _Noise(LogitsProcessor):
    """Makes the likeliest token one drawn at the temperature; each row has a generator of its own."""

    def __init__(self, requests: Sequence[WrittenRequest]) -> None:
        self._temperature = requests[0].temperature
        self._generators = [torch.Generator().manual_seed(request.noise_seed()) for request in requests]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        width = scores.shape[-1]
        waits = torch.stack([torch.empty(width).exponential_(generator=one) for one in self._generators])
        return scores.float() / self._temperature - waits.log().to(scores.device)


class _Ends(StoppingCriteria):
    """Of each row, how many tokens it had when the first of the stop strings stood in its last ones; None: not yet."""

    def __init__(self, tokenizer: Any, stops: Sequence[str], start: int, rows: int) -> None:
        self._decode, self._start = tokenizer.batch_decode, start
        self._windows = [(stop, len(tokenizer.encode(stop, add_special_tokens=False)) + 2) for stop in stops]
        self._longest = max((window for _, window in self._windows), default=0)
        self.lengths: list[int | None] = [None] * rows

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Tensor:
        length = input_ids.shape[1] - self._start
        still = [row for row, ended in enumerate(self.lengths) if ended is None]
        last = input_ids[still, self._start :][:, -self._longest :].tolist() if self._longest else []
        for row, tokens, text in zip(still, last, self._decode(last), strict=False):
            if any(
                stop in text and stop in self._decode([tokens[-window:]])[0] for stop, window in self._windows
            ):
                self.lengths[row] = length
        return torch.tensor([ended is not None for ended in self.lengths], device=input_ids.device)
