"""Translation after a few examples: every direction between the languages of parallel text, scored by chrF.

A prompt is `et: Tere! = en: Hello!` for each example, then the text to translate up to `en:` (after the form that
arXiv 2112.10668 uses for FLORES-101); the translation is what the model writes up to the end of the line. chrF is
sacrebleu's; spBLEU needs a SentencePiece model, which nothing is fetched for. Beside each score stands that of
handing the text back untranslated: related languages share much of their letters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.evaluation.standard_errors import jackknife_error
from tasks.languages.cloze_forms import IDS, LANGUAGES
from tasks.languages.parallel_items import files_of, in_fixed_order, key_without
from tasks.sources.language_checks import check_script
from tasks.sources.language_codes import checked_code
from tasks.tables.reading import table_of

Answering = Callable[[Sequence[str]], list[str]]
FIELD = "text"


@dataclass(frozen=True)
class Directions:
    """texts: language -> key -> text. shown: keys to demonstrate with; tested: the others, up to the most wanted."""

    texts: Mapping[str, Mapping[str, str]]
    shown: tuple[str, ...]
    tested: tuple[str, ...]
    shots: int
    sets: int

    def pairs(self) -> list[tuple[str, str]]:
        return [(a, b) for a in self.texts for b in self.texts if a != b]

    def prompt(self, source: str, target: str, key: str, number: int) -> str:
        """What the model continues; demonstrations of a set are the same pairs of texts in every direction."""
        drawn = in_fixed_order(set(self.shown), f"translation {number}")[: self.shots]
        lines = [f"{source}: {self.texts[source][k]} = {target}: {self.texts[target][k]}\n" for k in drawn]
        return "".join(lines) + f"{source}: {self.texts[source][key]} = {target}:"


def read_directions(
    place: str,
    languages: Sequence[str],
    shots: int,
    sets: int,
    max_items: int | None,
    setting: str = "--files",
) -> Directions:
    """Rows of `id`, `lang` and `text`, of which what translates one text shares its id (but for a code in it).

    Raises ValueError for a language that is not there, texts that not all languages have, and fewer examples than
    the shots.
    """
    found: dict[str, dict[str, str]] = {}
    for path in files_of(place, setting):
        for where, row in table_of(path, setting).rows:
            at = f"{setting}: {path} {where}"
            told = next((str(row[name]) for name in LANGUAGES if row.get(name) is not None), None)
            own_id = next((str(row[name]) for name in IDS if row.get(name) is not None), None)
            text = row.get(FIELD)
            if told is None or own_id is None or not isinstance(text, str) or not text.strip():
                raise ValueError(
                    f"{at}: needed are an id, {LANGUAGES[0]} and {FIELD}; columns are {', '.join(row)}"
                )
            code = checked_code(told, at)
            key = key_without(own_id, {told.lower(), code})
            if key in found.setdefault(code, {}):
                raise ValueError(f"{at}: text {key!r} stands twice in {code!r}")
            found[code][key] = " ".join(text.split())
    wanted = [checked_code(one, "--languages") for one in languages] or sorted(found)
    if missing := [code for code in wanted if code not in found]:
        raise ValueError(
            f"--languages: {', '.join(missing)}: not in {place}, which has {', '.join(sorted(found))}"
        )
    if len(set(wanted)) < 2:
        raise ValueError(f"--languages: {', '.join(wanted)}: a direction needs two")
    for code in wanted:
        check_script(list(found[code].values()), code, f"texts in {code!r}")
    keys = set.intersection(*(set(found[code]) for code in wanted))
    order = in_fixed_order(keys, "side")
    if len(order) < 2 * max(shots, 1) + 2:
        raise ValueError(
            f"{place}: {len(order)} texts are in all of {', '.join(wanted)}; needed: {2 * max(shots, 1) + 2} for "
            f"{shots} shots and as many others"
        )
    half = len(order) // 2
    return Directions(
        {code: found[code] for code in dict.fromkeys(wanted)},
        tuple(order[:half]),
        tuple(order[half:][:max_items]),
        shots,
        sets if shots else 1,
    )


def translate(
    directions: Directions,
    answering: Answering,
    pieces: Any = None,
    say: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """One row a direction: {"source", "target", "chrf", "stderr", "spread", "copied", "items", "sets"}, and "spbleu".

    stderr: over items, of the mean over sets (jackknife of the corpus score). spread: deviation over sets, None for
    one. copied: the score of the untranslated text. pieces: for spBLEU, what `read_pieces` gives.
    """
    rows = []
    for source, target in directions.pairs():
        references = [directions.texts[target][key] for key in directions.tested]
        originals = [directions.texts[source][key] for key in directions.tested]
        by_set = []
        for number in range(directions.sets):
            prompts = [directions.prompt(source, target, key, number) for key in directions.tested]
            by_set.append([answer.split("\n")[0].strip() for answer in answering(prompts)])
        scores = [chrf(answers, references) for answers in by_set]
        row: dict[str, Any] = {
            "source": source,
            "target": target,
            "chrf": float(np.mean(scores)),
            "stderr": _error(by_set, references),
            "spread": float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
            "copied": chrf(originals, references),
            "items": len(references),
            "sets": len(scores),
        }
        if pieces is not None:
            row["spbleu"] = float(np.mean([spbleu(answers, references, pieces) for answers in by_set]))
        rows.append(row)
        say(f"{source} to {target}: chrF {row['chrf']:.1f}, untranslated {row['copied']:.1f}")
    return rows


def _error(by_set: Sequence[Sequence[str]], references: Sequence[str]) -> float:
    """Of the mean over sets, over items."""

    def mean(places: list[int]) -> float:
        return float(
            np.mean([chrf([own[i] for i in places], [references[i] for i in places]) for own in by_set])
        )

    return jackknife_error(mean, range(len(references)))


def chrf(answers: Sequence[str], references: Sequence[str]) -> float:
    """Corpus chrF2, 0 to 100."""
    from sacrebleu.metrics import CHRF

    return float(CHRF().corpus_score(list(answers), [list(references)]).score)


def read_pieces(pieces: Path) -> Any:
    """A SentencePiece model. Raises ValueError for a file that is missing or no such model."""
    from sentencepiece import SentencePieceProcessor

    if not pieces.is_file():
        raise ValueError(f"--pieces {pieces}: no such file; allowed: a SentencePiece model")
    try:
        return SentencePieceProcessor(model_file=str(pieces))
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"--pieces {pieces}: no SentencePiece model: {str(error).splitlines()[0]}"
        ) from error


def spbleu(answers: Sequence[str], references: Sequence[str], pieces: Any) -> float:
    """BLEU over the pieces of a SentencePiece model, 0 to 100."""
    from sacrebleu.metrics import BLEU

    cut = [[" ".join(pieces.encode(text, out_type=str)) for text in texts] for texts in (answers, references)]
    return float(BLEU(tokenize="none", force=True).corpus_score(cut[0], [cut[1]]).score)
