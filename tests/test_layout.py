"""The house rules: imports run one way, pins hold, stages carry versions, every module says what it is for."""

from __future__ import annotations

import ast
import functools
import graphlib
import json
from collections import Counter
from pathlib import Path

import pytest

from tests.stage_digests import RECORD, changed, current

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("models", "storage", "tasks", "flows", "deploy")
FORBIDDEN = {
    "models": {"prefect", "mlflow", "duckdb", "tasks", "flows", "storage", "deploy"},
    "storage": {"prefect", "torch", "transformers", "tasks", "flows", "models", "deploy"},
    "tasks": {"flows", "deploy", "mlflow", "duckdb"},
    "flows": {"deploy", "mlflow", "duckdb"},
    "deploy": set(),
}
# Stages in the order in which they may import each other: a stage those before it.
STAGES = (
    "tables", "sandbox", "benchmarks", "sources", "training", "evaluation", "proxies", "utility", "mixture",
    "instructions", "stitching", "preference", "report", "duels", "chat", "languages",
)  # fmt: skip
MAY_IMPORT_PREFECT = ("task.py", "stage.py")
MODULES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    folder = path.relative_to(ROOT).parts[0]
    imported = imports_of(path)
    assert not imported & FORBIDDEN[folder]
    if folder == "tasks" and path.name not in MAY_IMPORT_PREFECT:
        assert "prefect" not in imported
    if path != ROOT / "storage" / "tracking.py":
        assert "mlflow" not in imported
    if path != ROOT / "storage" / "catalog.py":
        assert "duckdb" not in imported
    assert "pickle" not in imported


def targets_of(path: Path) -> set[Path]:
    """Files of ours that a file imports when it runs, in functions too; not what is imported for types alone."""
    found = set()
    tree = _tree(path)
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            place = ROOT / name.replace(".", "/")
            candidates = [place.with_suffix(".py"), place / "__init__.py", place.parent.with_suffix(".py")]
            found |= set([file for file in candidates if file.is_file()][:1])
    return found - {path}


IMPORTS = {path: targets_of(path) for path in MODULES}


def test_stages_import_only_those_before_them():
    def stage_of(path: Path) -> str | None:
        parts = path.relative_to(ROOT).parts
        return parts[1] if parts[0] == "tasks" and len(parts) > 2 else None

    assert {stage for path in MODULES if (stage := stage_of(path))} == set(STAGES)
    wrong = [
        f"{path.relative_to(ROOT)} imports {target.relative_to(ROOT)}"
        for path, targets in IMPORTS.items()
        for target in targets
        if (mine := stage_of(path))
        and (other := stage_of(target))
        and STAGES.index(other) > STAGES.index(mine)
    ]
    assert wrong == []


def test_no_files_import_each_other_in_a_circle():
    sorter = graphlib.TopologicalSorter(
        {path: targets for path, targets in IMPORTS.items() if path.name != "__init__.py"}
    )
    sorter.prepare()  # raises CycleError, naming the circle


def test_a_file_name_stands_once_in_the_house():
    names = Counter(
        path.name for path in MODULES if path.name not in ("__init__.py", "task.py", "settings.py")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_every_module_says_in_its_first_line_what_it_is_for():
    silent = [path for path in MODULES if not ast.get_docstring(_tree(path))]
    assert silent == []


def test_no_module_has_grown_two_jobs():
    assert [path.name for path in MODULES if len(path.read_text(encoding="utf-8").splitlines()) > 300] == []


def test_a_stage_changes_only_with_its_version():
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))
    now = current()
    assert changed(recorded, now) == [], "raise VERSION in their task.py, then run `make stage-digests`"
    versions = {name: (stage["version"], stage["code"]) for name, stage in now.items()}
    assert versions == {name: (stage["version"], stage["code"]) for name, stage in recorded.items()}, (
        "run `make stage-digests`"
    )


def test_the_pins_that_the_stack_needs_hold():
    """FastAPI from 0.155 breaks this import, and SQLAlchemy 2.1 the server's shutdown."""
    import importlib.metadata

    import prefect.server.api.server

    assert prefect.server.api.server.create_app
    assert importlib.metadata.version("sqlalchemy").startswith("2.0.")
    pins = (ROOT / "deploy" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert all("==" in line for line in pins if line and not line.startswith("#"))


@functools.cache
def _names_of(file: Path) -> frozenset[str]:
    """The names that a module has once it is imported."""
    found: set[str] = set()
    nodes: list[ast.AST] = [_tree(file)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name.split(".")[0])
        nodes += ast.iter_child_nodes(node)
    return frozenset(found)


def _is_module(place: Path) -> bool:
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def test_what_is_imported_of_ours_is_there():
    """Also in functions, where neither an import at start nor the type checker would find it missing."""
    missing = []
    for path in [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))]:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FOLDERS:
                place = ROOT / node.module.replace(".", "/")
                files = [f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()]
                known = _names_of(files[0]) if files else frozenset()
                missing += [
                    f"{path.relative_to(ROOT)}:{node.lineno} {node.module}.{alias.name}"
                    for alias in node.names
                    if alias.name not in known and not _is_module(place / alias.name)
                ]
    assert missing == []
