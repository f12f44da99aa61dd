"""The reference pages in docs/reference, made from what settings, methods, commands and the catalog say of themselves.

    python -m flows.commands.reference        (`make docs`)

The same declarations give the same bytes: no dates, no paths of this machine.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import typer

from flows.commands.app import app
from flows.commands.settings_reference import (
    HEADER,
    declared,
    literal,
    markdown_table,
    settings_page,
    settings_rows,
)
from flows.recipes import models_of
from storage.catalog import Catalog
from storage.catalog_schema import EXAMPLES
from storage.home import Home
from tasks.method import Method, MethodSettings, TaggedSettings
from tasks.mixture.laws import LAWS
from tasks.mixture.methods import METHODS
from tasks.mixture.mixture_method import EVIDENCE
from tasks.mixture.settings import MixtureSettings
from tasks.stitching.compositions import COMPOSITIONS, RESERVED_NAMES
from tasks.stitching.compositions.composition import CompositionSettings
from tasks.training.families import FAMILIES
from tasks.training.settings import ModelSettings

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
# How the help of what takes a table, a file or a folder begins.
A_TABLE = re.compile(
    r"^(For [\w ]+: )?(CSV|Parquet|JSON lines|[Tt]able|Folder|File|UTF-8 file|HTML file|Likewise|Named mixtures|"
    r"Model name at the endpoint|openai: the model's tokenizer|The utility to|As of `mix solve`)"
)
WRITTEN = re.compile(r"\b(to write|pictures?)\b")


def pages() -> dict[str, str]:
    """File name -> text of every reference page."""
    return {
        "settings.md": settings_page(),
        "methods.md": _methods_page(),
        "catalog.md": _catalog_page(),
        "tables.md": _tables_page(),
    }


def _methods_page() -> str:
    parts = [
        "# Methods\n\nWhat mixture methods, laws, families and compositions say of themselves; made by `make docs`.\n",
        "## Mixture methods\n\nFor `mixture.method`, and those that need no proxies for `mixstitch mix solve "
        "--method`.\n",
        _overview(METHODS, ("needs", lambda m: EVIDENCE[m.evidence])),
    ]
    parts += [_method(m, MixtureSettings) for m in METHODS]
    parts += [
        "## Laws\n\nFor `mixture.law` of the method `law`, and for `mixstitch mix fit --law`.\n",
        _overview(
            LAWS,
            ("runs at least", lambda law: law.fewest_runs),
            ("needs utility", lambda law: "yes" if law.needs_utility else "no"),
        ),
    ]
    parts += [_method(law) for law in LAWS]
    parts += [
        "## Families of seeds\n\nFor `model.family`.\n",
        _overview(FAMILIES),
        *(_method(family, ModelSettings) for family in FAMILIES),
        "## Compositions\n\nFor `stitching.compositions`, and for the variants of a stitch duel, which also know "
        "`stitched` and `dense`.\n",
        _overview(COMPOSITIONS, ("trains", lambda c: c.trains)),
    ]
    parts += [_method(c, CompositionSettings) for c in COMPOSITIONS]
    parts.append(f"Names that no expert may have: {', '.join(f'`{name}`' for name in RESERVED_NAMES)}.")
    return "\n".join(parts) + "\n"


def _overview(methods: tuple[Any, ...], *columns: tuple[str, Any]) -> str:
    header = ("name", "title", "what it does", *(title for title, _ in columns))
    return markdown_table(
        header, [(f"`{m.name}`", m.title, m.line, *(of(m) for _, of in columns)) for m in methods]
    )


def _method(method: Method, common: type[TaggedSettings] = MethodSettings) -> str:
    """Equation, paper and own settings of a method."""
    own = method.own_settings(common)
    parts = [f"### {method.title} (`{method.name}`)\n"]
    if method.equation:
        parts.append(f"```\n{method.equation}\n```\n")
    if method.paper:
        parts.append(f"From: {method.paper}.\n")
    if own:
        parts.append(
            markdown_table(HEADER, settings_rows(method.settings, own, below="see [settings](settings.md)"))
        )
    return "\n".join(parts)


def _catalog_page() -> str:
    """Tables and views of the catalog, from one that is made for the purpose."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.locks.mkdir()
        catalog = Catalog(home)
        tables = catalog.query("select table_name as name, comment from duckdb_tables() order by name")
        views = catalog.query(
            "select view_name as name, comment from duckdb_views() where not internal order by name"
        )
        columns = catalog.query(
            "select table_name, column_name, data_type, comment from duckdb_columns() where not internal "
            "order by table_name, column_index"
        )
    parts = [
        "# The catalog\n\nTables and views of `catalog.duckdb` in the home; made by `make docs`. Tables are only ever "
        "appended to; the views `latest_...` hold the latest row of each thing, the views `run_...` name the "
        "run. The file is an index: `mixstitch catalog rebuild` writes it anew from manifests and run records.\n"
    ]
    for title, found in (("Tables", tables), ("Views", views)):
        parts.append(f"## {title}\n")
        for name, comment in found.itertuples(index=False):
            of = columns[columns["table_name"] == name]
            rows: list[tuple] = [
                (f"`{c}`", kind.lower(), said or "") for _, c, kind, said in of.itertuples(index=False)
            ]
            if not any(row[2] for row in rows):
                rows = [row[:2] for row in rows]
            header = ("column", "type", "what it is")[: len(rows[0])]
            parts.append(f"### `{name}`\n" + (f"\n{comment}\n" if comment else ""))
            parts.append(markdown_table(header, rows))
    parts.append(
        "## Queries\n\nWith DuckDB's own program (`duckdb -readonly .mixstitch/catalog.duckdb`), or from Python: "
        '`duckdb.connect(".mixstitch/catalog.duckdb", read_only=True).sql(...)`.\n'
    )
    parts += [f"{title}:\n\n```sql\n{query}\n```\n" for title, query in EXAMPLES.items()]
    return "\n".join(parts).rstrip("\n") + "\n"


