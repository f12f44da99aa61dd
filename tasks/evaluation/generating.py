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

import numpy as np
import torch
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from torch import Tensor
from transformers import (
    DynamicCache,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from tasks.evaluation.prefix_reading import PrefixReading, ReadNodes
from tasks.evaluation.prefix_tree import PrefixNode, prefix_tree
from tasks.evaluation.roomy_cache import roomy_cache

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
    share: bool = False,
) -> list[str]:
    """The text of each request. told: called with those that each batch finishes. model: of transformers.

    share: what several prompts begin with (few-shot examples; all, where several texts are drawn) is read once; only
    for a model that `can_share`.
    """
    alike: dict[tuple[tuple[str, ...], int, float], list[int]] = {}
    for place, request in enumerate(requests):
        alike.setdefault((request.stops, request.most, request.temperature), []).append(place)
    writing = _Writing(model, tokenizer, requests, batch_tokens, told)
    for places in alike.values():
        prompts = [requests[place].tokens for place in places]
        writing.share = share
        if share:
            nodes = _one_text_each(prefix_tree(prompts, writing.shortest), writing.shortest)
        else:
            nodes = [PrefixNode(np.array(prompt), 0, [row]) for row, prompt in enumerate(prompts)]
        writing.places = places
        with torch.no_grad():
            writing.read(nodes, None)
    return writing.texts


def _one_text_each(nodes: Sequence[PrefixNode], shortest: int) -> list[PrefixNode]:
    """The same tree, in which every row ends in a leaf of its own.

    Below a node that is read once whole, and is long enough to be gone on from, such leaves have no token of their own.
    """
    found = []
    for node in nodes:
        node.children = _one_text_each(node.children, shortest)
        is_shared = (bool(node.children) or len(node.rows) > 1) and node.end > shortest
        start = node.end if is_shared else node.start
        alone = [PrefixNode(node.tokens, start, [row]) for row in node.rows]
        node.rows = []
        if is_shared:
            node.children += alone
            found.append(node)
        else:
            found += [node, *alone] if node.children else alone
    return found


class _Writing(PrefixReading):
    """Goes on where prompts end. places: of the requests whose prompts the tree holds, by row; share: as of `write`."""

    places: Sequence[int] = ()
    share = False

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        requests: Sequence[WrittenRequest],
        batch_tokens: int,
        told: Callable[[Sequence[int], Sequence[str]], None],
    ) -> None:
        super().__init__(model, batch_tokens)
        self.tokenizer, self.requests, self.told = tokenizer, requests, told
        self.texts = [""] * len(requests)

    def read_leaves(self, leaves: Sequence[PrefixNode], parents: ReadNodes | None) -> None:
        for batch in self._written_together(leaves, parents):
            places = [self.places[node.rows[0]] for node in batch]
            cache, width = None, _width(batch[0])
            if self.share:
                room = self.requests[places[0]].most
                cache = roomy_cache(room) if parents is None else self.cut(batch, parents, width, room)
            found = _written(self.model, self.tokenizer, [self.requests[place] for place in places], cache)
            self.told(places, found)
            for place, text in zip(places, found, strict=True):
                self.texts[place] = text

    def _written_together(
        self, leaves: Sequence[PrefixNode], parents: ReadNodes | None
    ) -> Iterator[list[PrefixNode]]:
        """Those with the most tokens to read first: what does not fit shows at once.

        A model with a state takes rows of one length, as a state has no padding; one with a cache keeps a part of each
        row there, as long as it asks for.
        """
        room = self.batch_tokens * ROWS_READ
        batch: list[PrefixNode] = []
        for node in sorted(leaves, key=lambda node: (-_width(node), -node.end)):
            longest = max([node.end, *(one.end for one in batch)])
            most = self.requests[self.places[node.rows[0]]].most
            is_full = len(batch) == MOST_ROWS or (len(batch) + 1) * (longest + most) > room
            if batch and self.model._is_stateful:
                is_full = is_full or node.end != longest or batch[0].end != longest
            if batch and parents is not None:
                is_full = is_full or node.end - _width(batch[0]) < self.shortest
            if batch and is_full:
                yield batch
                batch = []
            batch.append(node)
        if batch:
            yield batch


def _width(leaf: PrefixNode) -> int:
    """How many tokens are read of a leaf: its last one at least, as what it predicts is asked for."""
    return max(1, leaf.end - leaf.start)


def _written(
    model: Any, tokenizer: Any, requests: Sequence[WrittenRequest], cache: DynamicCache | None
) -> list[str]:
    """cache: empty, or of the prompts, padded on the left, but for their last columns; None: as the model has it."""
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
        **({} if cache is None else {"past_key_values": cache}),
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
