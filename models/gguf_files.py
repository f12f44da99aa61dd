"""GGUF files: weights, configuration and tokenizer of a model in one file, as llama.cpp has them."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path

from models.gguf_header import MAGIC, packings
from models.package_files import local_path

SUFFIX = ".gguf"
# What a file gives rise to that is cut off, of another architecture, or packed in another way.
UNREADABLE = (OSError, ValueError, LookupError, TypeError, ArithmeticError, RuntimeError, struct.error)


def pretrained_place(path_or_name: str | Path) -> tuple[str, dict[str, str]]:
    """What the `from_pretrained` of transformers takes for a folder, a GGUF file or a Hub name: (place, arguments).

    A folder or file may lie in an installed package: package:NAME/FILE (`models.package_files`).
    Raises ValueError for a GGUF file that is missing or none, or packed in a way that is not read, and where the
    package that reads it is not installed.
    """
    path = local_path(path_or_name)
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
    _check_packings(path, str(path_or_name))
    return str(path.parent), {"gguf_file": path.name}


def _check_packings(path: Path, named: str) -> None:
    """Raises ValueError for weights packed in a way that is not known here; reads the header alone."""
    import gguf
    import numpy as np

    try:
        numbers = packings(path)
    except UNREADABLE:
        return  # what is wrong with a damaged file is said by what reads the rest of it
    for number in numbers:
        packing = f"number {number}"
        try:
            kind = gguf.GGMLQuantizationType(number)
            packing = kind.name
            gguf.quants.dequantize(np.zeros(gguf.GGML_QUANT_SIZES[kind][1], np.uint8), kind)
        except (ValueError, KeyError, NotImplementedError) as error:
            raise ValueError(
                f"model {named!r} holds weights packed as {packing}, which the package gguf does not unpack; allowed: "
                "a file of another quantisation, such as Q4_K_M or Q8_0"
            ) from error
