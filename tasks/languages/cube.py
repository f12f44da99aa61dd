"""The cube: which items are tested in which language, after which demonstrations, said in which template's words.

Demonstrations are items that are tested in no language: an item and its translations are on the same side, so no
demonstration tells what a tested item's answer is. The same draws serve all languages that share their items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tasks.languages.cloze_forms import ClozeForm, form_called
from tasks.languages.language_templates import LanguageTemplate, read_templates
from tasks.languages.parallel_items import ParallelItem, in_fixed_order, read_items
from tasks.languages.settings import OWN, LanguagesSettings
from tasks.sources.language_checks import check_script


class Cell(NamedTuple):
    """One way to ask in one language. demonstrations: None where there are no shots. set_number: of demonstrations."""

    template: str
    demonstrations: str | None
    test: str
    shots: int
    set_number: int


@dataclass(frozen=True)
class Cube:
    """All that is asked. tested: language -> items. pools: language -> what it can demonstrate with, by key."""

    settings: LanguagesSettings
    form: ClozeForm
    templates: Mapping[str, LanguageTemplate]
    tested: Mapping[str, Sequence[ParallelItem]]
    pools: Mapping[str, Mapping[str, ParallelItem]]
    cells: Sequence[Cell]

    def demonstrated(self, cell: Cell) -> list[ParallelItem]:
        """The demonstrations of a cell, in their order; of fewer shots the first ones."""
        if cell.demonstrations is None:
            return []
        pool = self.pools[cell.demonstrations]
        order = in_fixed_order(set(pool), f"{self.settings.random_seed} set {cell.set_number}")
        return [pool[key] for key in order[: cell.shots]]

    def block(self, cell: Cell) -> str:
        """What stands before every item of a cell."""
        said = []
        for item in self.demonstrated(cell):
            said.append(self._words(cell.template, item.language).said(item)[item.answer])
        return "".join(one + self.settings.separator for one in said)

    def asked(self, cell: Cell, item: ParallelItem) -> tuple[str, ...]:
        """A tested item with each of its choices."""
        return self._words(cell.template, item.language).said(item)

    def _words(self, template: str, language: str) -> LanguageTemplate:
        return self.templates[language if template == OWN else template]

    def size(self) -> dict[str, Any]:
        """How large it is: {"cells", "blocks", "items", "texts", "bytes", "bytes_read_once"}.

        bytes: of all texts read whole; read_once: of what is left where each block of demonstrations is read once.
        """
        blocks: dict[tuple, int] = {}
        texts = whole = once = items = 0
        lengths: dict[tuple[str, str], tuple[int, int, int]] = {}
        for cell in self.cells:
            block = (cell.template, cell.demonstrations, cell.shots, cell.set_number)
            if block not in blocks:
                blocks[block] = len(self.block(cell).encode())
                once += blocks[block]
            if (cell.template, cell.test) not in lengths:
                said = [self.asked(cell, item) for item in self.tested[cell.test]]
                lengths[cell.template, cell.test] = (
                    sum(len(told) for told in said),
                    sum(len(text.encode()) for told in said for text in told),
                    len(said),
                )
            number, size, count = lengths[cell.template, cell.test]
            texts, once, items = texts + number, once + size, items + count
            whole += size + number * blocks[block]
        return {
            "cells": len({cell[:4] for cell in self.cells}),
            "blocks": len(blocks),
            "items": items,
            "texts": texts,
            "bytes": whole,
            "bytes_read_once": once,
        }


def make_cube(settings: LanguagesSettings) -> Cube:
    """Read items and templates and lay out the cube.

    Raises ValueError for a language that benchmark or templates have not, demonstrations that are fewer than the
    shots or among the tested items, text that cannot be in its language, and a cube above its budget.
    """
    form = form_called(settings.form)
    items = read_items(settings.files, form, "languages.files")
    given: dict[str, list[ParallelItem]] = {}
    for number, file in enumerate(settings.demonstration_files):
        where = f"languages.demonstration_files[{number}]"
        for code, own in read_items(file.path, form, where, file.language).items():
            known = {item.key for item in given.get(code, ())}
            if twice := [item.key for item in own if item.key in known]:
                raise ValueError(
                    f"{where}: {len(twice)} items in {code!r} have ids of an earlier file, first {twice[0]!r}; "
                    "allowed: ids that differ, or one file a language"
                )
            given.setdefault(code, []).extend(own)
    wanted = settings.test_languages or tuple(items)
    if missing := [code for code in wanted if code not in items]:
        raise ValueError(
            f"languages.test_languages: {', '.join(missing)}: not in {settings.files}, which has {', '.join(items)}"
        )
    demonstrating = _demonstrating(settings, wanted)
    if missing := [code for code in demonstrating if code not in items and code not in given]:
        raise ValueError(
            f"languages.demonstration_languages: {', '.join(missing)}: neither in {settings.files}, which has "
            f"{', '.join(items)}, nor in demonstration_files ({', '.join(given) or 'none'})"
        )
    _check_languages({**{code: items[code] for code in wanted}, **given})
    templates = read_templates(settings.templates, form)
    _check_templates(settings, templates, {*wanted, *demonstrating})
    tested, pools = _two_sides(settings, items, given, wanted, demonstrating)
    cube = Cube(settings, form, templates, tested, pools, _cells(settings, wanted))
    size = cube.size()
    if size["texts"] > settings.most_texts:
        raise ValueError(
            f"languages: the cube has {size['cells']:,} cells and {size['texts']:,} texts; allowed: at most "
            f"most_texts={settings.most_texts:,}; fewer languages, shots, sets or items (max_items), or a larger budget"
        )
    return cube


def _demonstrating(settings: LanguagesSettings, wanted: Sequence[str]) -> list[str]:
    if settings.shots == (0,):
        return []
    named = [code for code in settings.demonstration_languages if code != OWN]
    return list(dict.fromkeys([*named, *(wanted if OWN in settings.demonstration_languages else ())]))


def _check_templates(
    settings: LanguagesSettings, templates: Mapping[str, LanguageTemplate], languages: set[str]
) -> None:
    needed = {code for code in settings.template_languages if code != OWN}
    if OWN in settings.template_languages:
        needed |= languages
    if missing := sorted(needed - templates.keys()):
        raise ValueError(
            f"languages.template_languages: no template in {', '.join(missing)}; there is one in {', '.join(templates)}"
        )


def _check_languages(items: Mapping[str, Sequence[ParallelItem]]) -> None:
    """Items can be in their languages by script, and no two languages have the same texts."""
    texts: dict[str, tuple[str, str]] = {}
    for code, own in items.items():
        said = [" ".join((*item.fields.values(), *item.choices)) for item in own]
        check_script(said, code, f"languages: items in {code!r}")
        for item in own:
            other, key = texts.setdefault(item.text, (code, item.key))
            if other != code and len(own) > 1 and item.key == key:
                same = sum(texts.get(one.text, (code, ""))[0] == other for one in own)
                if same > len(own) / 2:
                    raise ValueError(
                        f"languages: {same} of {len(own)} items in {code!r} are word for word those in {other!r}; "
                        "allowed: items in the language named"
                    )


def _two_sides(
    settings: LanguagesSettings,
    items: Mapping[str, Sequence[ParallelItem]],
    given: Mapping[str, Sequence[ParallelItem]],
    wanted: Sequence[str],
    demonstrating: Sequence[str],
) -> tuple[dict[str, list[ParallelItem]], dict[str, dict[str, ParallelItem]]]:
    """(language -> tested items, language -> its demonstrations by key), none of which is tested in any language."""
    keys = {item.key for own in items.values() for item in own}
    order = in_fixed_order(keys, "side")
    kept = (
        round(settings.demonstration_share * len(order)) if any(c not in given for c in demonstrating) else 0
    )
    shown = set(order[:kept])
    rank = {key: place for place, key in enumerate(order)}
    tested = {}
    for code in wanted:
        own = sorted((item for item in items[code] if item.key not in shown), key=lambda item: rank[item.key])
        tested[code] = own[: settings.max_items]
        if not own:
            raise ValueError(
                f"languages: no item in {code!r} is left to test; allowed: a smaller demonstration_share"
            )
    pools = {
        code: {
            item.key: item
            for item in given.get(code, [one for one in items.get(code, ()) if one.key in shown])
        }
        for code in demonstrating
    }
    _check_pools(settings, tested, pools)
    return tested, pools


def _check_pools(
    settings: LanguagesSettings,
    tested: Mapping[str, Sequence[ParallelItem]],
    pools: Mapping[str, Mapping[str, ParallelItem]],
) -> None:
    most = settings.shots[-1]
    for code, pool in pools.items():
        if len(pool) < most:
            raise ValueError(f"languages: {len(pool)} demonstrations in {code!r} are fewer than {most} shots")
        if len(pool) == most and settings.sets > 1:
            raise ValueError(
                f"languages: {len(pool)} demonstrations in {code!r} are as many as the shots, so {settings.sets} sets "
                "would differ in nothing but order; allowed: more demonstrations, fewer shots, or sets=1"
            )
        texts = {item.text for item in pool.values()}
        if among := sum(item.text in texts for item in tested.get(code, ())):
            raise ValueError(
                f"languages: {among} of {len(tested[code])} tested items in {code!r} are among its demonstrations; "
                "allowed: demonstrations from another part of the benchmark"
            )


def _cells(settings: LanguagesSettings, wanted: Sequence[str]) -> list[Cell]:
    """Sorted so that what shares a block of demonstrations stands together; what is the same cell stands once."""
    found: dict[Cell, None] = {}
    for shots in settings.shots:
        for template in settings.template_languages:
            if shots == 0:
                found |= {Cell(template, None, test, 0, 0): None for test in wanted}
                continue
            languages = _demonstrating(settings, wanted)
            for shown in languages:
                fixed = shown in settings.demonstration_languages
                tests = wanted if fixed else [test for test in wanted if test == shown]
                for number in range(settings.sets):
                    found |= {Cell(template, shown, test, shots, number): None for test in tests}
    return list(found)
