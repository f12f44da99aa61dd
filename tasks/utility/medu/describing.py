"""The first two steps of MEDU: each task's items described in chunks, the descriptions merged in a binary tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tasks.utility.medu.prompting import Prompter

Write = Callable[[Sequence[str], str], list[str]]


def describe_tasks(
    dev_items: Mapping[str, Sequence[str]], prompter: Prompter, write: Write
) -> dict[str, str]:
    """One description a task. write(prompts, what for) -> the judge's texts, in the order of the prompts.

    Raises ValueError for a task whose description has no text.
    """
    chunks = [(task, chunk) for task, items in dev_items.items() for chunk in prompter.chunks(items)]
    texts = write([prompter.describe(chunk) for _, chunk in chunks], "descriptions")
    level: dict[str, list[str]] = {task: [] for task in dev_items}
    for (task, _), text in zip(chunks, texts, strict=True):
        level[task].append(text.strip())
    while any(len(descriptions) > 1 for descriptions in level.values()):
        level = _merged(level, prompter, write)
    empty = sorted(task for task, descriptions in level.items() if not any(descriptions))
    if empty:
        raise ValueError(
            f"utility.medu: the judge answered with a chat completion without text when asked to describe the "
            f"tasks {empty}; raise utility.medu.max_answer_tokens={prompter.settings.max_answer_tokens} if it thinks "
            "aloud at length, or use another model"
        )
    return {task: descriptions[0] for task, descriptions in level.items()}


def _merged(level: dict[str, list[str]], prompter: Prompter, write: Write) -> dict[str, list[str]]:
    """Each task's descriptions two by two into one; an odd one goes up as it is."""
    pairs = [
        (task, first, second)
        for task, descriptions in level.items()
        for first, second in zip(descriptions[::2], descriptions[1::2], strict=False)
    ]
    texts = write([prompter.merge(first, second) for _, first, second in pairs], "merged descriptions")
    merged: dict[str, list[str]] = {task: [] for task in level}
    for (task, first, second), text in zip(pairs, texts, strict=True):
        merged[task].append(text.strip() or first or second)
    for task, descriptions in level.items():
        if len(descriptions) % 2:
            merged[task].append(descriptions[-1])
    return merged
