"""Readers: a stream of document texts for each kind of source.

Every reader yields one `str` a document and holds one document at a time. What is wrong with an input is a
ValueError naming source, file and line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.sources.builtin import (
    arithmetic_problems,
    junk_documents,
    python_code,
    python_docs,
    standard_library_files,
)
from tasks.sources.language_codes import code_of
from tasks.sources.made_languages import made_language_documents
from tasks.sources.settings import MAX_SOURCE_NAME, Reader, SourceSettings
from tasks.tables.file_names import left_out, named_files
from tasks.tables.json_lines import BROKEN, JSONL_SUFFIXES, opened_text, read_json_lines
from tasks.tables.limits import limits
from tasks.tables.parquet import batches, open_parquet
from tasks.tables.reading import PARQUET, not_empty, table_of
from tasks.tables.taken import LOGGER

TEXT_PIECE_CHARACTERS = 1 << 20
PACKED = ("", ".gz", ".zst")
_READERS: dict[tuple[str, ...], Reader] = {
    JSONL_SUFFIXES: "jsonl",
    tuple(kind + packed for kind in (".txt", ".md") for packed in PACKED): "text",
    tuple(kind + packed for kind in (".csv", ".tsv") for packed in PACKED): "csv",
    PARQUET: "parquet",
}
READER_OF = {ending: reader for endings, reader in _READERS.items() for ending in endings}


def sources_of_folder(folder: Path, setting: str = "sources.folder") -> tuple[SourceSettings, ...]:
    """One source for each file of the folder and its sub-folders, named for it and sorted by name.

    setting: what the folder is called in messages. Files that are left out are said. Raises ValueError for a folder
    that is missing or holds none.
    """
    files = named_files(folder, setting, MAX_SOURCE_NAME, tuple(READER_OF))
    others = left_out(folder, files.values(), tuple(READER_OF))
    if not files:
        raise ValueError(f"{setting}={folder}: holds none of *{', *'.join(READER_OF)}")
    if others:
        LOGGER.info("%s=%s: %d files left out: %s", setting, folder, len(others), "; ".join(others))
    return tuple(source_of_file(name, path) for name, path in files.items())


def source_of_file(name: str, path: Path) -> SourceSettings:
    """The source that a file of a known ending is."""
    return SourceSettings(name=name, reader=_reader_of(path), path=str(path))


def _reader_of(path: Path) -> Reader:
    return READER_OF[max((e for e in READER_OF if path.name.lower().endswith(e)), key=len)]


def input_files(source: SourceSettings) -> list[Path]:
    """The files a source is read from, sorted; empty for generated and streamed sources.

    Raises ValueError where its path matches nothing, is a folder, or cannot be looked up.
    """
    if source.reader in ("python-code", "python-docs"):
        return standard_library_files()
    if source.path is None:
        return []
    where = f"source {source.name!r}: {source.path or repr(source.path)}"
    try:
        path = Path(source.path).expanduser()
        files = matching_files(path)
    except OSError as error:
        raise ValueError(f"{where}: cannot be looked up: {error.strerror or error}") from error
    except (RuntimeError, ValueError) as error:  # of the home of no user; of a pattern
        raise ValueError(f"{where}: cannot be looked up: {error}") from error
    if path.is_dir():
        raise ValueError(f"{where}: is a folder; allowed: a file, or a pattern such as {path / '*'}")
    if not files:
        raise ValueError(f"{where}: no such file, and no file matches it as a pattern")
    return files


def matching_files(path: Path) -> list[Path]:
    """The file, or the files that match it as a pattern, sorted; none for a folder. Raises OSError and ValueError."""
    if path.is_dir():
        return []
    if path.is_file():
        return [path]
    pattern = path.relative_to(path.anchor).as_posix()
    return sorted(p for p in Path(path.anchor or ".").glob(pattern) if p.is_file())


def read_documents(source: SourceSettings) -> Iterator[str]:
    """The documents of a source in a fixed order, cut off at its max_documents and max_bytes.

    Raises ValueError where it yields none.
    """
    num_documents = 0
    for text in some_documents(source):
        num_documents += 1
        yield text
    check_not_empty(source, num_documents)


def check_not_empty(source: SourceSettings, num_documents: int) -> None:
    """ValueError where a source has no document."""
    if num_documents == 0:
        raise ValueError(
            f"source {source.name!r}: empty: no document with text in {source.path or source.reader}"
        )


def some_documents(source: SourceSettings) -> Iterator[str]:
    """What `read_documents` yields, which may be nothing."""
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


def _unlimited(source: SourceSettings) -> Iterator[str]:
    for text, language in labelled_documents(source):
        if source.language_field is None or code_of(str(language)) == source.language:
            yield text


def labelled_documents(source: SourceSettings) -> Iterator[tuple[str, object]]:
    """Documents, each with what its field says of its language; None where the source names no such field."""
    match source.reader:
        case "jsonl":
            for path in input_files(source):
                yield from _read_jsonl(source, path)
        case "parquet":
            for path in input_files(source):
                yield from _read_parquet(source, path)
        case "csv":
            for path in input_files(source):
                yield from _read_csv(source, path)
        case "huggingface":
            yield from _read_huggingface(source)
        case _:
            yield from ((text, None) for text in _without_fields(source))


def _without_fields(source: SourceSettings) -> Iterator[str]:
    match source.reader:
        case "text":
            for path in input_files(source):
                yield from _read_text(source, path)
        case "python-code":
            yield from python_code()
        case "python-docs":
            yield from python_docs()
        case "arithmetic":
            yield from arithmetic_problems(source.random_seed)
        case "noise":
            yield from junk_documents(source.random_seed)
        case "made-language":
            yield from made_language_documents(str(source.language), source.random_seed)


def _read_jsonl(source: SourceSettings, path: Path) -> Iterator[tuple[str, object]]:
    for number, row in read_json_lines(path):
        yield _text_of(source, row, f"{path}:{number}")


def _text_of(source: SourceSettings, row: dict, where: str) -> tuple[str, object]:
    text = row.get(source.text_field)
    if not isinstance(text, str):
        found = "not a string" if text is not None else "null" if source.text_field in row else "missing"
        raise ValueError(
            f"source {source.name!r}: {where}: field {source.text_field!r} is {found}; the fields are "
            f"{sorted(row)}; allowed: text in every row, or set text_field to the field that holds it"
        )
    language = None
    if source.language_field is not None and not isinstance(language := row.get(source.language_field), str):
        raise ValueError(
            f"source {source.name!r}: {where}: field {source.language_field!r} is {language!r}, no language; the "
            f"fields are {sorted(row)}; set language_field"
        )
    return text.encode("utf-8", "replace").decode("utf-8"), language  # lone surrogates from JSON escapes


def _read_parquet(source: SourceSettings, path: Path) -> Iterator[tuple[str, object]]:
    import pyarrow as pa

    where = f"source {source.name!r}: {path}"
    number, bounds = 0, limits()
    read = [field for field in (source.text_field, source.language_field) if field is not None]
    try:
        with open_parquet(path) as file:
            names = file.schema_arrow.names
            for field, setting in zip(read, ("text_field", "language_field"), strict=False):
                if field not in names:
                    raise ValueError(
                        f"{where}: no column {field!r}; the columns are {names}; set {setting} to one"
                    )
            for batch in batches(file, path, read):
                for cells in zip(*(batch.column(field) for field in read), strict=True):
                    number += 1
                    row = dict.fromkeys(names) | {
                        field: cell.as_py() for field, cell in zip(read, cells, strict=True)
                    }
                    told = _text_of(source, row, f"{path} row {number}")
                    bounds.check_line(len(told[0]), f"{path} row {number}")
                    yield told
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} row {number}: not UTF-8 ({error.reason})") from error
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{where}: not a readable Parquet file: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]


def _read_csv(source: SourceSettings, path: Path) -> Iterator[tuple[str, object]]:
    table = not_empty(table_of(path, f"source {source.name!r}"))
    for place, row in table.rows:
        yield _text_of(source, row, f"{path} {place}")


def _read_text(source: SourceSettings, path: Path) -> Iterator[str]:
    """A file is one document; a large one is cut at line ends, so that none is held in memory whole."""
    kept: list[str] = []
    size, number, bounds = 0, 0, limits()
    try:
        with opened_text(path) as stream:
            while line := stream.readline(bounds.line_bytes + 1):
                number += 1
                bounds.check_line(len(line), f"source {source.name!r}: {path}:{number}")
                kept.append(line)
                size += len(line)
                if size >= TEXT_PIECE_CHARACTERS:
                    yield "".join(kept)
                    kept, size = [], 0
    except UnicodeDecodeError as error:
        raise ValueError(f"source {source.name!r}: {path}: not UTF-8 ({error.reason})") from error
    except BROKEN as error:
        raise ValueError(f"source {source.name!r}: {path}: broken {path.suffix[1:]} file: {error}") from error
    except OSError as error:
        raise ValueError(f"source {source.name!r}: {path}: cannot be read: {error.strerror}") from error
    if kept:
        yield "".join(kept)


def _read_huggingface(source: SourceSettings) -> Iterator[tuple[str, object]]:
    for number, row in enumerate(_huggingface_rows(source)):
        yield _text_of(source, row, f"{source.dataset} row {number}")


def _huggingface_rows(source: SourceSettings) -> Iterator[dict]:
    import datasets
    import httpx2

    try:
        yield from datasets.load_dataset(
            source.dataset, source.subset, split=source.split, revision=source.revision, streaming=True
        )
    except (OSError, httpx2.HTTPError, datasets.exceptions.DatasetsError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"source {source.name!r}: Hugging Face dataset {source.dataset!r} could not be read: "
            f"{type(error).__name__}: {_first_line(error)}; "
            "it needs the network and an existing dataset, subset and split"
        ) from error
