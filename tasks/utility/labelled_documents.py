"""What agreement is measured on: documents with binary labels, and the benchmark items that say what is good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tasks.benchmarks.benchmark_files import read_benchmark_folder
from tasks.benchmarks.items import dev_texts
from tasks.utility.judge_agreement import Auc, auc, judge_agreement, supervised_ngram_scores
from tasks.utility.medu.answers import AnswerFile
from tasks.utility.medu.judges import language_judge
from tasks.utility.ngram_judge import NgramJudge
from tasks.utility.quality_labels import Labelled
from tasks.utility.settings import UtilitySettings

NOT_MEASURED = "not yet measured"
LANGUAGE_JUDGES = ("openai", "transformers")
SUPERVISED = "ngram-supervised (cross-fitted on the labels themselves: no judge)"
LENGTH = "length of the document (no judge)"


def read_target(folder: Path, names: Sequence[str] = ()) -> dict[str, list[str]]:
    """Item texts by task of a folder of benchmark files; names: these tasks alone, else all."""
    benchmarks, _ = read_benchmark_folder(folder)
    found = {benchmark.name: dev_texts(benchmark) for benchmark in benchmarks}
    unknown = sorted(set(names) - set(found))
    if unknown:
        raise ValueError(f"--task {', '.join(unknown)}: not in {folder}; it has {', '.join(found)}")
    return {name: found[name] for name in names} if names else found


def measure_agreement(
    documents: Labelled,
    target: dict[str, list[str]],
    judges: Sequence[str],
    settings: UtilitySettings,
    kept: Path,
    report: Callable[[str], None],
) -> dict[str, Auc | None]:
    """AUC by judge; None: not measured. The judges never see a label of these documents.

    What is good is told by the items of `target` alone; the background of `ngram` is the documents themselves.
    Beside the judges stand two references: the documents' length, and a classifier on n-grams that is
    cross-fitted on the labels.
    """
    unknown = sorted(set(judges) - {"ngram", *LANGUAGE_JUDGES})
    if unknown:
        raise ValueError(f"--judge {', '.join(unknown)}: must be ngram, {' or '.join(LANGUAGE_JUDGES)}")
    found: dict[str, Auc | None] = {}
    if "ngram" in judges:
        judge = NgramJudge({"documents": documents.texts}, settings.section("ngram"))
        found["ngram"] = judge_agreement(judge, target, documents.texts, documents.labels)
    for name in LANGUAGE_JUDGES:
        found[name] = None
        if name in judges:
            medu = settings.section("medu")
            if medu.judge != name:
                raise ValueError(f"--judge {name} with medu.judge={medu.judge}: -o medu.judge={name}")
            with AnswerFile(kept / "answers.jsonl", report) as answers:
                asked = language_judge(medu, answers, report)
                found[name] = judge_agreement(asked, target, documents.texts, documents.labels)
    found[LENGTH] = auc(documents.labels, [float(len(text)) for text in documents.texts])
    found[SUPERVISED] = auc(documents.labels, supervised_ngram_scores(documents.texts, documents.labels))
    return found


def agreement_lines(found: dict[str, Auc | None]) -> list[str]:
    return [f"{name}: {NOT_MEASURED if one is None else one.line()}" for name, one in found.items()]
