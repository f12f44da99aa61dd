"""Sources that exist on every machine: the standard library's code and docs, arithmetic, junk."""

from __future__ import annotations

import ast
import base64
import hashlib
import os
import random
import string
import sysconfig
from collections.abc import Iterator
from pathlib import Path

# Left out of the standard library: tests, generated tables, installed packages, text that is documentation.
EXCLUDED = {
    "test",
    "tests",
    "site-packages",
    "dist-packages",
    "encodings",
    "pydoc_data",
    "lib2to3",
    "idlelib",
    "turtledemo",
    "ensurepip",
    "__pycache__",
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def standard_library_files() -> list[Path]:
    """The standard library's modules, ordered by a hash of their path, so that any cut is mixed."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = []
    for folder, inside, names in os.walk(root):
        inside[:] = set(inside) - EXCLUDED  # an environment's installed packages are many times the library
        files += [Path(folder) / name for name in names if name.endswith(".py")]
    return sorted(files, key=lambda p: hashlib.sha256(p.relative_to(root).as_posix().encode()).digest())


def python_code() -> Iterator[str]:
    """Source files without their docstrings, which are the text of `python_docs`."""
    for path in standard_library_files():
        yield without_docstrings(path.read_text(encoding="utf-8"))


def python_docs() -> Iterator[str]:
    """One document a module with its docstrings, and one for each topic of `pydoc`."""
    from pydoc_data.topics import topics

    yield from (f"{name}\n\n{topics[name].strip()}\n" for name in sorted(topics))
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in standard_library_files():
        sections = docstrings(path.read_text(encoding="utf-8"))
        if sections:
            module = ".".join(path.relative_to(root).with_suffix("").parts)
            yield f"{module}\n\n" + "\n\n".join(sections) + "\n"


def docstrings(code: str) -> list[str]:
    """The docstrings of a module's text, each under the name it documents, in order of appearance."""
    sections = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            name = getattr(node, "name", "")
            sections.append((getattr(node, "lineno", 0), f"{name}\n{text}" if name else text))
    return [text for _, text in sorted(sections, key=lambda section: section[0])]


def without_docstrings(code: str) -> str:
    """The module's text with every docstring cut out (`pass` where nothing else would be left of a body)."""
    lines = code.splitlines()
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, DOCUMENTED) or ast.get_docstring(node) is None:
            continue
        first = node.body[0]
        begin, end = first.lineno - 1, first.end_lineno or first.lineno
        if lines[begin][: first.col_offset].strip():
            continue  # shares its line with the definition: `def f(): "text"`
        lines[begin:end] = [""] * (end - begin)
        if len(node.body) == 1 and not isinstance(node, ast.Module):
            lines[begin] = " " * first.col_offset + "pass"
    kept = [line for i, line in enumerate(lines) if line.strip() or (i and lines[i - 1].strip())]
    return "\n".join(kept) + "\n"


NAMES = (
    "Ada Ben Cleo Dev Ela Finn Gita Hugo Ines Jon Kira Leo Mara Nils Olga Paul Rosa Sven Tara Uwe"
).split()
THINGS = "apples books coins cards eggs flags jars keys lamps marbles pens plates ropes seeds stamps".split()
PLACES = "box bag crate drawer basket tray cupboard shelf".split()


def arithmetic_problems(random_seed: int) -> Iterator[str]:
    """Worked word problems without end: question, the sum worked out, and `Answer:` on the last line."""
    for number in range(2**62):
        draw = random.Random(f"arithmetic-{random_seed}-{number}")
        name, other = draw.sample(NAMES, 2)
        thing, place = draw.choice(THINGS), draw.choice(PLACES)
        a, b = draw.randint(2, 60), draw.randint(2, 39)
        match draw.randrange(4):
            case 0:
                text = f"{name} has {a} {thing} in a {place}. {other} brings {b} more. How many {thing} now?"
                work, answer = f"{a} + {b}", a + b
            case 1:
                a, b = max(a, b) + 1, min(a, b)
                text = (
                    f"There are {a} {thing} in a {place}. {name} gives {b} to {other}. How many {thing} stay?"
                )
                work, answer = f"{a} - {b}", a - b
            case 2:
                a, b = draw.randint(2, 12), draw.randint(2, 12)
                text = f"{name} fills {a} times a {place} with {b} {thing} for {other}. How many {thing}?"
                work, answer = f"{a} x {b}", a * b
            case _:
                c = draw.randint(2, 9)
                text = (
                    f"{name} finds {a} {thing}, then {b}; {other} adds {c} to the {place}. How many {thing}?"
                )
                work, answer = f"{a} + {b} + {c}", a + b + c
        yield f"Question: {text}\nWork: {work} = {answer}\nAnswer: {answer}\n"


def junk_documents(random_seed: int) -> Iterator[str]:
    """Machine-made text without end that teaches nothing: hex, base64, log lines, shuffled characters."""
    printable = string.ascii_letters + string.digits + string.punctuation + " "
    for number in range(2**62):
        draw = random.Random(f"noise-{random_seed}-{number}")
        rows = range(draw.randint(8, 40))
        match draw.randrange(4):
            case 0:
                lines = [f"{i * 16:08x}  {draw.randbytes(16).hex(' ')}" for i in rows]
            case 1:
                lines = [base64.b64encode(draw.randbytes(45)).decode() for _ in rows]
            case 2:
                lines = [
                    f"{draw.randrange(10**10)} {draw.choice('DIWE')}/{draw.randbytes(3).hex()} "
                    f"pid={draw.randrange(65536)} addr=0x{draw.randbytes(6).hex()} rc={draw.randrange(256)}"
                    for _ in rows
                ]
            case _:
                lines = ["".join(draw.choices(printable, k=draw.randint(20, 90))) for _ in rows]
        yield "\n".join(lines) + "\n"
