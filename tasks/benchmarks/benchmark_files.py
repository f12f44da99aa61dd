"""Benchmark files: a folder of JSONL files, one task a file, its shape (`row_shapes`) recognised by its rows.

A file of whose first rows none has a known shape (fields and their types) is skipped with a warning; one of a known
shape with broken rows, or rows of two shapes, is refused.
"""

from __future__ import annotations

from pathlib import Path

from tasks.benchmarks.by_content import content_id, lowest_by_content
from tasks.benchmarks.items import Benchmark, item_text
from tasks.benchmarks.recognising import LOOKED_FOR, described_fields, narrowed, shape_by_fields, typical_row
from tasks.benchmarks.row_shapes.row_shape import Row, RowShape
from tasks.benchmarks.row_shapes.row_texts import clean
from tasks.tables.file_names import left_out, named_files, suffixes
from tasks.tables.json_lines import read_json_table

MAX_NAME_CHARACTERS = 80
FOLDER_SETTING = "evaluation.folder"


def read_benchmark_folder(
    folder: Path, max_items: int | None = None, setting: str = FOLDER_SETTING
) -> tuple[list[Benchmark], list[str]]:
    """The tasks of a folder, named for their files and sorted, and a warning for each file that was skipped.

    `max_items` caps the items a task, chosen by content, so that the same ones stay when items are added.
    `setting`: what the folder is called in messages. Raises ValueError for a folder that is missing or holds no task,
    for two files that get the same name and, with file and line, for a broken row.
    """
    benchmarks: list[Benchmark] = []
    files = benchmark_files(folder, setting)
    warnings = [f"left out: {told}" for told in left_out(folder, files.values())]
    for name, path in files.items():
        rows = read_json_table(path)
        typical = typical_row([row for _, row in rows])
        if typical is not None:
            benchmarks.append(_read_benchmark(path, name, rows, typical, max_items))
        elif rows:
            warnings.append(
                f"{path.name}: skipped: its rows have no known shape; looked for: {LOOKED_FOR}; "
                f"found: {described_fields(rows[0][1])}"
            )
        else:
            warnings.append(f"{path.name}: skipped: it has no rows")
    if not benchmarks:
        why = "; ".join(warnings) or f"no {suffixes()} files"
        raise ValueError(f"{setting}={folder}: holds no benchmark: {why}")
    return benchmarks, warnings


def benchmark_files(folder: Path, setting: str = FOLDER_SETTING) -> dict[str, Path]:
    """The files of a folder of benchmarks, by the name of their task; what is in sub-folders belongs to other tools."""
    return named_files(folder, setting, MAX_NAME_CHARACTERS, inside=False)


def _read_benchmark(
    path: Path,
    name: str,
    rows: list[tuple[int, Row]],
    typical: tuple[Row, RowShape],
    max_items: int | None,
) -> Benchmark:
    row_of_shape, shape = typical
    narrow = narrowed(shape, row_of_shape, [row for _, row in rows])
    kind = narrow.kind.name
    items, taken = [], set()
    for number, row in rows:
        try:
            _check_shape(row, shape)
            item = narrow.item(row)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from error
        given = row.get("id")
        item_id = clean(str(given)) if isinstance(given, str | int) else ""
        item_id = "" if item_id in taken else item_id
        item_id = item_id or content_id(name, item_text(kind, item), str(number) if given is not None else "")
        if item_id not in taken:  # a row without id that stands twice is one item
            taken.add(item_id)
            items.append({"id": item_id, **item})
    kept = lowest_by_content([item_text(kind, item) for item in items], max_items)
    return Benchmark(name, kind, None, narrow.kind.metrics[0], [items[i] for i in kept])


def _check_shape(row: Row, shape: RowShape) -> None:
    found = shape_by_fields(row)
    if found is not shape:
        raise ValueError(
            f"a row of shape {found.name if found else 'unknown'} in a file of shape {shape.name}; "
            f"its fields: {sorted(row)}"
        )
