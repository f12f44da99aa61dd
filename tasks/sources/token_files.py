"""How many tokens lie in token files of other tools, told from headers and sizes without reading a token.

.npy   NumPy's format says dtype and shape; without its header, as OLMo-core writes them, like .bin
.bin   a plain array of the stated dtype
.idx   Megatron's index: `MMIDIDX`, version, code of the dtype, number of sequences, number of documents, then the
       length of every sequence as int32; the .bin beside it holds the tokens
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks.sources.readers import matching_files

SUFFIXES = (".npy", ".bin", ".idx")
NPY_MAGIC = b"\x93NUMPY"
MEGATRON_MAGIC = b"MMIDIDX\x00\x00"
MEGATRON_HEADER = struct.Struct("<9sQBQQ")


def count_tokens(place: str, dtype: str | None, setting: str) -> int:
    """Tokens in the token files of a folder (with its sub-folders), of a file or of a glob.

    dtype: of files that do not say theirs. setting: named in messages. Raises ValueError for what holds no token
    file, or one whose format or size cannot be.
    """
    files = token_files(place, setting)
    return sum(_tokens_of(path, dtype, setting) for path in files)


def token_files(place: str, setting: str) -> list[Path]:
    """The files, sorted; of Megatron's pairs the .idx alone."""
    try:
        path = Path(place).expanduser()
        found = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else matching_files(path)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: of the home of no user
        raise ValueError(f"{setting}={place}: cannot be looked up: {error}") from error
    named = sorted(one for one in found if one.suffix in SUFFIXES)
    indexed = {one.with_suffix("") for one in named if one.suffix == ".idx"}
    kept = [one for one in named if one.suffix == ".idx" or one.with_suffix("") not in indexed]
    if not kept:
        raise ValueError(f"{setting}={place}: holds none of *{', *'.join(SUFFIXES)}")
    return kept


def _tokens_of(path: Path, dtype: str | None, setting: str) -> int:
    where = f"{setting}: {path}"
    try:
        with path.open("rb") as stream:
            head = stream.read(MEGATRON_HEADER.size)
        if path.suffix == ".idx":
            return _megatron(path, head, where)
        if path.suffix == ".npy" and head.startswith(NPY_MAGIC):
            return _numpy(path, where)
        size = path.stat().st_size
    except OSError as error:
        raise ValueError(f"{where}: cannot be read: {error.strerror or error}") from error
    if dtype is None:
        raise ValueError(f"{where}: does not say what a token is; allowed: with size.dtype, such as uint16")
    width = np.dtype(dtype).itemsize
    if size % width:
        raise ValueError(
            f"{where}: its {size:,} bytes are no whole number of {dtype}; allowed: its own dtype"
        )
    return size // width


def _numpy(path: Path, where: str) -> int:
    with path.open("rb") as stream:
        try:
            version = np.lib.format.read_magic(stream)
            read: Sequence = _NPY_HEADERS[version](stream)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{where}: no NumPy file that can be read: {error}") from error
        shape, _, kind = read
        if kind.kind not in "iu" or len(shape) != 1:
            raise ValueError(f"{where}: {kind} of shape {shape}; allowed: one row of whole numbers")
        held = path.stat().st_size - stream.tell()
    if held != shape[0] * kind.itemsize:
        raise ValueError(f"{where}: says {shape[0]:,} tokens and holds {held:,} bytes: it is cut or damaged")
    return int(shape[0])


_NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def _megatron(path: Path, head: bytes, where: str) -> int:
    if len(head) < MEGATRON_HEADER.size or not head.startswith(MEGATRON_MAGIC):
        raise ValueError(f"{where}: no index of Megatron's; allowed: a file that begins with MMIDIDX")
    _, version, _, sequences, _ = MEGATRON_HEADER.unpack(head)
    if version != 1:
        raise ValueError(f"{where}: version {version} of Megatron's index; allowed: 1")
    if path.stat().st_size < MEGATRON_HEADER.size + 4 * sequences:
        raise ValueError(
            f"{where}: says {sequences:,} sequences and is too short for them: it is cut or damaged"
        )
    if sequences == 0:
        return 0
    lengths = np.memmap(path, dtype="<i4", mode="r", offset=MEGATRON_HEADER.size, shape=(sequences,))
    return int(np.sum(lengths, dtype=np.int64))
