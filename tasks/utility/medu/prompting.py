"""What a judge of MEDU is shown: items, descriptions and documents in their templates, cut to the context."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from tasks.utility.medu.settings import MeduSettings
from tasks.utility.medu.templates import defused, load_templates
from tasks.utility.medu.text_lengths import Measure

LEAST_ROOM = 32


class Prompter:
    """Fills the templates so that prompt and answer fit the context, as the measure counts tokens."""

    def __init__(self, settings: MeduSettings, measure: Measure) -> None:
        self.settings, self.measure = settings, measure
        self.templates = load_templates(settings.prompts)
        # A document is labelled for one task after the other: cut once.
        self._document = lru_cache(maxsize=256)(self._cut_document)
        self._rest = lru_cache(maxsize=1024)(self._count_rest)

    def describe(self, items: str) -> str:
        room = self._room("describe", items="")
        return self._fill("describe", items=self.measure.cut(self._safe(items), room))

    def merge(self, first: str, second: str) -> str:
        half = self._room("merge", first="", second="") // 2
        return self._fill(
            "merge",
            first=self.measure.cut(self._safe(first), half),
            second=self.measure.cut(self._safe(second), half),
        )

    def label(self, description: str, document: str) -> str:
        """The description has at most half of the room, the document what is left, document_tokens at most."""
        description, room = self._rest(description)
        text, tokens = self._document(document)
        return self._fill(
            "label",
            description=description,
            document=text if tokens <= room else self.measure.cut(text, room),
        )

    def chunks(self, items: Sequence[str]) -> list[str]:
        """Items joined into chunks of chunk_tokens (and of the room) at most, longer ones cut; max_chunks of them."""
        return ["\n\n".join(pieces) for pieces in self._packed(items)]

    def num_described(self, items: Sequence[str]) -> int:
        """How many of the items, from the first, the chunks hold."""
        return sum(map(len, self._packed(items)))

    def is_cut(self, document: str) -> bool:
        """Whether a document is longer than document_tokens."""
        return self.measure.count(self._safe(document)) > self.settings.document_tokens

    def _packed(self, items: Sequence[str]) -> list[list[str]]:
        limit = min(self.settings.chunk_tokens, self._room("describe", items=""))
        chunks: list[list[str]] = []
        held = 0
        for item in items:
            piece = self.measure.cut(self._safe(item), limit)
            tokens = self.measure.count(piece)
            joined = held + tokens + self.measure.count("\n\n")
            if chunks and joined <= limit:
                chunks[-1].append(piece)
                held = joined
            elif len(chunks) < self.settings.max_chunks:
                chunks.append([piece])
                held = tokens
            else:
                break
        return chunks

    def bound(self, prompt: str) -> int:
        """Tokens of the prompt and of the longest answer to it."""
        return self.measure.count(prompt) + self.measure.overhead + self.settings.max_answer_tokens

    def _safe(self, text: str) -> str:
        return defused(text, self.measure.special)

    def _fill(self, name: str, **data: str) -> str:
        return self.templates.fill(name, self.measure.special, **data)

    def _room(self, name: str, **data: str) -> int:
        settings = self.settings
        taken = (
            settings.max_answer_tokens + self.measure.overhead + self.measure.count(self._fill(name, **data))
        )
        room = settings.context_tokens - taken
        if room < LEAST_ROOM:
            raise ValueError(
                f"utility.medu.context_tokens={settings.context_tokens}: the prompt {name!r} without its data and "
                f"the answer (max_answer_tokens={settings.max_answer_tokens}) take {taken} tokens; it must be at "
                f"least {taken + LEAST_ROOM}"
            )
        return room

    def _count_rest(self, description: str) -> tuple[str, int]:
        room = self._room("label", description="", document="")
        description = self.measure.cut(self._safe(description), room // 2)
        return description, room - self.measure.count(description)

    def _cut_document(self, document: str) -> tuple[str, int]:
        text = self.measure.cut(self._safe(document), self.settings.document_tokens)
        return text, self.measure.count(text)