def _tables_page() -> str:
    taken, written = _options()
    return "\n".join(
        [
            "# Tables and files that you may hand over\n\nFrom the help of commands and settings; made by `make docs`. "
            "A table with names that do not match is refused, with the names.\n",
            "## By settings of a recipe\n",
            markdown_table(("setting", "what it holds"), list(_settings_with_files())),
            "## By commands\n",
            markdown_table(("commands", "option", "what it holds"), taken),
            "## Written by commands\n",
            markdown_table(("commands", "option", "what it holds"), written),
        ]
    )


def _settings_with_files() -> list[tuple]:
    """(setting, what it holds), each text once, at the shortest path that has it."""
    found: dict[str, str] = {}
    for path, field in sorted(declared().items(), key=lambda one: (len(one[0]), one[0])):
        said = field.description or ""
        if A_TABLE.search(said) and not models_of(field.annotation):
            found.setdefault(said, path)
    order = list(declared())
    return [
        (f"`{path}`", literal(said)) for said, path in sorted(found.items(), key=lambda x: order.index(x[1]))
    ]


def _options() -> tuple[list[tuple], list[tuple]]:
    """Options that take, and that name, a file or folder: (commands, option, what it holds)."""
    taken: dict[tuple[str, str], list[str]] = {}
    for name, command in _commands("mixstitch", typer.main.get_command(app)):
        for one in command.params:
            said = getattr(one, "help", None) or ""
            if A_TABLE.search(said):
                shown = one.opts[0] if one.opts[0].startswith("-") else (one.name or "").upper()
                taken.setdefault((shown, said), []).append(name)
    reading: list[tuple] = []
    writing: list[tuple] = []
    for (shown, said), names in taken.items():
        row = (", ".join(f"`{name}`" for name in names), f"`{shown}`", literal(said))
        (writing if WRITTEN.search(said) else reading).append(row)
    return reading, writing


def _commands(name: str, command: Any) -> list[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        return [(name, command)]
    return [found for key in sorted(inner) for found in _commands(f"{name} {key}", inner[key])]


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
