"""Digests of the code behind each stage, so that no stage changes without its version.

    make stage-digests      records them, after the versions of the changed stages have been raised

A stage's code is its `task.py` with everything of ours that it imports, directly or not; another stage's
`task.py`, Prefect's side and what only prints or plans do not count. Comments, docstrings and layout do not
count either.
"""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORD = Path(__file__).with_suffix(".json")
OURS = ("tasks", "models")
DATA = (".txt", ".csv", ".html", ".css")


def stage_files() -> dict[str, Path]:
    """Stage folder, as a path under tasks/ -> its task.py."""
    tasks = ROOT / "tasks"
    return {str(path.parent.relative_to(tasks)): path for path in sorted(tasks.glob("*/**/task.py"))}


def version_of(task: Path) -> int:
    """The stage's VERSION."""
    for node in ast.parse(task.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["VERSION"]:
            return ast.literal_eval(node.value)
    raise ValueError(f"{task}: no VERSION")


def code_digest(task: Path) -> str:
    """Digest of the code that a stage runs, and of the data files beside it."""
    sha = hashlib.sha256()
    for path in sorted(_reached(task)):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        sha.update(f"{path.relative_to(ROOT)}\0{ast.dump(_without_docstrings(tree))}".encode())
    for path in sorted(p for p in task.parent.rglob("*") if p.suffix in DATA):
        sha.update(path.read_bytes())
    return sha.hexdigest()[:16]


def current() -> dict[str, dict]:
    return {
        name: {"version": version_of(task), "code": code_digest(task)} for name, task in stage_files().items()
    }


def _reached(start: Path) -> set[Path]:
    found, to_do = set(), [start]
    while to_do:
        path = to_do.pop()
        if path in found:
            continue
        found.add(path)
        for module in _imports(path):
            for candidate in _module_files(module):
                if candidate.name != "task.py":
                    to_do.append(candidate)
    return found


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in names if name.split(".")[0] in OURS}


def _module_files(module: str) -> list[Path]:
    place = ROOT / Path(*module.split("."))
    return [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return tree


if __name__ == "__main__":
    before = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    now = current()
    stale = [
        name
        for name, stage in now.items()
        if name in before
        and stage["code"] != before[name]["code"]
        and stage["version"] <= before[name]["version"]
    ]
    if stale:
        raise SystemExit(f"the code of {', '.join(stale)} has changed: raise VERSION in its task.py first")
    RECORD.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    print(f"{RECORD.relative_to(ROOT)}: {len(now)} stages")
