"""Digests of the code behind each stage, so that no stage changes without its version.

    make stage-digests      records them, after the versions of the changed stages have been raised

A stage's code is its `task.py` with everything of ours that it imports, directly or not; another stage's
`task.py`, Prefect's side and what only prints or plans do not count. Comments, docstrings and layout do not
count either. Methods that a package lists count one by one: a further one changes no result of the others, so it asks
for no new version.
"""

from __future__ import annotations

import ast
import functools
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
    """Digest of the code that a stage runs but for listed methods, and of the data files beside it."""
    sha = hashlib.sha256()
    for path in sorted(_reached(task, with_listed=False)):
        sha.update(_code(path))
    for path in sorted(p for p in task.parent.rglob("*") if p.suffix in DATA):
        sha.update(path.read_bytes())
    return sha.hexdigest()[:16]


def method_digests(task: Path) -> dict[str, str]:
    """File of each listed method that the stage runs -> digest of what it adds to the stage's code."""
    common = _reached(task, with_listed=False)
    found = {}
    for path in sorted(_listed_by(_reached(task, with_listed=True))):
        sha = hashlib.sha256()
        for part in sorted(_reached(path, with_listed=False) - common):
            sha.update(_code(part))
        found[str(path.relative_to(ROOT))] = sha.hexdigest()[:16]
    return found


@functools.cache
def _code(path: Path) -> bytes:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return f"{path.relative_to(ROOT)}\0{ast.dump(_without_docstrings(tree))}".encode()


@functools.cache
def _is_list(path: Path) -> bool:
    return path.name == "__init__.py" and "listed(globals()," in path.read_text(encoding="utf-8")


def _listed_by(files: set[Path]) -> set[Path]:
    """The methods' files that the lists among `files` import."""
    packages = [path for path in files if _is_list(path)]
    return {
        module
        for package in packages
        for name in _imports(package)
        for module in _module_files(name)
        if module.parent == package.parent and module != package
    }


def current() -> dict[str, dict]:
    return {
        name: {"version": version_of(task), "code": code_digest(task), "methods": method_digests(task)}
        for name, task in stage_files().items()
    }


def changed(before: dict[str, dict], now: dict[str, dict]) -> list[str]:
    """Stages whose code, or a method that was recorded, is another than recorded."""
    found = []
    for name, stage in now.items():
        known = before.get(name, {})
        methods = known.get("methods", {})
        if stage["code"] != known.get("code") or any(
            stage["methods"].get(file) != digest for file, digest in methods.items()
        ):
            found.append(name)
    return found


def _reached(start: Path, with_listed: bool) -> set[Path]:
    """Files that `start` imports, directly or not; a list counts as a file only with what it lists."""
    found, to_do = set(), [start]
    while to_do:
        path = to_do.pop()
        if path in found or (_is_list(path) and not with_listed):
            continue
        found.add(path)
        for module in _imports(path):
            for candidate in _module_files(module):
                if candidate.name != "task.py":
                    to_do.append(candidate)
    return found


@functools.cache
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
        for name in changed(before, now)
        if name in before and now[name]["version"] <= before[name]["version"]
    ]
    if stale:
        raise SystemExit(f"the code of {', '.join(stale)} has changed: raise VERSION in its task.py first")
    RECORD.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    print(f"{RECORD.relative_to(ROOT)}: {len(now)} stages")
