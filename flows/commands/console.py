"""The one console: how every command prints numbers, intervals, tables and JSON, and what it keeps in a folder."""

from __future__ import annotations

import functools
import inspect
import json
import logging
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from rich.console import Console
from rich.table import Table

from tasks.tables.taken import LOGGER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH_WITHOUT_TERMINAL = 160
NOTHING = "–"


def print_json(value: Any) -> None:
    """One JSON value, for programs; ValueError for a number that JSON has not."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    _say_what_was_taken()
    print(text)


def show(table: Table) -> None:
    _say_what_was_taken()
    _console().print(table)


def say(text: str) -> None:
    """A line as it is: no brackets in it are taken for colours."""
    _say_what_was_taken()
    _console().print(text, highlight=False, markup=False)


def aside(text: str) -> None:
    """A line that is no part of the answer, at once."""
    print(text, file=sys.stderr, flush=True)


def _console() -> Console:
    return Console(width=None if Console().is_terminal else WIDTH_WITHOUT_TERMINAL)


def show_rows(title: str, rows: Sequence[Mapping[str, Any]], names: Collection[str] = ()) -> None:
    """Rows as a table with a column for each of their keys; those among `names` are headed as they stand."""
    if not rows:
        say(f"{title}: none")
        return
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name if name in names else name.replace("_", " "))
    for row in rows:
        table.add_row(*(cell(value) for value in row.values()))
    show(table)


def cell(value: Any) -> str:
    """Any value as a cell of a table."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def number(value: float | None, digits: int = 4) -> str:
    return NOTHING if value is None or value != value else f"{value:.{digits}f}"


def interval(pair: Sequence[float | None] | None, digits: int = 4) -> str:
    if pair is None or pair[0] is None or pair[0] != pair[0]:
        return NOTHING
    return f"{number(pair[0], digits)} to {number(pair[1], digits)}"


def keep(folder: str, name: str, told: Any, pictures: Mapping[str, Figure]) -> list[str]:
    """Writes <picture>.svg for each and NAME.json into the folder, made where it is not there; their paths."""
    from tasks.report.pictures.drawing import write_svg

    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    for title, figure in pictures.items():
        write_svg(figure, path / f"{title}.svg")
    (path / f"{name}.json").write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
    return [*(str(path / f"{title}.svg") for title in pictures), str(path / f"{name}.json")]


def say_written(paths: Sequence[str]) -> None:
    for path in paths:
        print(f"written: {path}")


def with_options_of(shared: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: the command takes the options of `shared` too, and gets what that makes of them first.

    So options that several commands have stand once.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        theirs = list(inspect.signature(shared).parameters.values())
        own = list(inspect.signature(command).parameters.values())[1:]

        @functools.wraps(command)
        def called(**given: Any) -> None:
            command(shared(**{p.name: given.pop(p.name) for p in theirs}), **given)

        hints = get_type_hints(shared, include_extras=True) | get_type_hints(command, include_extras=True)
        parameters = [
            p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[p.name]) for p in (*theirs, *own)
        ]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
        del called.__wrapped__
        return called

    return decorate


@contextmanager
def readers_heard() -> Iterator[None]:
    """What the columns of a table were taken for is said on standard error before the answer; nothing with an error."""
    logger, handler = LOGGER, _Held()
    level, logger.propagate = logger.level, False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
        _say_what_was_taken()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = True


class _Held(logging.Handler):
    """Lines that wait for an answer to stand before."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() not in self.lines:
            self.lines.append(record.getMessage())


def _say_what_was_taken() -> None:
    for handler in LOGGER.handlers:
        if isinstance(handler, _Held):
            while handler.lines:
                aside(handler.lines.pop(0))
