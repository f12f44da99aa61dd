"""GGUF files: weights, configuration and tokenizer of a model in one file, as llama.cpp has them."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path

SUFFIX = ".gguf"
MAGIC = b"GGUF"
# What a file gives rise to that is cut off, of another architecture, or packed in another way.
UNREADABLE = (OSError, ValueError, LookupError, TypeError, ArithmeticError, RuntimeError, struct.error)


def pretrained_place(path_or_name: str | Path) -> tuple[str, dict[str, str]]:
    """What the `from_pretrained` of transformers takes for a folder, a GGUF file or a Hub name: (place, arguments).

    Raises ValueError for a GGUF file that is missing or none, and where the package that reads it is not installed.
    """
    path = Path(path_or_name).expanduser()
    if path.suffix.lower() != SUFFIX:
        return (str(path) if path.is_dir() else str(path_or_name)), {}
    if not path.is_file():
        raise ValueError(f"model {str(path_or_name)!r} is not there; allowed: a {SUFFIX} file")
    try:
        with path.open("rb") as stream:
            begins = stream.read(len(MAGIC))
    except OSError as error:
        raise ValueError(f"model {str(path_or_name)!r} cannot be read: {error.strerror or error}") from error
    if begins != MAGIC:
        raise ValueError(f"model {str(path_or_name)!r} is no GGUF file: it begins with {begins!r}")
    if find_spec("gguf") is None:
        raise ValueError(
            f"model {str(path_or_name)!r}: a GGUF file needs the package gguf: pip install 'mixstitch[smollm2]'"
        )
    return str(path.parent), {"gguf_file": path.name}
