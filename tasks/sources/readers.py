"""Readers: a stream of document texts for each kind of source.

Every reader yields one `str` a document and holds one document at a time. What is wrong with an input is a
ValueError naming source, file and line.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import zstandard

from tasks.sources.builtin import (
    arithmetic_problems,
    junk_documents,
    python_code,
    python_docs,
    standard_library_files,
)
from tasks.sources.settings import SourceSettings, SourcesSettings

TEXT_PIECE_CHARACTERS = 1 << 20
JSONL_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")


def resolve_sources(settings: SourcesSettings) -> tuple[SourceSettings, ...]:
    """The listed sources, then one for each JSONL file of the folder, sorted by name.

    Raises ValueError for a folder that is missing or holds none, and for names that collide.
    """
    folder = settings.folder
    if folder is None:
        return settings.listed
    if not folder.is_dir():
        raise ValueError(
            f"sources.folder={folder}: no such folder; name one with .jsonl, .jsonl.gz or .jsonl.zst files"
        )
    files = sorted(p for p in folder.iterdir() if p.name.endswith(JSONL_SUFFIXES))
    if not files:
        raise ValueError(f"sources.folder={folder}: holds none of *{', *'.join(JSONL_SUFFIXES)}")
    found = tuple(SourceSettings(name=p.name.split(".jsonl")[0], reader="jsonl", path=str(p)) for p in files)
    names = [source.name for source in (*settings.listed, *found)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"sources: duplicate names {repeated} among sources.listed and the files of {folder}"
        )
    return (*settings.listed, *found)


def input_files(source: SourceSettings) -> list[Path]:
    """The files a source is read from, sorted; empty for generated and streamed sources.

    Raises ValueError where its path matches nothing.
    """
    if source.reader in ("python-code", "python-docs"):
        return standard_library_files()
    if source.path is None:
        return []
    path = Path(source.path).expanduser()
    pattern = path.relative_to(path.anchor).as_posix()
    files = (
        [path] if path.is_file() else sorted(p for p in Path(path.anchor or ".").glob(pattern) if p.is_file())
    )
    if not files:
        raise ValueError(
            f"source {source.name!r}: {source.path}: no such file, and no file matches it as a pattern"
        )
    return files


def read_documents(source: SourceSettings) -> Iterator[str]:
    """The documents of a source in a fixed order, cut off at its max_documents and max_bytes.

    Raises ValueError where it yields none.
    """
    num_documents = num_bytes = 0
    for text in _unlimited(source):
        if not text.strip():
            continue
        yield text
        num_documents += 1
        num_bytes += len(text.encode("utf-8", "surrogatepass"))
        if source.max_documents and num_documents >= source.max_documents:
            return
        if source.max_bytes and num_bytes >= source.max_bytes:
            return
    if num_documents == 0:
        raise ValueError(
            f"source {source.name!r}: empty: no document with text in {source.path or source.reader}"
        )


def _unlimited(source: SourceSettings) -> Iterator[str]:
    match source.reader:
        case "jsonl":
            for path in input_files(source):
                yield from _read_jsonl(source, path)
        case "parquet":
            for path in input_files(source):
                yield from _read_parquet(source, path)
        case "text":
            for path in input_files(source):
                yield from _read_text(source, path)
        case "huggingface":
            yield from _read_huggingface(source)
        case "python-code":
            yield from python_code()
        case "python-docs":
            yield from python_docs()
        case "arithmetic":
            yield from arithmetic_problems(source.seed)
        case "noise":
            yield from junk_documents(source.seed)


def open_lines(path: Path) -> Iterator[bytes]:
    """Lines of a plain, .gz or .zst file; ValueError naming the file where its compression is broken."""
    try:
        if path.name.endswith(".gz"):
            with gzip.open(path, "rb") as stream:
                yield from stream
        elif path.name.endswith(".zst"):
            with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
                yield from io.BufferedReader(stream)
        else:
            with path.open("rb") as stream:
                yield from stream
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise ValueError(f"{path}: broken {path.suffix[1:]} file: {error}") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_json_lines(path: Path) -> Iterator[tuple[int, dict]]:
    """(line number from 1, object) of a JSONL file; ValueError names file and line of what is no object."""
    for number, line in enumerate(open_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}:{number}: not UTF-8 (byte {error.start} of the line)") from error
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}:{number}: not JSON: {error.msg} at column {error.colno}") from error
        if not isinstance(row, dict):
            raise ValueError(f"{path}:{number}: not a JSON object but {type(row).__name__}")
        yield number, row


def _read_jsonl(source: SourceSettings, path: Path) -> Iterator[str]:
    for number, row in read_json_lines(path):
        yield _text_of(source, row.get(source.text_field), f"{path}:{number}", row)


def _text_of(source: SourceSettings, text: object, where: str, row: dict) -> str:
    if not isinstance(text, str):
        raise ValueError(
            f"source {source.name!r}: {where}: field {source.text_field!r} is "
            f"{'missing' if text is None else 'not a string'}; the fields are {sorted(row)}; set text_field"
        )
    return text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates from JSON escapes


def _read_parquet(source: SourceSettings, path: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        if source.text_field not in file.schema_arrow.names:
            raise ValueError(
                f"source {source.name!r}: {path}: no column {source.text_field!r}; "
                f"the columns are {file.schema_arrow.names}; set text_field to one"
            )
        for batch in file.iter_batches(batch_size=256, columns=[source.text_field]):
            for text in batch.column(0):
                yield _text_of(source, text.as_py(), str(path), {source.text_field: None})
    except pa.ArrowInvalid as error:
        raise ValueError(f"source {source.name!r}: {path}: not a readable Parquet file: {error}") from error


def _read_text(source: SourceSettings, path: Path) -> Iterator[str]:
    """A file is one document; a large one is cut at line ends, so that none is held in memory whole."""
    kept: list[str] = []
    size = 0
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for line in stream:
                kept.append(line)
                size += len(line)
                if size >= TEXT_PIECE_CHARACTERS:
                    yield "".join(kept)
                    kept, size = [], 0
    except UnicodeDecodeError as error:
        raise ValueError(f"source {source.name!r}: {path}: not UTF-8 ({error.reason})") from error
    except OSError as error:
        raise ValueError(f"source {source.name!r}: {path}: cannot be read: {error.strerror}") from error
    if kept:
        yield "".join(kept)


def _read_huggingface(source: SourceSettings) -> Iterator[str]:
    import datasets
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    where = f"source {source.name!r}: Hugging Face dataset {source.dataset!r}"
    try:
        stream = datasets.load_dataset(
            source.dataset, source.subset, split=source.split, revision=source.revision, streaming=True
        )
        for number, row in enumerate(stream):
            yield _text_of(source, row.get(source.text_field), f"{source.dataset} row {number}", row)
    except (
        ConnectionError,
        OSError,
        httpx2.HTTPError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        datasets.exceptions.DatasetsError,
    ) as error:
        raise ValueError(
            f"{where} could not be read: {type(error).__name__}: {str(error).splitlines()[0][:200]}; "
            "it needs the network and an existing dataset, subset and split"
        ) from error
