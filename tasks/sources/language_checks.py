"""Whether texts can be in the language that they are said to be in: by their script always, else by detection.

A script settles little between languages that share one; it does catch what is in no way the language named, such as
Haitian Creole under `hi`. Detection needs the package lingua, which the extra `languages` brings.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from statistics import median

DETECT = "detect"
LONG = 120  # characters, above which lingua itself advises its small models
LEAST_SHARE = 0.5  # of the letters
LOOKED_AT = 20_000  # characters
# First words of the Unicode names of their letters. Languages that are written in several scripts are not here.
_OF_SCRIPT = {
    "LATIN": "af ca cs cy da de en eo es et eu fi fil fr ga gl ha ht hu id ig is it jv la lb lt lv mg ms mt nb nl nn "
    "no oc pl pt qu ro rw sk sl sn so sq st sv sw tl tn to tr ts vi xh yo zu",
    "CYRILLIC": "be bg mk ru uk",
    "GREEK": "el",
    "ARABIC": "ar fa ps ur",
    "HEBREW": "he yi",
    "ARMENIAN": "hy",
    "GEORGIAN": "ka",
    "DEVANAGARI": "bho hi mai mr ne sa",
    "BENGALI": "as bn",
    "GURMUKHI": "pa",
    "GUJARATI": "gu",
    "ORIYA": "or",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "SINHALA": "si",
    "THAI": "th",
    "LAO": "lo",
    "TIBETAN": "bo dz",
    "MYANMAR": "my",
    "KHMER": "km",
    "ETHIOPIC": "am ti",
    "HANGUL": "ko",
    "CJK": "zh yue wuu",
    "HIRAGANA": "ja",
}
_SCRIPTS = {code: {script} for script, codes in _OF_SCRIPT.items() for code in codes.split()}
_SCRIPTS["ja"] = {"HIRAGANA", "KATAKANA", "CJK"}
_SCRIPTS["ko"] = {"HANGUL", "CJK"}


def check_script(texts: Sequence[str], language: str, where: str) -> None:
    """ValueError, beginning with `where`, where most letters are in a script that the language is not written in."""
    wanted = _SCRIPTS.get(language)
    letters = Counter(
        unicodedata.name(letter, "?").split()[0] for letter in "".join(texts)[:LOOKED_AT] if letter.isalpha()
    )
    if wanted is None or not letters:
        return
    share = sum(letters[script] for script in wanted) / letters.total()
    if share < LEAST_SHARE:
        most, count = letters.most_common(1)[0]
        raise ValueError(
            f"{where}: said to be in {language!r}, but {count / letters.total():.0%} of its letters are {most} and "
            f"{share:.0%} {' or '.join(sorted(wanted))}; allowed: text in the language named"
        )


def check_detection(where: str) -> None:
    """ValueError, beginning with `where`, where no language can be detected, as the package is not there."""
    if find_spec("lingua") is None:
        raise ValueError(
            f"{where}: languages are detected by the package lingua, which is not there; allowed: pip install "
            "'mixstitch[languages]', a language code, or language_field"
        )


def detected_language(texts: Sequence[str], where: str) -> str:
    """The language that most texts are in; ValueError where none can be told."""
    check_detection(where)
    from lingua import LanguageDetectorBuilder

    builder = LanguageDetectorBuilder.from_all_languages()
    if median(map(len, texts)) >= LONG:
        builder = builder.with_low_accuracy_mode()  # as sure of texts so long, in seconds instead of a minute
    detector = builder.build()
    found = Counter(language for text in texts if (language := detector.detect_language_of(text)) is not None)
    if not found:
        raise ValueError(
            f"{where}: no language could be told from {len(texts)} texts; allowed: a language code"
        )
    return str(found.most_common(1)[0][0].iso_code_639_1.name).lower()


def language_told(texts: Sequence[str], language: str, where: str) -> str:
    """The language that texts are in, as it is said or detected; ValueError where their script cannot be its."""
    if language == DETECT:
        return detected_language(texts, where)
    check_script(texts, language, where)
    return language
