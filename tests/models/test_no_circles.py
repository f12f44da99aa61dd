"""No files of `models/` import each other in a circle, not even where only types are checked."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_files_import_each_other_one_way():
    files = [path for path in (ROOT / "models").rglob("*.py") if path.name != "__init__.py"]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}
    imports: dict[str, set[str]] = {}
    for module, path in modules.items():
        named = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
        imports[module] = named & set(modules)
    assert len(list(TopologicalSorter(imports).static_order())) == len(modules)  # CycleError names a circle
    combined = {name for module in modules if "combined" in module for name in imports[module]}
    assert not [name for name in combined if "stitched" in name]
