"""Benchmarks as commands take them: folders of benchmark files, folders of lm-eval YAMLs, names of lm-eval tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.benchmarks.benchmark_files import read_benchmark_folder
from tasks.benchmarks.items import Benchmark, dev_texts, split_dev_test
from tasks.benchmarks.kinds import KINDS_BY_NAME

if TYPE_CHECKING:
    from tasks.benchmarks.code_tasks import CodeRunning

YAML_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class ItemTexts:
    """The items of a task with their right answers, as a document would hold them."""

    dev: list[str]
    test: list[str]


@dataclass(frozen=True)
class GivenBenchmarks:
    """files: benchmarks read from folders; names: of lm-eval; folders: of lm-eval YAMLs; left_out: lines on files."""

    files: tuple[Benchmark, ...]
    names: tuple[str, ...]
    folders: tuple[Path, ...]
    left_out: tuple[str, ...]

    @property
    def tasks(self) -> list[Benchmark | str | Path]:
        """As `tasks.evaluation.evaluating.evaluate` takes them."""
        return [*self.files, *self.names, *self.folders]

    @property
    def of_code(self) -> list[str]:
        """Those read from files whose items are answered by programs."""
        return [one.name for one in self.files if KINDS_BY_NAME[one.kind].code is not None]

    @property
    def kinds(self) -> dict[str, dict[str, str]]:
        """Task -> its kind, of those read from files."""
        return {benchmark.name: {"kind": benchmark.kind} for benchmark in self.files}

    def sides(self, dev_share: float) -> dict[str, ItemTexts]:
        """Task -> texts of its dev items, all that utility may see, and of its test items."""
        found = {}
        for benchmark in self.files:
            dev, test = split_dev_test(benchmark, dev_share)
            found[benchmark.name] = ItemTexts(dev_texts(dev), dev_texts(test))
        for names, folder in self._loads():
            from tasks.benchmarks.harness_tasks import lm_eval_items

            for items in lm_eval_items(names, folder, dev_share):
                _refuse_twice(items.task, found)
                found[items.task] = ItemTexts(list(items.dev_texts), list(items.test_texts))
        return found

    def check(self, running: CodeRunning | None = None) -> None:
        """Raises ValueError for a task of lm-eval that is unknown, or whose data is not there, or that runs code.

        running: of code, which is then asked for; ValueError where no benchmark can be of code.
        """
        if running is not None and not (self.names or self.folders or self.of_code):
            raise ValueError("none of the benchmarks is answered by code; allowed: with one that is")
        for names, folder in self._loads():
            from tasks.benchmarks.harness_tasks import load_tasks

            load_tasks(names, folder, running)

    def _loads(self) -> list[tuple[tuple[str, ...], Path | None]]:
        """The calls that lm-eval's tasks are loaded by: names with the first folder, which may define them."""
        first = self.folders[0] if self.folders else None
        calls: list[tuple[tuple[str, ...], Path | None]] = (
            [(self.names, first)] if self.names or first else []
        )
        return [*calls, *(((), folder) for folder in self.folders[1:])]


def given_benchmarks(given: Sequence[str], option: str, max_items: int | None = None) -> GivenBenchmarks:
    """What each word names: a folder with YAMLs is lm-eval's, another folder holds files, else it is names, a,b,c.

    option: what the words are called in messages. max_items: of the files, a task, chosen by content. Raises
    ValueError for a folder that is missing or holds no benchmark, and for a name that stands twice.
    """
    files: dict[str, Benchmark] = {}
    names: list[str] = []
    folders: list[Path] = []
    left_out: list[str] = []
    for word in given:
        path = Path(word).expanduser()
        if path.is_dir() and any(p.suffix.lower() in YAML_ENDINGS for p in path.rglob("*")):
            folders.append(path)
        elif path.is_dir() or _looks_like_a_path(word):
            found, warnings = read_benchmark_folder(path, max_items, option)
            left_out += warnings
            for benchmark in found:
                _refuse_twice(benchmark.name, files)
                files[benchmark.name] = benchmark
        else:
            names += [name.strip() for name in word.split(",") if name.strip()]
    for name in names:
        if name in files or names.count(name) > 1:
            raise ValueError(
                f"{option}: benchmark {name!r} is given twice; every one needs a name of its own"
            )
    return GivenBenchmarks(tuple(files.values()), tuple(names), tuple(folders), tuple(left_out))


def _looks_like_a_path(word: str) -> bool:
    return "/" in word or word.startswith((".", "~"))


def _refuse_twice(name: str, known: dict) -> None:
    if name in known:
        raise ValueError(f"benchmark {name!r} is given twice; every one needs a name of its own")
