"""The experiment's tokenizer, and token files: raw integers on disk, read through a memory map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks.pretrained_places import read_pretrained
from tasks.sources.settings import TokenizerSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

END_OF_TEXT = "<|endoftext|>"
BATCH_CHARACTERS = 200_000


def make_tokenizer(settings: TokenizerSettings, texts: Iterable[str]) -> PreTrainedTokenizerBase:
    """A byte-level BPE trained on `texts`, or the pretrained tokenizer that the settings name.

    The trained one splits numbers into digits (as Llama 2 does), loses no byte, and uses one special token
    for beginning, end and padding. Raises ValueError where a pretrained tokenizer cannot be loaded.
    """
    if settings.pretrained is not None:
        return load_tokenizer(settings.pretrained)
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,
    )


def load_tokenizer(path_or_name: str | Path) -> PreTrainedTokenizerBase:
    """A saved tokenizer by folder, GGUF file or Hub name, to which text is text: what spells a special token is none.

    Where the vocabulary has `<|endoftext|>`, documents begin and end with it, whatever ends a turn of a chat.
    Raises ValueError where it cannot be loaded or has no end token.
    """
    from transformers import AutoTokenizer

    import models

    models.pretrained_place(path_or_name)
    try:
        tokenizer = read_pretrained(AutoTokenizer, path_or_name)
    except models.UNREADABLE as error:
        raise ValueError(
            f"tokenizer {str(path_or_name)!r} could not be loaded; allowed: a folder with tokenizer files, a GGUF "
            f"file, or a Hugging Face Hub name (which needs the network): {(str(error).splitlines() or [''])[0]}"
        ) from error
    if tokenizer.eos_token_id is None:
        raise ValueError(f"tokenizer {str(path_or_name)!r} has no end-of-text token; allowed: one that has")
    if tokenizer.eos_token != END_OF_TEXT and END_OF_TEXT in tokenizer.get_vocab():
        tokenizer.eos_token = END_OF_TEXT
        tokenizer.bos_token = tokenizer.bos_token and END_OF_TEXT
    tokenizer.split_special_tokens = True
    return tokenizer


def end_of_text(corpus: Path) -> int:
    """The token that ends every document in the token files of a corpus, and stands nowhere else."""
    return load_tokenizer(corpus / "tokenizer").eos_token_id


def token_dtype(vocab_size: int) -> np.dtype:
    """Smallest of uint16 and uint32 that holds every token id."""
    return np.dtype("<u2") if vocab_size <= 1 << 16 else np.dtype("<u4")


def write_tokens(tokenizer: PreTrainedTokenizerBase, documents: Iterable[str], path: Path) -> int:
    """Tokenise documents into one file, each followed by the end-of-text token; returns the token count."""

    def encode(batch: Sequence[str]) -> list[list[int]]:
        return tokenizer(
            list(batch), add_special_tokens=False, split_special_tokens=True, return_attention_mask=False
        )["input_ids"]

    return _write(encode, tokenizer.eos_token_id, token_dtype(len(tokenizer)), documents, path)


def save_encoder(tokenizer: PreTrainedTokenizerBase, path: Path) -> Path | None:
    """Write what of a tokenizer cuts text, for `SavedEncoder`; None where it has nothing but Python for that."""
    if not tokenizer.is_fast:
        return None
    path.write_text(tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
    return path


class SavedEncoder:
    """Cuts text as a tokenizer does, where it can in a process that has not loaded transformers."""

    def __init__(self, place: Path, end: int, vocab_size: int) -> None:
        """place: file that `save_encoder` wrote, or the tokenizer's folder. end: the end-of-text token."""
        self.end, self.dtype = end, token_dtype(vocab_size)
        self._tokenizer = None if place.is_file() else load_tokenizer(place)
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            self._encoder = Tokenizer.from_file(str(place))
            self._encoder.no_truncation()
            self._encoder.no_padding()
            self._encoder.encode_special_tokens = True

    def __call__(self, batch: Sequence[str]) -> list[list[int]]:
        if self._tokenizer is not None:
            return self._tokenizer(list(batch), add_special_tokens=False, split_special_tokens=True)[
                "input_ids"
            ]
        return [found.ids for found in self._encoder.encode_batch_fast(batch, add_special_tokens=False)]


def write_encoded(encoder: SavedEncoder, documents: Iterable[str], path: Path) -> int:
    """As `write_tokens`."""
    return _write(encoder, encoder.end, encoder.dtype, documents, path)


def _write(
    encode: Callable[[Sequence[str]], list[list[int]]],
    end: int,
    dtype: np.dtype,
    documents: Iterable[str],
    path: Path,
) -> int:
    total = 0
    with path.open("wb") as stream:
        for batch in _batches(documents):
            flat = [token for ids in encode(batch) for token in (*ids, end)]
            stream.write(np.asarray(flat, dtype=dtype).tobytes())
            total += len(flat)
    return total


def open_tokens(path: Path, dtype: str) -> np.ndarray:
    """A token file as a read-only memory-mapped array."""
    return np.memmap(path, dtype=np.dtype(dtype), mode="r")


def _batches(documents: Iterable[str]) -> Iterator[Sequence[str]]:
    batch: list[str] = []
    characters = 0
    for text in documents:
        batch.append(text)
        characters += len(text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
