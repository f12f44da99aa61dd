"""Problems that need two experts at once: arithmetic asked in another language, or as code.

An item shows the question; its choices are worked solutions. The right one has the right operation and result;
the wrong ones have another operation, rightly worked out, or the right operation with a result that is off by
ten. Training text of the same make never holds a question of the items.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from tasks.benchmarks.by_content import content_id
from tasks.benchmarks.items import Benchmark

Question = Callable[[str, str, str, int, int], str]
NAMES = ("Alma Bruno Clara Dario Elsa Felix Greta Henri Irma Jonas Lena Marco Nora Otto Pia Remy").split()
SYMBOLS = {"add": "+", "take": "-", "times": "x"}

GERMAN_THINGS = "Äpfel Bücher Münzen Karten Eier Lampen Perlen Teller".split()
FRENCH_THINGS = "pommes livres cartes lampes perles assiettes plumes graines".split()
SPANISH_THINGS = "manzanas libros monedas cartas huevos perlas platos semillas".split()
CODE_THINGS = "apples books coins cards eggs lamps pearls plates".split()

GERMAN: dict[str, Question] = {
    "add": lambda p, q, t, a, b: f"{p} hat {a} {t}. {q} bringt noch {b} dazu. Wie viele {t} sind es jetzt?",
    "take": lambda p, q, t, a, b: f"{p} hat {a} {t} und gibt {q} davon {b}. Wie viele {t} behält {p}?",
    "times": lambda p, q, t, a, b: f"{p} füllt {a} Kisten mit je {b} {t} für {q}. Wie viele {t} sind darin?",
}
FRENCH: dict[str, Question] = {
    "add": lambda p, q, t, a, b: (
        f"{p} a {a} {t}. {q} en apporte encore {b}. Combien de {t} y a-t-il maintenant ?"
    ),
    "take": lambda p, q, t, a, b: f"{p} a {a} {t} et en donne {b} à {q}. Combien de {t} reste-t-il à {p} ?",
    "times": lambda p, q, t, a, b: (
        f"{p} remplit {a} caisses de {b} {t} pour {q}. Combien de {t} y a-t-il dedans ?"
    ),
}
SPANISH: dict[str, Question] = {
    "add": lambda p, q, t, a, b: f"{p} tiene {a} {t}. {q} trae otras {b}. ¿Cuántas {t} hay ahora?",
    "take": lambda p, q, t, a, b: f"{p} tiene {a} {t} y le da {b} a {q}. ¿Cuántas {t} le quedan a {p}?",
    "times": lambda p, q, t, a, b: (
        f"{p} llena {a} cajas con {b} {t} cada una para {q}. ¿Cuántas {t} hay en total?"
    ),
}
CODE: dict[str, Question] = {
    "add": lambda p, q, t, a, b: f"def count():\n    {t} = {a}\n    {t} += {b}\n    return {t}",
    "take": lambda p, q, t, a, b: f"def count():\n    {t} = {a}\n    {t} -= {b}\n    return {t}",
    "times": lambda p, q, t, a, b: f"def count():\n    {t} = {a}\n    {t} *= {b}\n    return {t}",
}
TASKS = {
    "cross-german": (GERMAN, GERMAN_THINGS),
    "cross-french": (FRENCH, FRENCH_THINGS),
    "cross-spanish": (SPANISH, SPANISH_THINGS),
    "cross-code": (CODE, CODE_THINGS),
}


def cross_tasks(num_items: int, random_seed: int) -> list[Benchmark]:
    """One task of four choices for each language and for code, of `num_items` items."""
    return [Benchmark(name, "choice", None, "acc", _items(name, num_items, random_seed)) for name in TASKS]


def cross_text(tasks: list[Benchmark], random_seed: int) -> Iterator[str]:
    """Worked problems of the same make without end, tasks in turns, none of them an item of `tasks`."""
    asked = {item["context"] for task in tasks for item in task.items}
    for number in range(2**62):
        for name in TASKS:
            question, operation, a, b = _draw(
                name, random.Random(f"cross-text-{name}-{random_seed}-{number}")
            )
            if question not in asked:
                yield f"{question}{_solution(operation, a, b)}\n"


def _items(name: str, num_items: int, random_seed: int) -> list[dict]:
    items: dict[str, dict] = {}
    for number in range(2**62):
        draw = random.Random(f"cross-item-{name}-{random_seed}-{number}")
        question, operation, a, b = _draw(name, draw)
        others = [other for other in SYMBOLS if other != operation]
        right = _solution(operation, a, b)
        choices = [_solution(other, a, b) for other in others]
        choices.append(_solution(operation, a, b, off=10))
        answer = draw.randrange(len(choices) + 1)
        choices.insert(answer, right)
        item_id = content_id(name, question, right)
        items[item_id] = {"id": item_id, "context": question, "choices": choices, "answer": answer}
        if len(items) == num_items:
            break
    return list(items.values())


def _draw(name: str, draw: random.Random) -> tuple[str, str, int, int]:
    """(question, operation, a, b) with a > b."""
    questions, things = TASKS[name]
    operation = draw.choice(list(SYMBOLS))
    person, other = draw.sample(NAMES, 2)
    b, a = sorted(draw.sample(range(2, 13) if operation == "times" else range(2, 60), 2))
    return questions[operation](person, other, draw.choice(things), a, b), operation, a, b


def _solution(operation: str, a: int, b: int, off: int = 0) -> str:
    result = {"add": a + b, "take": a - b, "times": a * b}[operation] + off
    return f"\nWork: {a} {SYMBOLS[operation]} {b} = {result}\nAnswer: {result}"
