"""How many tokens a text has for a judge, and cutting it to so many: by its tokenizer, or by a safe bound."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

from tasks.pretrained_places import read_pretrained

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Beginning of text, roles and turn ends that a server puts around a prompt: no known template takes more.
AROUND_A_PROMPT = 64
LONGEST_TOKEN = 128  # characters, of any tokenizer


class Measure(Protocol):
    """Tokens of texts, and the fewest they can be; `overhead`: around a prompt; `special`: what no text may spell."""

    overhead: int
    special: tuple[str, ...]

    def count(self, text: str) -> int: ...

    def least(self, text: str) -> int: ...

    def cut(self, text: str, tokens: int) -> str: ...


class BytesMeasure:
    """A text counts as UTF-8 bytes / bytes_per_token: at 1, no less than a byte-level tokenizer makes of it."""

    overhead = AROUND_A_PROMPT
    special: tuple[str, ...] = ()

    def __init__(self, bytes_per_token: float) -> None:
        self.bytes_per_token = bytes_per_token

    def count(self, text: str) -> int:
        return math.ceil(len(text.encode("utf-8")) / self.bytes_per_token)

    def least(self, text: str) -> int:
        return math.ceil(len(text) / LONGEST_TOKEN)

    def cut(self, text: str, tokens: int) -> str:
        """The longest beginning of whole characters that counts at most `tokens`."""
        most = int(tokens * self.bytes_per_token)
        return text[:most].encode("utf-8")[:most].decode("utf-8", "ignore")


class TokenizerMeasure:
    """A tokenizer's own count. Its special tokens are text's to spell nowhere."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not tokenizer.is_fast:
            raise ValueError(
                f"tokenizer {tokenizer.name_or_path!r}: it tells no places of tokens in a text; a fast tokenizer "
                "(tokenizer.json) is needed"
            )
        self.tokenizer: Any = tokenizer
        added = [str(one) for one in self.tokenizer.added_tokens_decoder.values() if one.special]
        self.special = tuple(dict.fromkeys([*map(str, self.tokenizer.all_special_tokens), *added]))
        self.overhead = len(self.ids(self.rendered("")))

    def count(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def least(self, text: str) -> int:
        return self.count(text)

    def cut(self, text: str, tokens: int) -> str:
        """The beginning of the text that its first `tokens` tokens cover."""
        text = text[: tokens * LONGEST_TOKEN]
        places = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return text if len(places) <= tokens else text[: places[tokens - 1][1] if tokens else 0]

    @property
    def has_template(self) -> bool:
        return bool(getattr(self.tokenizer, "chat_template", None))

    def rendered(self, prompt: str) -> str:
        """The prompt as the model expects it, up to where its answer begins; without a chat template as it is."""
        if not self.has_template:
            return f"{prompt}\n\n"
        turn = [{"role": "user", "content": prompt}]
        return self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)

    def ids(self, rendered: str) -> list[int]:
        """Token ids of a rendered prompt; a chat template writes the beginning of text itself."""
        return list(self.tokenizer(rendered, add_special_tokens=not self.has_template)["input_ids"])


def load_measure(tokenizer: str | None, bytes_per_token: float) -> Measure:
    """For an endpoint: by the named tokenizer, else by bytes."""
    if tokenizer is None:
        return BytesMeasure(bytes_per_token)
    return TokenizerMeasure(load_judge_tokenizer(tokenizer, "utility.medu.tokenizer"))


def load_judge_tokenizer(path_or_name: str, setting: str) -> PreTrainedTokenizerBase:
    """A tokenizer by folder, GGUF file or Hub name; ValueError naming the setting where it cannot be loaded."""
    from transformers import AutoTokenizer

    import models

    models.pretrained_place(path_or_name)
    try:
        return read_pretrained(AutoTokenizer, path_or_name)
    except models.UNREADABLE as error:
        raise ValueError(
            f"{setting}={path_or_name}: no tokenizer could be loaded; allowed: a folder with tokenizer files, a GGUF "
            f"file, or a Hugging Face Hub name (which needs the network): {(str(error).splitlines() or [''])[0]}"
        ) from error
