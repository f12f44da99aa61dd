"""What readers are told is so: reference pages are those of the declarations, links lead somewhere, settings exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flows.commands.reference import FOLDER, pages
from flows.commands.settings_reference import declared
from flows.settings import Experiment

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
README_BYTES = 8_000
FILES = (".json", ".md", ".yaml", ".csv", ".py", ".parquet")
SETTING = re.compile(r"`([a-z_]+(?:\.\w+)+)(?:=[^`]*)?`")
OVERRIDE = re.compile(r"-o '?([a-z_]+(?:\.\w+)+)=")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("name", sorted(pages()))
def test_reference_pages_are_those_of_the_declarations(name):
    written = FOLDER / name
    assert written.is_file() and written.read_text(encoding="utf-8") == pages()[name], "run `make docs`"


def test_nothing_else_lies_among_the_reference_pages():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(pages())


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_relative_links_lead_somewhere(page):
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    relative = [link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link)]
    lost = [link for link in relative if not _leads_somewhere(page, link)]
    assert lost == []


def _leads_somewhere(page: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = (page.parent / file).resolve() if file else page
    if not target.exists():
        return False
    return not anchor or anchor in {_anchor(line) for line in target.read_text(encoding="utf-8").splitlines()}


def _anchor(line: str) -> str:
    """The anchor that a page of Markdown has for a heading."""
    title = line.lstrip("#").strip().lower() if line.startswith("#") else ""
    return re.sub(r"[^\w\- ]", "", title).replace(" ", "-")


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= README_BYTES


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_settings_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    typed = "\n".join(
        line for line in text.splitlines() if not line.startswith("$ ")
    )  # $: shown with its refusal
    told = {*SETTING.findall(FENCED.sub("", text)), *OVERRIDE.findall(typed)}
    told = {path for path in told if not path.endswith(FILES)}
    known = declared()
    sections = tuple(f"{name}." for name in Experiment.model_fields)
    unknown = sorted(path for path in told if path.startswith(sections) and not _is_setting(path, known))
    assert unknown == []


def _is_setting(path: str, known: dict) -> bool:
    """Whether the path is a setting, positions in lists left out, or a key of one that is a mapping."""
    parts = [part for part in path.split(".") if part != "N" and not part.isdigit()]
    if ".".join(parts) in known:
        return True
    parent = known.get(".".join(parts[:-1]))
    return parent is not None and "dict" in str(parent.annotation)
