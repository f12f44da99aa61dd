"""Models as commands take them: a folder, a GGUF file or a Hub name, each with a name to stand under in tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.tables.file_names import NAME_PATTERN

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
INNER_FOLDER = "model"  # of an artifact, which bears the name


@dataclass(frozen=True)
class GivenModel:
    """name: in tables and of the folder of its results; place: of the weights; tokenizer: place of its tokenizer."""

    name: str
    place: str
    tokenizer: str


def given_models(given: Sequence[str], tokenizer: Path | None = None) -> list[GivenModel]:
    """The models that words name, PLACE or NAME=PLACE; their configurations are read, and no weights.

    tokenizer: of all models whose folder holds none. Raises ValueError for a place that is not there or no model, a
    folder without weights or tokenizer, and names that are illegal or stand twice.
    """
    found: dict[str, GivenModel] = {}
    for word in given:
        name, place = _named(word)
        if not re.fullmatch(NAME_PATTERN, name):
            raise ValueError(
                f"MODEL {word}: {name!r} is no name of letters, digits, '_', '.' and '-' alone; NAME=PLACE gives one"
            )
        if name in found:
            raise ValueError(
                f"MODEL {word}: the name {name!r} stands twice; give each a name of its own: NAME=PLACE"
            )
        found[name] = GivenModel(name, place, _checked(word, place, tokenizer))
    return list(found.values())


def _named(word: str) -> tuple[str, str]:
    before, separator, after = word.partition("=")
    if separator and not Path(word).expanduser().exists():
        return before, after
    path = Path(word).expanduser()
    if path.is_dir():
        path = path.resolve()
        return (path.parent.name if path.name == INNER_FOLDER else path.name), word
    return (path.stem if word.lower().endswith(".gguf") else path.name), word


def _checked(word: str, place: str, tokenizer: Path | None) -> str:
    """The place of the model's tokenizer."""
    import models
    from tasks.training.architecture import read_config

    folder = Path(place).expanduser()
    if not place:
        raise ValueError(f"MODEL {word}: names no place; allowed: a folder, a GGUF file, or NAME=PLACE")
    if folder.is_dir():
        for pattern in ("config.json", "*.safetensors"):
            if not any(folder.glob(pattern)):
                raise ValueError(
                    f"MODEL {word}: no {pattern} in that folder; allowed: a folder as `save_pretrained` writes it"
                )
    elif folder.exists() and not models.is_gguf(place):
        raise ValueError(
            f"MODEL {word}: is a file; allowed: a folder, a .gguf file, or the name of a Hub model"
        )
    elif not folder.exists() and (place.startswith((".", "/", "~")) or models.is_gguf(place)):
        raise ValueError(f"MODEL {word}: is not there; allowed: a folder, or a .gguf file")
    read_config(place, "MODEL")
    if not folder.is_dir() or any((folder / file).is_file() for file in TOKENIZER_FILES):
        return place
    if tokenizer is None:
        raise ValueError(
            f"MODEL {word}: its folder holds no tokenizer; name the one it was trained with: --tokenizer FOLDER"
        )
    if not tokenizer.exists():
        raise ValueError(f"--tokenizer {tokenizer}: is not there; allowed: a folder, or a .gguf file")
    return str(tokenizer)
