"""Bits per byte of held-out text: -sum(log2 p(token)) / UTF-8 bytes, over all documents of a source.

The windows and log-likelihoods are the harness' (`loglikelihood_rolling`), so that benchmarks and held-out
text are scored by the same code; only the ratio and its error are computed here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from tasks.evaluation.harness_model import HarnessModel, harness_model
from tasks.evaluation.metrics import HELDOUT
from tasks.evaluation.model_reading import Reading
from tasks.evaluation.scores import Scores
from tasks.evaluation.standard_errors import ratio


def bits_per_byte(
    model: Any,
    tokenizer: Any,
    documents: Sequence[str],
    max_length: int | None = None,
    reading: Reading = Reading(),
    *,
    name: str = "model",
    source: str = "text",
) -> Scores:
    """One row (task `heldout:<source>`, metric `bits_per_byte`), a sample for each document.

    Every token is predicted once, in windows of `max_length` tokens that do not overlap, except that the last
    window of a document sees as much before it as fits; a document begins after BOS (or else EOS). The
    standard error is over documents, by the delta method for a ratio; NaN for a single one.
    Raises ValueError for no text and where tokenizer or length does not fit the model.
    """
    with harness_model(model, tokenizer, reading, max_length) as wrapped:
        return heldout_scores(wrapped, {source: documents}, name)


def heldout_scores(wrapped: HarnessModel, heldout: dict[str, Sequence[str]], name: str) -> Scores:
    """Bits per byte of each source's documents; all are scored in one go."""
    rows, samples = [], []
    kept = {source: [text for text in documents if text] for source, documents in heldout.items()}
    for source, documents in kept.items():
        if not documents:
            raise ValueError(
                f"heldout text of source {source!r}: empty; allowed: at least one document with text"
            )
    scored = iter(
        wrapped.document_loglikelihoods([text for documents in kept.values() for text in documents])
    )
    for source, documents in kept.items():
        task = f"{HELDOUT}{source}"
        sizes = [len(text.encode("utf-8", "surrogatepass")) for text in documents]
        bits = []
        for number, size in enumerate(sizes):
            nats, num_tokens = next(scored)
            bits.append(-nats / math.log(2))
            outputs = {"nats": -nats, "tokens": num_tokens, "bytes": size}
            samples.append(
                {
                    "model": name,
                    "task": task,
                    "item": str(number),
                    "metric": "bits_per_byte",
                    "value": bits[-1] / size,
                    "prediction": "",
                    "target": "",
                    "outputs": json.dumps(outputs),
                }
            )
        value, stderr = ratio(bits, sizes)
        rows.append(
            {
                "model": name,
                "task": task,
                "metric": "bits_per_byte",
                "value": value,
                "stderr": stderr,
                "n": len(documents),
            }
        )
    return Scores.from_rows(rows, samples)
