"""What a file that a user hands over may ask of memory, for all readers: a small one can unpack to any size.

A source is read a document at a time, so that its whole size has no limit; a table is held whole. Who needs more says
so on this machine: MIXSTITCH_MAX_LINE_MB (a line, a document, a cell) and MIXSTITCH_MAX_TABLE_MB (a table, and with it
its rows and values).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

MB = 1 << 20
LINE_MB, TABLE_MB = 16, 256
ROWS_A_MB, VALUES_A_MB = 20_000, 80_000
COLUMNS = 10_000
ZSTANDARD_WINDOW = 2048 * MB  # the longest that the format's own tool writes; held as far as it is filled
FOOTER_BYTES = 64 * MB  # the description of a Parquet file
LINE_VARIABLE, TABLE_VARIABLE = "MIXSTITCH_MAX_LINE_MB", "MIXSTITCH_MAX_TABLE_MB"


@dataclass(frozen=True)
class Limits:
    """Bytes of a line, a document or a cell, and of a table, once they are unpacked."""

    line_bytes: int
    table_bytes: int

    @property
    def rows(self) -> int:
        return self.table_bytes // MB * ROWS_A_MB

    @property
    def values(self) -> int:
        """Cells, and what stands inside lists and objects of JSON."""
        return self.table_bytes // MB * VALUES_A_MB

    def check_line(self, size: int, where: str) -> None:
        """Raises ValueError where a line, a document or a cell at that place is too long."""
        if size > self.line_bytes:
            raise ValueError(
                f"{where}: longer than {self.line_bytes // MB:,} MB; allowed: up to {LINE_VARIABLE} in the environment"
            )

    def check_table(
        self, where: str, size: int = 0, rows: int = 0, values: int = 0, columns: int = 0
    ) -> None:
        """Raises ValueError where a table that has reached that place is too large."""
        for found, most, what in (
            (size // MB, self.table_bytes // MB, "MB"),
            (rows, self.rows, "rows"),
            (values, self.values, "values"),
            (columns, COLUMNS, "columns"),
        ):
            if found > most:
                more = "" if what == "columns" else f"; {TABLE_VARIABLE} in the environment sets how large"
                raise ValueError(
                    f"{where}: a table of more than {most:,} {what}; allowed: a smaller one{more}"
                )


def limits() -> Limits:
    """As the environment says. Raises ValueError for what is no number of MB."""
    return Limits(_megabytes(LINE_VARIABLE, LINE_MB), _megabytes(TABLE_VARIABLE, TABLE_MB))


def _megabytes(variable: str, default: int) -> int:
    given = os.environ.get(variable) or str(default)
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= 10**6:
        raise ValueError(f"{variable}={given}: allowed: whole MB, from 1 to 1,000,000")
    return int(given) * MB
