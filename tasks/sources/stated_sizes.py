"""A source whose text stays where it is: what its stated size and a sample of it tell of the whole.

With b bytes a token in the sample, a source of T tokens has T b bytes, and one of B bytes has B / b tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.sources.settings import SourceSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from storage.artifact import Artifact
    from storage.planned import PlannedStage

MORE_THAN_ALL = 1.5  # of the stated size: more than an estimate from bytes can be off


@dataclass(frozen=True)
class Whole:
    """What a source has in all."""

    documents: int
    bytes: int
    tokens: int


def whole_of(source: SourceSettings, documents: int, num_bytes: int, bytes_per_token: float) -> Whole:
    """The whole of a source of which `documents` with `num_bytes` are read."""
    assert source.size is not None
    if source.size.bytes is not None:
        size, tokens = source.size.bytes, max(round(source.size.bytes / bytes_per_token), 1)
    else:
        assert source.size.tokens is not None
        size, tokens = max(round(source.size.tokens * bytes_per_token), 1), source.size.tokens
    return Whole(max(round(documents * size / num_bytes), 1), size, tokens)


def check_sample(source: SourceSettings, whole: Whole, num_bytes: int) -> None:
    """ValueError where the sample alone is larger than the size stated."""
    if num_bytes > MORE_THAN_ALL * whole.bytes:
        raise ValueError(
            f"source {source.name!r}: its size says {whole.tokens:,} tokens, about {whole.bytes:,} bytes, "
            f"and its sample alone has {num_bytes:,} bytes; allowed: the size of the whole source"
        )


def sampled_bytes_per_token(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> float:
    """Bytes a token, the end of each text counted as one."""
    encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return sum(len(text.encode()) for text in texts) / sum(len(ids) + 1 for ids in encoded)


def sample_facts(samples: dict[str, dict]) -> dict[str, Any]:
    """What a corpus says of sources of which samples were read, by source; `answer`: what samples cannot show."""
    return {"read_as_samples": samples, "answer": [_not_checked(samples)] if samples else []}


def _not_checked(samples: dict[str, dict]) -> str:
    read = ", ".join(f"{name} {told['documents']:,} documents" for name, told in samples.items())
    return (
        f"Read as samples: {read}. Their sizes are as stated; duplicates and benchmark items were looked for in these "
        "documents only, and nothing else of them was checked."
    )


def token_file(corpus: Artifact, source: str) -> Path:
    """Where the tokens of a source lie; ValueError for one that was read as a sample, which has none."""
    if source in corpus.facts.get("read_as_samples", ()):
        raise ValueError(
            f"source {source!r} states its size, so what was read of it is a sample, and nothing can train on it; "
            "allowed: without `size`, or a run that stops before training"
        )
    return corpus.path / "tokens" / f"{source}.bin"


def check_samples_suffice(planned: Sequence[PlannedStage]) -> None:
    """ValueError where a stage trains and some source is a sample: its text is not here."""
    samples = planned[0].artifact.facts.get("read_as_samples", {})
    for one in planned if samples else ():
        if one.cost.tokens != 0:
            raise ValueError(
                f"sources {', '.join(samples)} state their size, so what is read of them is a sample, and stage "
                f"{one.artifact.label} would train on it; allowed: --until mixture, with utilities that need no proxies"
            )
