"""Pretrained models and tokenizers as settings name them: where they lie here, what identifies them, what they say."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

from storage.fingerprint import digest_file, digest_named

GGUF = ".gguf"
IN_PACKAGE = "package:"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")


def place_of(path_or_name: str | Path) -> Path:
    """The folder or file that is meant, in an installed package too (package:NAME/FILE); a Hub name stays as it is.

    Raises ValueError for a package that is not installed or does not hold the file.
    """
    if str(path_or_name).startswith(IN_PACKAGE):
        from models.package_files import local_path  # with its library, which takes seconds to import

        return local_path(path_or_name)
    return Path(path_or_name).expanduser()


def digest_pretrained(path_or_name: str) -> str:
    """What identifies pretrained weights or a tokenizer: what a local folder or file holds, else the Hub's name."""
    place = place_of(path_or_name)
    if place.is_file():
        return digest_file(place)
    return digest_named(place) if place.is_dir() else path_or_name


def holds_tokenizer(path_or_name: str | Path) -> bool:
    """Whether a local model has its tokenizer with it; False for what is not on this machine."""
    place = place_of(path_or_name)
    if place.is_file():
        return place.suffix.lower() == GGUF
    return any((place / file).is_file() for file in TOKENIZER_FILES)


def read_pretrained(auto_class: Any, path_or_name: str | Path) -> Any:
    """What `from_pretrained` of AutoConfig or AutoTokenizer gives; a copy where a GGUF file was read before.

    Such a file takes seconds. Raises ValueError as `models.pretrained_place`, and what the library raises
    (`models.UNREADABLE`).
    """
    import models

    place, gguf = models.pretrained_place(path_or_name)
    if not gguf:
        return auto_class.from_pretrained(place, trust_remote_code=False)
    about = (Path(place) / gguf["gguf_file"]).stat()
    return copy.deepcopy(_read_once(auto_class, place, gguf["gguf_file"], about.st_mtime_ns, about.st_size))


@functools.lru_cache(maxsize=8)
def _read_once(auto_class: Any, place: str, gguf_file: str, changed: int, size: int) -> Any:
    return auto_class.from_pretrained(place, gguf_file=gguf_file, trust_remote_code=False)
