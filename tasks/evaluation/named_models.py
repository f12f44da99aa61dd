"""Models as commands take them: a folder, a GGUF file or a Hub name, each with a name to stand under in tables."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from tasks.pretrained_places import GGUF, holds_tokenizer, place_of
from tasks.tables.file_names import NAME_PATTERN

INNER_FOLDER = "model"  # of an artifact, which bears the name


@dataclass(frozen=True)
class GivenModel:
    """name: in tables and of the folder of its results; place: of the weights; tokenizer: place of its tokenizer."""

    name: str
    place: str
    tokenizer: str


def given_models(given: Sequence[str], tokenizer: Path | None = None) -> list[GivenModel]:
    """The models that words name, PLACE or NAME=PLACE; nothing is read yet.

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


def check_configurations(models: Sequence[GivenModel]) -> None:
    """Raises ValueError for a model whose configuration cannot be read; reads no weights."""
    from tasks.training.architecture import read_config

    for model in models:
        read_config(model.place, "MODEL")


def _named(word: str) -> tuple[str, str]:
    before, separator, after = word.partition("=")
    if separator and not Path(word).expanduser().exists():
        return before, after
    path = Path(word).expanduser()
    if path.is_dir():
        path = path.resolve()
        return (path.parent.name if path.name == INNER_FOLDER else path.name), word
    return (path.stem if word.lower().endswith(GGUF) else path.name), word


def _checked(word: str, place: str, tokenizer: Path | None) -> str:
    """The place of the model's tokenizer; nothing is imported or opened to find that a path is wrong."""
    if not place:
        raise ValueError(f"MODEL {word}: names no place; allowed: a folder, a GGUF file, or NAME=PLACE")
    try:
        folder = place_of(place)
    except ValueError as error:
        raise ValueError(f"MODEL {word}: {error}") from error
    if folder.is_dir():
        for pattern in ("config.json", "*.safetensors"):
            if not any(folder.glob(pattern)):
                raise ValueError(
                    f"MODEL {word}: no {pattern} in that folder; allowed: a folder as `save_pretrained` writes it"
                )
    elif folder.exists() and folder.suffix.lower() != GGUF:
        raise ValueError(
            f"MODEL {word}: is a file; allowed: a folder, a {GGUF} file, or the name of a Hub model"
        )
    elif not folder.exists():
        _check_on_hub(word, place)
    if not folder.is_dir() or holds_tokenizer(place):
        return place
    if tokenizer is None:
        raise ValueError(
            f"MODEL {word}: its folder holds no tokenizer; name the one it was trained with: --tokenizer FOLDER"
        )
    if not tokenizer.exists():
        raise ValueError(f"--tokenizer {tokenizer}: is not there; allowed: a folder, or a {GGUF} file")
    return str(tokenizer)


def _check_on_hub(word: str, name: str) -> None:
    """Raises ValueError where a place is no Hub name, or one that is not cached while the Hub's host is unknown.

    Its own client tries again for a minute.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    told = f"MODEL {word}: is not there; allowed: a folder, a {GGUF} file"
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name) or name.lower().endswith(GGUF):
        raise ValueError(told)
    if try_to_load_from_cache(name, "config.json") is not None or getproxies():
        return
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)
    except OSError as error:
        raise ValueError(
            f"{told}, or the name of a Hub model (the Hub cannot be reached: {error})"
        ) from error
